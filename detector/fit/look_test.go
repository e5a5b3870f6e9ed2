package fit

import (
	"context"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/models"
)

// wide is a source of frames of 256×128, twice the working size.
type wide struct{ frames int }

func (s wide) Run(ctx context.Context, sink ingest.Sink) error {
	for n := range s.frames {
		small, f := yardFrame(uint64(n), 0, 0), ingest.NewFrame(256, 128)
		for i := range f.Width * f.Height {
			copy(f.Pix[3*i:][:3], small.Pix[3*(i/f.Width/2*small.Width+i%f.Width/2):])
		}
		small.Release()
		if err := sink(ctx, f); err != nil {
			return err
		}
	}
	return nil
}

func calibrationOf(t *testing.T, dir string) detector.Calibration {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(dir, models.CalibrationFile))
	if err != nil {
		t.Fatal(err)
	}
	cal, err := detector.ParseCalibration(raw)
	if err != nil {
		t.Fatal(err)
	}
	return cal
}

func TestSecondLookIsCalibrated(t *testing.T) {
	opt := quick(t, filepath.Join(t.TempDir(), "out"))
	opt.Steps, opt.Check, opt.Set = 30, 0, []string{"compound.rule=sized", "compound.surroundings=32"}
	opt.Size = models.Size{Width: 128, Height: 64}
	// Twelve of the frames that are large enough are held back; training frames make up for the others.
	opt.Sources = []ingest.Source{yard{frames: 20}, wide{frames: 20}}
	opt.SourceNames = []string{"yard", "wide"}
	mustRun(t, opt)
	cal := calibrationOf(t, opt.Out)
	if cal.Look == nil || cal.Look.Frames != fewLooks || math.Abs(cal.Look.Bottom-cal.Look.Top-0.25) > 1e-9 {
		t.Fatalf("second look %+v", cal.Look)
	}
	if a, b := cal.Voices, cal.Look.Voices; len(b.Diffusion) != len(a.Diffusion) || b.Diffusion[0] == a.Diffusion[0] || b.Contrast == a.Contrast {
		t.Errorf("voices of the second look %+v, of the first %+v", b.Diffusion[0], a.Diffusion[0])
	}
	again := opt // only its own frames, all of which are held back
	again.Bundle, again.Out, again.CalibrateOnly = openBundle(t, opt.Out), filepath.Join(t.TempDir(), "again"), true
	again.Sources, again.SourceNames = []ingest.Source{wide{frames: 30}}, []string{"wide"}
	mustRun(t, again)
	if cal := calibrationOf(t, again.Out); cal.Look == nil || cal.Look.Frames != mostLooks {
		t.Errorf("calibrated again: %+v", cal.Look)
	}
	again.Sources, again.Out = []ingest.Source{yard{frames: 20}}, filepath.Join(t.TempDir(), "small")
	mustRun(t, again)
	if cal := calibrationOf(t, again.Out); cal.Look != nil {
		t.Errorf("calibrated on frames without enough pixels: %+v", cal.Look)
	}
}

func TestLooksAreInTheState(t *testing.T) {
	enc := func(v float32) []detector.Encoding {
		return []detector.Encoding{{
			Width: 1, Height: 1, Channels: 2, Features: []float32{v, v}, LogitsWidth: 1, LogitsHeight: 1, Guide: []float32{v, v, v},
		}}
	}
	path := filepath.Join(t.TempDir(), "features.bin")
	c := &collected{Looks: enc(1), Trained: enc(2), Looked: 7, Candidates: 9, Sample: sample{channels: 2}}
	if err := writeFeatures(path, "key", c, false); err != nil {
		t.Fatal(err)
	}
	got, _, err := readFeatures(path, "key")
	if err != nil || len(got.Looks) != 1 || got.Looks[0].Features[0] != 1 || len(got.Trained) != 1 || got.Trained[0].Guide[2] != 2 ||
		got.Looked != 7 || got.Candidates != 9 {
		t.Errorf("readFeatures() = %+v, %v", got, err)
	}
}
