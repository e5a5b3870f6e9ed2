package main

import (
	"errors"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/oodcast/oodcast/configs"
	"github.com/oodcast/oodcast/detector/ort"
	"github.com/oodcast/oodcast/pipeline"
)

// RunCmd runs the service. Its flags override the configuration file.
type RunCmd struct {
	Config           string        `placeholder:"FILE" help:"Configuration file; oodcast config defaults prints one."`
	Source           []string      `placeholder:"URI" sep:"none" help:"rtsp://…, http://….mjpg, a file, a folder of pictures, camera:0 or gst:…; may be repeated."`
	Bundle           string        `placeholder:"NAME|DIR" help:"Bundle to score with."`
	Timesteps        string        `placeholder:"N|auto" help:"|T|: the number of diffusion timesteps (5), a list of them (221,103), or auto, which needs a latency budget."`
	LatencyBudget    time.Duration `placeholder:"D" help:"Time for encoding and scoring with --timesteps auto."`
	HTTP             string        `name:"http" placeholder:"ADDR" help:"Address of the page, the preview and the API."`
	NATS             string        `name:"nats" placeholder:"URL" help:"nats://HOST:PORT, embedded, embedded://127.0.0.1:PORT or off."`
	Provider         string        `placeholder:"P" help:"cpu, cuda or tensorrt."`
	ProviderRequired bool          `help:"Fail with exit code 3 instead of falling back to the CPU."`
	MaxFrames        uint64        `placeholder:"N" help:"Stop after N maps per camera."`
	ExitOnEnd        bool          `help:"Stop when the last stream ends."`
}

// Run watches the cameras until a signal arrives.
func (c *RunCmd) Run(e *env) error {
	var hup chan os.Signal
	if c.Config != "" { // a reload that is asked for while the service starts follows the start
		hup = make(chan os.Signal, 1)
		signal.Notify(hup, syscall.SIGHUP)
		defer signal.Stop(hup)
	}
	cfg, err := c.load()
	if err != nil {
		return err
	}
	s, err := newService(cfg, e, c.options()...)
	if err != nil {
		return err
	}
	e.ready()
	for _, warning := range configs.Exposed(c.Config) {
		e.Log.Warn("permissions", "warning", warning)
	}
	s.file, s.load, s.hup = c.Config, c.load, hup
	return errors.Join(s.run(e), s.close())
}

// options returns the options for flags that determine when the run ends.
func (c *RunCmd) options() []pipeline.Option {
	options := []pipeline.Option{pipeline.WithMaxMaps(c.MaxFrames)}
	if c.ExitOnEnd || c.MaxFrames > 0 {
		options = append(options, pipeline.WithExitOnEnd())
	}
	return options
}

// load reads the configuration and applies the flags to it.
func (c *RunCmd) load() (configs.Config, error) {
	cfg, err := configs.Read(c.Config, os.Environ(), c.flags)
	if err == nil && len(cfg.Cameras) == 0 {
		err = usagef("no camera: pass --source URI, or --config FILE with cameras")
	}
	return cfg, err
}

// flags applies the flags to a configuration. They affect all cameras.
func (c *RunCmd) flags(cfg *configs.Config) error {
	if len(c.Source) > 0 {
		template := configs.NewCamera()
		if len(cfg.Cameras) > 0 {
			template = cfg.Cameras[0] // the file's first camera provides all keys but the source
		}
		cfg.Cameras = nil
		for i, uri := range c.Source {
			cam := template
			cam.URI, cam.User, cam.Password = uri, "", "" // the login is that of the file's camera
			if len(c.Source) > 1 {
				cam.Name += strconv.Itoa(i + 1)
			}
			cfg.Cameras = append(cfg.Cameras, cam)
		}
	}
	set(&cfg.Bundle, c.Bundle)
	set(&cfg.Preview.Listen, c.HTTP)
	set(&cfg.Publish.URL, c.NATS)
	set(&cfg.Provider.Name, ort.Provider(c.Provider))
	cfg.Provider.Required = cfg.Provider.Required || c.ProviderRequired
	if c.LatencyBudget > 0 {
		cfg.Detector.LatencyBudget = c.LatencyBudget
	}
	for i := range cfg.Cameras {
		cam := &cfg.Cameras[i]
		if c.Bundle != "" {
			cam.Bundle = ""
		}
		if c.Timesteps != "" {
			cam.Detector = cam.Detector.Without("timesteps", "timestep_list")
		}
		if c.LatencyBudget > 0 {
			cam.Detector = cam.Detector.Without("latency_budget")
		}
	}
	return setTimesteps(&cfg.Detector, c.Timesteps)
}

func set[T ~string](dst *T, v T) {
	if v != "" {
		*dst = v
	}
}
