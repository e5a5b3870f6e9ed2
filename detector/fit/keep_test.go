package fit

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/detector/ort"
	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/models"
)

// flash is the yard with white frames wherever a fit holds frames back.
type flash struct{ frames int }

func (s flash) Run(ctx context.Context, sink ingest.Sink) error {
	for n := range s.frames {
		f := yardFrame(uint64(n), 0, 0)
		if n/blockFrames%blocksPerFit == blocksPerFit-1 {
			for i := range f.Pix {
				f.Pix[i] = 255
			}
		}
		if err := sink(ctx, f); err != nil {
			return err
		}
	}
	return nil
}

// A fit whose calibration fails leaves a bundle with the trained denoiser, which other footage calibrates.
func TestFailedCalibrationKeepsTheDenoiser(t *testing.T) {
	opt := quick(t, filepath.Join(t.TempDir(), "fitted"))
	// The features of white frames are finite, 5e34, but the denoiser's squares of them are not.
	opt.Bundle, opt.Sources = exponential(t, 80, false), []ingest.Source{flash{frames: 60}}
	_, err := Run(t.Context(), opt)
	if err == nil || !strings.Contains(err.Error(), "oodcast fit --calibrate-only --bundle "+opt.Out) || strings.Contains(err.Error(), "\n") {
		t.Fatalf("Run() = %v, want the way to calibrate", err)
	}
	b := openBundle(t, opt.Out)
	if b.Uncalibrated == "" || b.EncoderOnly() {
		t.Errorf("manifest %+v", b.Manifest)
	}
	if _, err := ort.OpenEngine(b, detector.DefaultConfig(), ort.Options{Threads: 1}); !errors.Is(err, models.ErrUncalibrated) {
		t.Errorf("OpenEngine(): %v, want ErrUncalibrated", err)
	}
	trained, err := b.Denoiser()
	if err != nil {
		t.Fatal(err)
	}
	again := quick(t, filepath.Join(t.TempDir(), "calibrated"))
	again.Bundle, again.CalibrateOnly = b, true
	mustRun(t, again)
	calibrated := openBundle(t, again.Out)
	kept, err := calibrated.Denoiser()
	if err != nil || calibrated.Uncalibrated != "" {
		t.Fatalf("%v, uncalibrated %q", err, calibrated.Uncalibrated)
	}
	for name, x := range trained {
		if kept[name] == nil || x.Data[0] != kept[name].Data[0] {
			t.Errorf("the denoiser's %s changed", name)
		}
	}
	engineOf(t, again.Out, detector.DefaultConfig())
}
