package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/oodcast/oodcast/configs"
	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/detector/ort"
	"github.com/oodcast/oodcast/ingest/ffmpeg"
	"github.com/oodcast/oodcast/ingest/opencv"
	"github.com/oodcast/oodcast/models"
	"github.com/oodcast/oodcast/publish/visible"
)

// DoctorCmd reports what is installed and what is missing.
type DoctorCmd struct {
	Config string `placeholder:"FILE" help:"Also check what this configuration needs: bundles, files, cameras, NATS, folders."`
	JSON   string `name:"json" placeholder:"FILE" help:"Write the findings as JSON; - for stdout."`
}

// errMissing reports that run would not start on this machine.
var errMissing = errors.New("missing")

// Run prints the findings. It fails if a part that run needs is missing.
func (c *DoctorCmd) Run(e *env) error {
	cfg, err := configs.Read(c.Config, os.Environ(), nil)
	if err != nil {
		return err
	}
	list := slices.Concat(checkMachine(), checkPermissions(c.Config), checkProviders(cfg), checkCameraBundles(cfg), cfg.Probe())
	if c.JSON != "-" {
		t := tabwriter.NewWriter(e.Stdout, 0, 4, 2, ' ', 0)
		for _, f := range list {
			fmt.Fprintf(t, "%s\t%s\t%s\n", f.Verdict, visible.Text(f.What), visible.Text(f.Detail))
		}
		if err := t.Flush(); err != nil {
			return err
		}
	}
	if err := writeJSON(e, c.JSON, list); err != nil {
		return err
	}
	var names []string
	for _, f := range list {
		if f.Verdict == configs.Missing {
			names = append(names, f.What)
		}
	}
	if len(names) > 0 {
		return fmt.Errorf("%w: %s", errMissing, strings.Join(names, ", "))
	}
	return nil
}

// checkMachine reports the program and its libraries.
func checkMachine() []configs.Finding {
	library := ""
	rt, err := ort.Open("")
	if err == nil {
		defer rt.Close()
		library = rt.Version() + " at " + rt.Library()
	}
	program := fmt.Sprintf("%s, %s, %s/%s, %d cores", version, runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
	return []configs.Finding{
		configs.Found("oodcast", program, nil, configs.Missing),
		configs.Found("opencv", opencv.Version()+", reads with "+strings.Join(opencv.Backends(), ", "), nil, configs.Missing),
		configs.Found("ffmpeg", ffmpeg.Version(), nil, configs.Missing),
		configs.Found("onnxruntime", library, err, configs.Missing),
	}
}

// checkPermissions reports what other users can do with the configuration.
func checkPermissions(file string) (list []configs.Finding) {
	for _, warning := range configs.Exposed(file) {
		list = append(list, configs.Finding{What: "permissions", Verdict: configs.Note, Detail: warning})
	}
	return list
}

// checkProviders opens the configured bundle on every provider, which shows which of them work.
func checkProviders(cfg configs.Config) []configs.Finding {
	bundle, err := models.Open(cfg.Bundle)
	if err != nil {
		return []configs.Finding{configs.Found("bundle", "", err, configs.Missing)}
	}
	var list []configs.Finding
	if bundle.Substitute != "" {
		list = append(list, configs.Finding{What: "bundle", Verdict: configs.Note, Detail: bundle.Substitute})
	}
	for _, p := range []ort.Provider{ort.CPU, ort.CUDA, ort.TensorRT} {
		otherwise := configs.Note
		if p == ort.CPU || cfg.Provider.Required && cfg.Provider.Name == p {
			otherwise = configs.Missing
		}
		err := openEngineOnce(bundle, detector.DefaultConfig(), ort.Options{Provider: p, Required: true})
		if err != nil {
			err = fmt.Errorf("not available: %w", err)
		}
		list = append(list, configs.Found("provider "+string(p), "bundle "+bundle.Name+" runs", err, otherwise))
	}
	return list
}

// checkCameraBundles opens the bundles of individual cameras; checkProviders opens the bundle for all cameras.
func checkCameraBundles(cfg configs.Config) []configs.Finding {
	var list []configs.Finding
	seen := []string{cfg.Bundle}
	for _, cam := range cfg.Pipeline().Cameras {
		if slices.Contains(seen, cam.Bundle) {
			continue
		}
		seen = append(seen, cam.Bundle)
		bundle, err := models.Open(cam.Bundle)
		if err == nil {
			err = openEngineOnce(bundle, cam.Detector, ort.Options{Provider: ort.CPU})
		}
		list = append(list, configs.Found("bundle "+cam.Bundle, "runs", err, configs.Missing))
	}
	return list
}

// openEngineOnce opens an engine and closes it again.
func openEngineOnce(bundle *models.Bundle, cfg detector.Config, options ort.Options) error {
	engine, err := ort.OpenEngine(bundle, cfg, options)
	if err != nil {
		return err
	}
	return engine.Close()
}
