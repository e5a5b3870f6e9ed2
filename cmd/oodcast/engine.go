package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/detector/ort"
	"github.com/oodcast/oodcast/models"
)

// providerFlags choose the execution provider.
type providerFlags struct {
	Provider         string `enum:"cpu,cuda,tensorrt" default:"cpu" help:"Execution provider: cpu, cuda or tensorrt."`
	ProviderRequired bool   `help:"Fail instead of falling back to the CPU."`
	Threads          int    `placeholder:"N" help:"CPU threads, at most 64 or four per core. Default: one per core."`
	Device           int    `placeholder:"N" help:"Number of the GPU."`

	env *env // its end also ends the creation of a session
}

// AfterApply checks the flags.
func (f *providerFlags) AfterApply(e *env) error {
	if err := ort.CheckThreads(f.Threads); err != nil {
		return fmt.Errorf("--threads: %w", err)
	}
	if f.Device < 0 {
		return fmt.Errorf("--device: got %d, want 0 or more", f.Device)
	}
	f.env = e
	return nil
}

func (f providerFlags) options() ort.Options {
	return ort.Options{
		Provider: ort.Provider(f.Provider), Required: f.ProviderRequired, Threads: f.Threads, DeviceID: f.Device,
		Interrupt: f.env.Done(),
	}
}

// detectorFlags choose how frames are scored.
type detectorFlags struct {
	Timesteps     string        `default:"5" placeholder:"N" help:"Diffusion timesteps: how many (5), which (221,103), or auto."`
	LatencyBudget time.Duration `placeholder:"D" help:"Time for one frame when --timesteps is auto."`
	Threshold     float32       `placeholder:"X" help:"Values above this are anomalous. Default: the bundle's threshold."`
	Size          string        `placeholder:"WxH" help:"Working size, multiples of 32 and of the bundle's encoder.multiple. Default: chosen for each frame."`
	SecondLook    string        `enum:"off,auto,on" default:"auto" help:"Look at a band of the frame once more, at twice the scale, if the source has enough pixels: off, auto or on."`
	Paper         bool          `help:"The paper's choices: timesteps 0..N-1, nearest upsampling, weight 1 for the uncertainty."`
	Part          string        `enum:"compound,diffusion,lse,unclaimed" default:"compound" help:"What to show: compound, diffusion, lse or unclaimed."`
}

func (f detectorFlags) config() (detector.Config, error) {
	c := detector.Config{
		LatencyBudget: f.LatencyBudget, Threshold: f.Threshold, Paper: f.Paper, Part: f.Part, SecondLook: f.SecondLook,
	}
	if err := setTimesteps(&c, f.Timesteps); err != nil {
		return c, err
	}
	if f.Size != "" {
		var err error
		if c.Width, c.Height, err = parseSize(f.Size); err != nil {
			return c, err
		}
	}
	if err := c.Validate(); err != nil {
		return c, usageError{err}
	}
	return c, nil
}

// setTimesteps reads a number of timesteps (5), a list of timesteps (0,4,9) or auto into c. "" changes nothing.
func setTimesteps(c *detector.Config, v string) error {
	switch v {
	case "":
		return nil
	case "auto":
		c.Timesteps, c.List = 0, nil
		return nil
	}
	list, err := integers(v)
	if err != nil {
		return usagef("--timesteps: got %q, want a number, a list of numbers, or auto", v)
	}
	c.Timesteps, c.List = 0, list
	if len(list) == 1 && !strings.Contains(v, ",") {
		if list[0] < 1 {
			return usagef("--timesteps: got %s, want a number from 1, a list of timesteps such as 0,4,9, or auto", v)
		}
		c.Timesteps, c.List = detector.Timesteps(list[0]), nil
	}
	return nil
}

// parseSize reads WIDTHxHEIGHT.
func parseSize(s string) (w, h int, err error) {
	ws, hs, ok := strings.Cut(s, "x")
	w, errW := strconv.Atoi(ws)
	h, errH := strconv.Atoi(hs)
	if !ok || errW != nil || errH != nil || w < 32 || h < 32 || w > 8192 || h > 8192 {
		return 0, 0, usagef("--size: got %q, want WIDTHxHEIGHT such as 1024x512", s)
	}
	return w, h, nil
}

func integers(s string) ([]int, error) {
	var list []int
	for part := range strings.SplitSeq(s, ",") {
		if part == "" {
			continue // after a trailing comma, which makes a list of one number
		}
		n, err := strconv.Atoi(strings.TrimSpace(part))
		if err != nil {
			return nil, err
		}
		list = append(list, n)
	}
	if len(list) == 0 || slices.Contains(list, -1) {
		return nil, strconv.ErrSyntax
	}
	return list, nil
}

// openEngine opens and prepares a bundle. It logs a warning if the provider is not the requested one.
func openEngine(e *env, bundle string, d detectorFlags, p providerFlags) (*ort.Engine, *models.Bundle, error) {
	cfg, err := d.config()
	if err != nil {
		return nil, nil, err
	}
	b, err := openBundle(e, bundle)
	if err != nil {
		return nil, nil, err
	}
	engine, err := ort.OpenEngine(b, cfg, p.options())
	if err != nil {
		return nil, nil, err
	}
	e.ready()
	if note := engine.Note(); note != "" {
		e.Log.Warn(note)
	}
	return engine, b, nil
}
