package evaluator_test

import (
	"testing"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/detector/eval"
	"github.com/oodcast/oodcast/detector/eval/dataset"
	"github.com/oodcast/oodcast/detector/eval/evaluator"
	"github.com/oodcast/oodcast/ingest/opencv"
	"github.com/oodcast/oodcast/models"
)

// counted counts the calls of a scorer.
type counted struct {
	detector.Scorer
	calls int
}

func (c *counted) ScoreTo(dst, features []float32, n int, timesteps []int) error {
	c.calls++
	return c.Scorer.ScoreTo(dst, features, n, timesteps)
}

// Settings to choose from give the maps of a bundle that has them, and share one pass of the denoiser per image unless they
// need other timesteps.
func TestVariants(t *testing.T) {
	dir := t.TempDir()
	pictures(t, dir, 2, true)
	set, err := dataset.Open("folder", dir)
	if err != nil {
		t.Fatal(err)
	}
	variants := [][]string{
		{"compound.lse_weight=0.25", "compound.upsample=bilinear"}, {"compound.rule=standardised"}, {"diffusion.timesteps=[103,338,162,279,132]"},
	}
	e := open(t, 1)
	count := &counted{Scorer: e.Kit().Scorer}
	e.Kit().Scorer = count
	rows, err := e.Variants(variants, 2)
	if err != nil {
		t.Fatal(err)
	}
	opts := eval.Options{FPR: eval.FPRNearest, Components: true}
	got, err := e.Dataset(t.Context(), set, opencv.ReadStored, rows, opts)
	if err != nil {
		t.Fatal(err)
	}
	if want := 2 * 2; count.calls != want { // two images, two lists of timesteps
		t.Errorf("the denoiser ran %d times, want %d", count.calls, want)
	}
	for i, settings := range variants {
		b, err := models.Open(models.Embedded)
		if err != nil {
			t.Fatal(err)
		}
		if b.Manifest, err = b.Override(settings...); err != nil {
			t.Fatal(err)
		}
		other, err := evaluator.Open(b, evaluator.Options{Seed: 1})
		if err != nil {
			t.Fatal(err)
		}
		rows, err := other.Rows([]string{"dood"}, []int{2})
		if err != nil {
			t.Fatal(err)
		}
		want, err := other.Dataset(t.Context(), set, opencv.ReadStored, rows, opts)
		if err := other.Close(); err != nil {
			t.Error(err)
		}
		if err != nil {
			t.Fatal(err)
		}
		if got[i].AP != want[0].AP || got[i].FPR95 != want[0].FPR95 || got[i].Components != nil {
			t.Errorf("%s: AP %v, FPR95 %v, components %v; the bundle itself has %v, %v", got[i].Method, got[i].AP, got[i].FPR95, got[i].Components, want[0].AP, want[0].FPR95)
		}
	}
}
