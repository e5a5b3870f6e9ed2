package trial_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/oodcast/oodcast/detector/eval/method"
	"github.com/oodcast/oodcast/detector/eval/trial"
	"github.com/oodcast/oodcast/detector/ort"
	"github.com/oodcast/oodcast/detector/synth"
	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/ingest/source"
	"github.com/oodcast/oodcast/models"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// clip opens Debian's vtest.avi.
func clip(t *testing.T, pool *ingest.Pool) ingest.Source {
	t.Helper()
	for _, path := range []string{os.Getenv("OODCAST_DEMO_CLIP"), "/usr/share/doc/opencv-doc/examples/data/vtest.avi"} {
		if _, err := os.Stat(path); err != nil {
			continue
		}
		cfg := ingest.DefaultConfig()
		cfg.URI = path
		s, err := source.New(cfg, pool, source.Settings{MayWait: true})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	t.Fatal("vtest.avi is missing: make deps installs it")
	return nil
}

func generator(t *testing.T) *synth.Generator {
	t.Helper()
	cfg := synth.DefaultConfig()
	cfg.Kinds = []synth.Kind{synth.KindNoise}
	g, err := synth.New(cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// Features that tell noise from footage find regions under noise, others do not, and features that never vary are an error.
func TestScore(t *testing.T) {
	pool := ingest.NewPool(4)
	frames, err := trial.Read(t.Context(), []ingest.Source{clip(t, pool)}, generator(t))
	if err != nil {
		t.Fatal(err)
	}
	if n := len(frames.Normal) + len(frames.Pasted); n < trial.Count/2 || n > trial.Count || len(frames.Pasted) < n/4 ||
		pool.InFlight() != 0 {
		t.Errorf("%d and %d frames, %d in flight", len(frames.Normal), len(frames.Pasted), pool.InFlight())
	}
	rt, err := ort.Open("")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rt.Close() }()
	product, err := ort.NewProduct()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = product.Close() }()
	spec := models.EncoderSpec{Size: models.Size{Width: 768, Height: 576}, Stride: 16}
	rough, err := frames.Score(t.Context(), roughness, spec, product)
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	blind, err := frames.Score(t.Context(), func(_ []uint8, _, _ int, s models.Size) (map[string]models.Output, error) {
		o := grid(s, 4)
		for i := range o.Data {
			o.Data[i] = float32(rng.NormFloat64())
		}
		return map[string]models.Output{"features": o}, nil
	}, spec, product)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("AP %.3f of features that see noise, %.3f of features that see nothing", rough.AP, blind.AP)
	if !(rough.AP > 0.4 && blind.AP < 0.1 && rough.Milliseconds > 0) {
		t.Errorf("%+v of features that see noise, %+v of features that see nothing", rough, blind)
	}
	flat := func(_ []uint8, _, _ int, s models.Size) (map[string]models.Output, error) {
		return map[string]models.Output{"features": grid(s, 8)}, nil
	}
	if _, err := frames.Score(t.Context(), flat, spec, product); !errors.Is(err, method.ErrReference) {
		t.Errorf("features that do not vary: %v", err)
	}
}

func grid(s models.Size, channels int) models.Output {
	h, w := s.Height/16, s.Width/16
	return models.Output{Shape: []int64{int64(h), int64(w), int64(channels)}, Data: make([]float32, h*w*channels)}
}

// roughness is the mean difference of neighbouring pixels of a colour in cells of 16 × 16 pixels.
func roughness(rgb []uint8, width, height int, s models.Size) (map[string]models.Output, error) {
	o := grid(s, 3)
	h, w := int(o.Shape[0]), int(o.Shape[1])
	for y := range height {
		for x := 1; x < width; x++ {
			at := y*h/height*w + x*w/width
			for c := range 3 {
				d := float64(rgb[3*(y*width+x)+c]) - float64(rgb[3*(y*width+x-1)+c])
				o.Data[3*at+c] += float32(math.Abs(d)) / 256
			}
		}
	}
	return map[string]models.Output{"features": o}, nil
}

// still is a source of n black frames.
type still struct{ n, side int }

func (s still) Run(ctx context.Context, sink ingest.Sink) error {
	for range s.n {
		if err := sink(ctx, ingest.NewFrame(s.side, s.side)); err != nil {
			return fmt.Errorf("still: %w", err)
		}
	}
	return nil
}

func TestReadRefuses(t *testing.T) {
	for name, s := range map[string]still{"short": {5, 64}, "small": {100, 8}} {
		if _, err := trial.Read(t.Context(), []ingest.Source{s}, generator(t)); !errors.Is(err, trial.ErrFootage) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for n := trial.Count - 1; n < 3*trial.Count; n += 7 {
		f, err := trial.Read(t.Context(), []ingest.Source{still{n, 32}}, generator(t))
		if err != nil || len(f.Normal)+len(f.Pasted) > trial.Count || len(f.Normal)+len(f.Pasted) < trial.Count/2 {
			t.Errorf("%d frames gave %d and %d, %v", n, len(f.Normal), len(f.Pasted), err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := trial.Read(ctx, []ingest.Source{still{100, 32}}, generator(t)); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}
