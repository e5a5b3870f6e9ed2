package eval_test

import (
	"context"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/oodcast/oodcast/detector/eval"
	"github.com/oodcast/oodcast/detector/eval/dataset"
)

// square sets v in the square of the given side at x, y.
func square[T any](list []T, width, x, y, side int, v T) {
	for i := range side * side {
		list[(y+i/side)*width+x+i%side] = v
	}
}

// A small object is found whole, half of a medium one is, and a large one not at all: each class has its own figures,
// although the default sizes would drop the prediction of the small one.
func TestComponentsByArea(t *testing.T) {
	for _, binned := range []bool{false, true} {
		const width, height = 1000, 600
		d := &dataset.Dataset{Name: "folder", OOD: 1, Items: make([]dataset.Item, 1)}
		x := &dataset.Labelled{
			Width: width, Height: height, Labels: make([]uint8, width*height), Scores: make([]float32, width*height),
		}
		square(x.Labels, width, 10, 10, 10, 1)
		square(x.Labels, width, 50, 10, 50, 1)
		square(x.Labels, width, 150, 10, 100, 1)
		square(x.Labels, width, 320, 10, 3, 1) // nine pixels do not count
		for i := range x.Scores {
			x.Scores[i] = 1
		}
		square(x.Scores, width, 10, 10, 10, 4)
		square(x.Scores, width, 50, 10, 25, 4)
		square(x.Scores, width, 75, 10, 25, 4)
		square(x.Scores, width, 150, 10, 100, 0.5)
		visits := func(_ context.Context, visit func(x *dataset.Labelled) error) error { return visit(x) }
		m, err := eval.Measure(t.Context(), d, eval.Result{}, visits, eval.Options{
			FPR: eval.FPRNearest, Components: true, Binned: binned,
		})
		if err != nil {
			t.Fatal(err)
		}
		// All in-distribution pixels have score 1, below the objects that are found and above the large one.
		normal := float64(width*height - 100 - 2500 - 10000 - 9)
		share := func(anomalous float64) float64 { return anomalous / (anomalous + normal) }
		want := []eval.AreaClass{
			{Class: "small", To: 32, Objects: 1, AP: 1, FPR95: 0, Recall: 1, SIoU: 1},
			{Class: "medium", From: 32, To: 96, Objects: 1, AP: 0.5 + 0.5*share(2500), FPR95: 1, Recall: 1, SIoU: 0.5},
			{Class: "large", From: 96, Objects: 1, AP: share(10000), FPR95: 1},
		}
		if m.Threshold < 3.9 || m.Threshold > 4.1 {
			t.Errorf("threshold %v, want that of the objects", m.Threshold)
		}
		if diff := cmp.Diff(want, m.Components.ByArea, cmpopts.EquateApprox(0, 1e-9)); diff != "" {
			t.Errorf("binned %v:\n%s", binned, diff)
		}
		if c := m.Components; c.Truth != 3 || math.Abs(c.SIoU-0.5/3) > 1e-9 {
			t.Errorf("%d components of sIoU %v, want 3 of 0.5 together: the default sizes drop the small prediction", c.Truth, c.SIoU)
		}
	}
}
