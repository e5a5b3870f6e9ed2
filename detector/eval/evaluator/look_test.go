package evaluator_test

import (
	"path/filepath"
	"testing"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/detector/eval"
	"github.com/oodcast/oodcast/detector/eval/dataset"
	"github.com/oodcast/oodcast/detector/eval/evaluator"
	"github.com/oodcast/oodcast/ingest/opencv"
	"github.com/oodcast/oodcast/models"
)

// lookBundle writes the embedded bundle with the rule sized, a small working size and a calibrated second look.
func lookBundle(t *testing.T) *models.Bundle {
	t.Helper()
	b, err := models.Open(models.Embedded)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for _, name := range b.FileNames() {
		if files[name], err = b.ReadFile(name); err != nil {
			t.Fatal(err)
		}
	}
	cal, err := detector.ParseCalibration(files[models.CalibrationFile])
	if err != nil {
		t.Fatal(err)
	}
	voices := detector.Voices{Contrast: detector.Spread{Deviation: 1}}
	for range cal.Timesteps {
		voices.Diffusion = append(voices.Diffusion, detector.Spread{Median: 1.5, Deviation: 0.5})
	}
	cal.Voices, cal.Look = &voices, &detector.LookCalibration{Frames: 1, Top: 0.25, Bottom: 0.75, Voices: voices}
	if files[models.CalibrationFile], err = cal.Marshal(); err != nil {
		t.Fatal(err)
	}
	m := b.Manifest
	m.Compound, m.Encoder.Size = models.SizedCompound(), models.Size{Width: 64, Height: 64}
	dir := filepath.Join(t.TempDir(), "look")
	if err := models.Write(dir, m, files); err != nil {
		t.Fatal(err)
	}
	if b, err = models.Open(dir); err != nil {
		t.Fatal(err)
	}
	return b
}

// A row of settings to choose from sees what the detector sees, and the other rows pay nothing for the second look.
func TestSecondLook(t *testing.T) {
	dir := t.TempDir()
	pictures(t, dir, 2, true)
	set, err := dataset.Open("folder", dir)
	if err != nil {
		t.Fatal(err)
	}
	measure := func(look string) (dood, trial *eval.Measured) {
		e, err := evaluator.Open(lookBundle(t), evaluator.Options{Seed: 1, SecondLook: look})
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := e.Close(); err != nil {
				t.Error(err)
			}
		}()
		rows, err := e.Rows([]string{"dood"}, []int{2})
		if err != nil {
			t.Fatal(err)
		}
		trials, err := e.Variants([][]string{{"compound.lse_weight=0.25"}}, 2)
		if err != nil {
			t.Fatal(err)
		}
		got, err := e.Dataset(t.Context(), set, opencv.ReadStored, append(rows, trials...), eval.Options{FPR: eval.FPRNearest})
		if err != nil {
			t.Fatal(err)
		}
		return got[0], got[1]
	}
	on, onTrial := measure(detector.LookAuto)
	off, offTrial := measure(detector.LookOff)
	if on.AP != onTrial.AP || off.AP != offTrial.AP {
		t.Errorf("AP %v and %v with a second look, %v and %v without, want the same of row and trial", on.AP, onTrial.AP, off.AP, offTrial.AP)
	}
	if on.AP == off.AP {
		t.Errorf("the second look changes nothing: AP %v", on.AP)
	}
}
