package method_test

import (
	"bytes"
	"context"
	"errors"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/detector/eval"
	"github.com/oodcast/oodcast/detector/eval/dataset"
	"github.com/oodcast/oodcast/detector/eval/method"
	"github.com/oodcast/oodcast/ingest"
)

// labelled returns a data set of n images of 4×2 pixels, each with two anomalous pixels and one that does not count.
func labelled(t *testing.T, n int) *dataset.Dataset {
	t.Helper()
	root := t.TempDir()
	m := image.NewGray(image.Rect(0, 0, 4, 2))
	m.Pix = []uint8{0, 1, dataset.Ignore, 2, 0, 0, 0, 1}
	var mask bytes.Buffer
	if err := png.Encode(&mask, m); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		name := string(rune('a' + i))
		write(t, filepath.Join(root, "images", name+".jpg"), nil)
		write(t, filepath.Join(root, "labels_masks", name+".png"), mask.Bytes())
	}
	d, err := dataset.Open("folder", root)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func write(t *testing.T, path string, raw []byte) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, raw, 0o600)); err != nil {
		t.Fatal(err)
	}
}

// readSized returns a reader of frames of that size for any path, and checks that all frames are released.
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
	row := func(sign float32) method.Scorer {
		return func(_ context.Context, x *method.Encoded) (*detector.Map, error) {
			m := &detector.Map{Width: x.Width, Height: x.Height, Values: slices.Clone(x.LSE)}
			for i := range m.Values {
				m.Values[i] *= sign
			}
			return m, nil
		}
	}
	var told []method.Estimate
	maps, err := method.Score(t.Context(), d, readSized(t, 4, 2), encode, []method.Row{
		{Method: "up", Score: row(1)}, {Method: "down", Timesteps: 3, Score: row(-1)},
	}, func(e method.Estimate) {
		if told = append(told, e); encoded != 1 {
			t.Errorf("estimated after %d images", encoded)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(told) != 1 || told[0].Images != len(d.Items) || len(told[0].PerRow) != 2 || told[0].Left <= 0 {
		t.Errorf("estimates %+v, want one", told)
	}
	if encoded != len(d.Items) {
		t.Errorf("encoded %d times, want once per image, %d times", encoded, len(d.Items))
	}
	for i, want := range []float64{1, 0} {
		seen := make([]float32, len(d.Items))
		pool := eval.NewPool(len(d.Items))
		err := maps.Visits(i)(t.Context(), func(x *dataset.Labelled) error {
			seen[x.Index] = x.Scores[1]
			return pool.Set(x.Index, x.Scores, x.Labels, d.OOD)
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
	flat := method.Row{Method: "flat", Score: func(context.Context, *method.Encoded) (*detector.Map, error) {
		return &detector.Map{Width: 1, Height: 1, Values: []float32{0}}, nil
	}}
	maps, err := method.Score(t.Context(), d, readSized(t, 4, 2), encode, []method.Row{flat}, nil)
	if err != nil {
		t.Fatal(err)
	}
	wrong := errors.New("visitor")
	if err := maps.Visits(0)(t.Context(), func(*dataset.Labelled) error { return wrong }); !errors.Is(err, wrong) {
		t.Errorf("Visits = %v, want the visitor's error", err)
	}
	maps, err = method.Score(t.Context(), d, readSized(t, 8, 2), encode, []method.Row{flat}, nil)
	if err != nil {
		t.Fatal(err)
	}
	none := func(*dataset.Labelled) error { return nil }
	if err := maps.Visits(0)(t.Context(), none); !errors.Is(err, dataset.ErrLabels) {
		t.Errorf("a mask of another size: %v, want ErrLabels", err)
	}
	flat.Score = func(context.Context, *method.Encoded) (*detector.Map, error) { return nil, wrong }
	if _, err = method.Score(t.Context(), d, readSized(t, 4, 2), encode, []method.Row{flat}, nil); !errors.Is(err, wrong) {
		t.Errorf("Score = %v, want the row's error", err)
	}
}

func TestEstimateLine(t *testing.T) {
	e := method.Estimate{
		Rows:   []method.Row{{Method: "eps-mse", Timesteps: 5}, {Method: "lse"}},
		PerRow: []time.Duration{10912 * time.Millisecond, 53 * time.Millisecond}, Images: 31, Left: 329 * time.Second,
	}
	if got, want := e.String(), "30 more images take about 5m30s; an image takes 10.9s with eps-mse |T|=5, 50ms with lse"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	e.Images = 0
	if got, want := e.String(), "an image takes 10.9s with eps-mse |T|=5, 50ms with lse"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
