package eval_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/detector/eval"
	"github.com/oodcast/oodcast/ingest"
)

// labelled is a data set of n 4×2 images, each with two anomalous and one ignored pixel.
func labelled(t *testing.T, n int) *eval.Dataset {
	t.Helper()
	root := t.TempDir()
	for i := range n {
		name := string(rune('a' + i))
		touch(t, root, "images/"+name+".jpg", "labels_masks/"+name+".png")
	}
	d, err := eval.Open("folder", root)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// readSized makes frames of that size whatever the path, and checks that they are released.
func readSized(t *testing.T, w, h int) func(string) (*ingest.Frame, error) {
	t.Helper()
	pool := ingest.NewPool(1)
	t.Cleanup(func() {
		if n := pool.InFlight(); n != 0 {
			t.Errorf("%d frames not released", n)
		}
	})
	return func(string) (*ingest.Frame, error) { return pool.Get(t.Context(), w, h) }
}

func TestScoreEncodesOnceAndPoolsEveryRow(t *testing.T) {
	d := labelled(t, 5)
	encoded := 0
	encode := func(context.Context, *ingest.Frame) (*detector.Encoding, error) {
		encoded++
		return &detector.Encoding{Width: 4, Height: 2, LSE: []float32{0, float32(encoded), 9, 0, 0, 0, 0, 8}}, nil
	}
	row := func(sign float32) eval.Scorer {
		return func(_ context.Context, x *eval.Encoded) (*detector.Map, error) {
			m := &detector.Map{Width: x.Width, Height: x.Height, Values: slices.Clone(x.LSE)}
			for i := range m.Values {
				m.Values[i] *= sign
			}
			return m, nil
		}
	}
	maps, err := eval.Score(t.Context(), d, readSized(t, 4, 2), encode, []eval.Row{
		{Method: "up", Score: row(1)}, {Method: "down", Score: row(-1)},
	})
	if err != nil {
		t.Fatal(err)
	}
	if encoded != len(d.Items) {
		t.Errorf("encoded %d times, want once for each of %d images", encoded, len(d.Items))
	}
	for i, want := range []float64{1, 0} {
		seen := make([]float32, len(d.Items))
		pool, err := d.Pool(t.Context(), maps.Visits(i), func(x *eval.Labelled) error {
			seen[x.Index] = x.Scores[1]
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		m, err := pool.Metrics()
		if err != nil || m.AUROC != want {
			t.Errorf("row %d: AUROC %v, %v; want %v", i, m.AUROC, err, want)
		}
		for j, v := range seen {
			if v != float32(j+1)*(1-2*float32(i)) {
				t.Errorf("row %d, image %d: saw score %v", i, j, v)
			}
		}
		if len(maps.Milliseconds(i)) != len(d.Items) {
			t.Errorf("row %d: %d latencies", i, len(maps.Milliseconds(i)))
		}
	}
}

func TestVisitsEndWithTheFirstError(t *testing.T) {
	d := labelled(t, 3)
	encode := func(context.Context, *ingest.Frame) (*detector.Encoding, error) {
		return &detector.Encoding{}, nil
	}
	flat := eval.Row{Method: "flat", Score: func(context.Context, *eval.Encoded) (*detector.Map, error) {
		return &detector.Map{Width: 1, Height: 1, Values: []float32{0}}, nil
	}}
	maps, err := eval.Score(t.Context(), d, readSized(t, 4, 2), encode, []eval.Row{flat})
	if err != nil {
		t.Fatal(err)
	}
	wrong := errors.New("visitor")
	if err := maps.Visits(0)(t.Context(), func(*eval.Labelled) error { return wrong }); !errors.Is(err, wrong) {
		t.Errorf("Visits = %v, want the visitor's error", err)
	}
	maps, err = eval.Score(t.Context(), d, readSized(t, 8, 2), encode, []eval.Row{flat})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Pool(t.Context(), maps.Visits(0)); !errors.Is(err, eval.ErrLabels) {
		t.Errorf("a mask of another size: %v, want ErrLabels", err)
	}
	flat.Score = func(context.Context, *eval.Encoded) (*detector.Map, error) { return nil, wrong }
	if _, err = eval.Score(t.Context(), d, readSized(t, 4, 2), encode, []eval.Row{flat}); !errors.Is(err, wrong) {
		t.Errorf("Score = %v, want the row's error", err)
	}
}
