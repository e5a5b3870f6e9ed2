package fit

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/detector/ort"
	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/models"
)

// A bundle fitted to the empty yard must detect an object in it and stay quiet about the empty yard, with one threshold for
// every |T|. (|T| of 1 and 2 are left out: so few draws of six-dimensional noise are too rough.)
func TestRunMakesABundleThatWorks(t *testing.T) {
	out := filepath.Join(t.TempDir(), "fitted")
	var seen []Phase
	opt := quick(t, out)
	opt.Progress = func(p Progress) {
		if len(seen) == 0 || seen[len(seen)-1] != p.Phase {
			seen = append(seen, p.Phase)
		}
	}
	res := mustRun(t, opt)
	if want := []Phase{Features, Train, Calibrate, Done}; !slices.Equal(seen, want) {
		t.Errorf("phases %v, want %v", seen, want)
	}
	if res.Steps != 150 || res.Interrupted || res.Resumed || res.Loss > 0.9 || res.Frames != 48 || res.CalibrationFrames != 12 {
		t.Errorf("result %+v", res)
	}
	if _, err := os.Stat(stateDir(out)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the state is still there: %v", err)
	}
	engine, err := ort.OpenEngine(openBundle(t, out), detector.DefaultConfig(), ort.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = engine.Close() }()
	for _, n := range []int{3, 4, 5, 9, 25} {
		if err := engine.Detector.Control().Set(detector.Knob{Timesteps: n}); err != nil {
			t.Fatal(err)
		}
		alarms, missed := 0, 0
		for i := range uint64(40) {
			empty, full := score(t, engine, yardFrame(1000+i, 0, 0)), score(t, engine, yardFrame(2000+i, 32, 32))
			if empty.Peak > empty.Threshold {
				alarms++
			}
			if full.Peak <= full.Threshold {
				missed++
			}
		}
		if missed > 0 || alarms > 10 { // the threshold promises 5 %, but with 12 calibration frames only roughly
			t.Errorf("|T|=%d: %d of 40 squares missed, %d of 40 empty frames above the threshold", n, missed, alarms)
		}
	}
}

func score(t *testing.T, e *ort.Engine, f *ingest.Frame) *detector.Map {
	t.Helper()
	m, err := e.Detector.Score(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// However often a fit is interrupted, its result is that of an uninterrupted fit, bit for bit.
func TestInterruptedFitsEndTheSame(t *testing.T) {
	dir := t.TempDir()
	plain := quick(t, filepath.Join(dir, "plain"))
	check := mustRun(t, plain).Check
	want := readFile(t, filepath.Join(plain.Out, models.DenoiserFile))

	opt := quick(t, filepath.Join(dir, "broken"))
	// Cancelled while it reads frames: only a state remains.
	ctx, cancel := context.WithCancel(t.Context())
	opt.Sources = []ingest.Source{yard{frames: 60, at: func(n int) {
		if n == 30 {
			cancel()
		}
	}}}
	if _, err := Run(ctx, opt); !errors.Is(err, context.Canceled) {
		t.Fatalf("cancelled while reading: %v", err)
	}
	if _, err := os.Stat(opt.Out); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a bundle without training: %v", err)
	}
	// Cancelled while it trains: a working bundle and a state remain.
	ctx, cancel = context.WithCancel(t.Context())
	opt.Sources = []ingest.Source{yard{frames: 60}}
	opt.Progress = func(p Progress) {
		if p.Phase == Train && p.Step > 0 {
			cancel()
		}
	}
	res, err := Run(ctx, opt)
	if err != nil {
		t.Fatal(err)
	}
	if !res.Interrupted || !res.Resumed || res.Steps == 0 || res.Steps >= 150 {
		t.Errorf("cancelled while training: %+v", res)
	}
	if b := openBundle(t, opt.Out); b.EncoderOnly() {
		t.Error("the interrupted fit left no denoiser")
	}
	// The same command again must not read a single frame.
	opt.Progress = nil
	opt.Sources = []ingest.Source{yard{frames: 60, at: func(int) { t.Error("frames are read again") }}}
	if res = mustRun(t, opt); res.Steps != 150 || res.Interrupted || !res.Resumed {
		t.Errorf("resumed: %+v", res)
	}
	if got := readFile(t, filepath.Join(opt.Out, models.DenoiserFile)); got != want {
		t.Error("the interrupted fit has other weights than the uninterrupted one")
	}
	if res.Check == nil || *res.Check != *check {
		t.Errorf("the interrupted fit has the check %+v, the uninterrupted one %+v", res.Check, check)
	}
}

func TestDamagedOrForeignStateIsIgnored(t *testing.T) {
	opt := quick(t, filepath.Join(t.TempDir(), "out"))
	opt.Steps = 20
	ctx, cancel := context.WithCancel(t.Context())
	opt.Progress = func(p Progress) {
		if p.Phase == Train {
			cancel()
		}
	}
	if _, err := Run(ctx, opt); err != nil {
		t.Fatal(err)
	}
	opt.Progress = nil
	path := filepath.Join(stateDir(opt.Out), featuresFile)
	raw := []byte(readFile(t, path))
	raw[len(raw)/2] ^= 1
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	other := opt
	other.Seed = 7 // training.bin is intact but from another seed
	if res := mustRun(t, other); res.Resumed || res.Steps != 20 {
		t.Errorf("continued from an unusable state: %+v", res)
	}
}

func TestCalibrateOnlyKeepsTheDenoiser(t *testing.T) {
	dir := t.TempDir()
	first := quick(t, filepath.Join(dir, "first"))
	first.Steps = 30
	mustRun(t, first)
	second := first
	second.Bundle, second.Out, second.CalibrateOnly = openBundle(t, first.Out), filepath.Join(dir, "second"), true
	second.Sources, second.Set = []ingest.Source{yard{frames: 20}}, []string{"compound.lse_weight=0.5", "diffusion.draws=2"}
	if res := mustRun(t, second); res.Steps != 0 || res.CalibrationFrames != 20 || res.Frames != 0 || res.Interrupted {
		t.Errorf("result %+v", res)
	}
	a, b := filepath.Join(first.Out, models.DenoiserFile), filepath.Join(second.Out, models.DenoiserFile)
	if readFile(t, a) != readFile(t, b) {
		t.Error("the denoiser has changed")
	}
	a, b = filepath.Join(first.Out, models.CalibrationFile), filepath.Join(second.Out, models.CalibrationFile)
	if readFile(t, a) == readFile(t, b) {
		t.Error("the calibration has not changed")
	}
	m := openBundle(t, second.Out).Manifest
	if m.Compound.LSEWeight != 0.5 || m.Diffusion.Draws != 2 || m.Compound.Rule != models.RuleGated {
		t.Errorf("settings %+v %+v", m.Diffusion, m.Compound)
	}
}

func TestPaperMode(t *testing.T) {
	opt := quick(t, filepath.Join(t.TempDir(), "paper"))
	opt.Steps, opt.Paper = 20, true
	mustRun(t, opt)
	m := openBundle(t, opt.Out).Manifest
	if m.Normalise != "global" || m.Diffusion.Noise != "independent" || m.Diffusion.Timesteps[24] != 24 ||
		m.Compound.LSEWeight != 1 || m.Compound.Upsample != "nearest" || m.Compound.Rule != models.RuleStandardised {
		t.Errorf("manifest %+v", m)
	}
	cfg := detector.DefaultConfig()
	cfg.Paper = true
	engine, err := ort.OpenEngine(openBundle(t, opt.Out), cfg, ort.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = engine.Close() }()
	if got := score(t, engine, yardFrame(1, 0, 0)).Timesteps; !slices.Equal(got, []int{0, 1, 2, 3, 4}) {
		t.Errorf("timesteps %v, want 0 … 4", got)
	}
}

func TestRunRefuses(t *testing.T) {
	for _, tt := range []struct {
		name string
		edit func(*Options)
		want string
	}{
		{"no frames", func(o *Options) { o.Sources = nil }, "fit: not enough footage: 0 frames"},
		{"broken source", func(o *Options) {
			o.Sources = []ingest.Source{brokenSource{}}
		}, "fit: read source 1: no such camera"},
		{"steps", func(o *Options) { o.Steps = 0 }, "fit.steps: got 0, want 1 or more"},
		{"batch", func(o *Options) { o.Batch = 100 }, "fit.batch: got 100, want a multiple of 8"},
		{"width", func(o *Options) { o.Width, o.Groups = 33, 1 }, "denoiser.width: got 33"},
		{"calibrate only", func(o *Options) { o.CalibrateOnly = true }, "run oodcast fit first"},
		{"channels", func(o *Options) { o.Bundle.Manifest.Encoder.Channels = 9 }, "got 6, want 9"},
		{"required provider", func(o *Options) {
			o.ORT = ort.Options{Provider: ort.CUDA, Required: true}
		}, "execution provider is not available"},
	} {
		opt := quick(t, filepath.Join(t.TempDir(), "out"))
		opt.Steps = 2
		tt.edit(&opt)
		_, err := Run(t.Context(), opt)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: Run() = %v, want %q", tt.name, err, tt.want)
		}
		if _, err := os.Stat(opt.Out); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: something was written", tt.name)
		}
	}
}

type brokenSource struct{}

func (brokenSource) Run(context.Context, ingest.Sink) error { return errors.New("no such camera") }
