package fit

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/oodcast/oodcast/detector/ort"
	"github.com/oodcast/oodcast/detector/ort/orttest"
	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/models"
)

func TestMain(m *testing.M) {
	if _, err := ort.Find(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m)
}

// yard is a finite source of frames with a gradient, drifting brightness and noise.
type yard struct {
	frames int
	at     func(n int) // called before frame n; may be nil
}

func (y yard) Run(ctx context.Context, sink ingest.Sink) error {
	for n := range y.frames {
		if y.at != nil {
			y.at(n)
		}
		if ctx.Err() != nil {
			return nil
		}
		if err := sink(ctx, yardFrame(uint64(n), 0, 0)); err != nil {
			return err
		}
	}
	return nil
}

// yardFrame draws frame n, with a red square at x if side > 0.
func yardFrame(n uint64, x, side int) *ingest.Frame {
	r := rand.New(rand.NewPCG(n, 3))
	f := ingest.NewFrame(128, 64)
	f.Camera, f.Seq, f.Captured = "yard", n, time.Unix(int64(n), 0)
	drift := 10 * r.Float64()
	for i := range f.Width * f.Height {
		px, py := i%f.Width, i/f.Width
		for c := range 3 {
			v := 60 + drift + float64(px)/2 + float64(c*py)/3 + 20*r.Float64()
			if px >= x && px < x+side && py >= 16 && py < 16+side {
				v = []float64{240, 20, 20}[c]
			}
			f.Pix[3*i+c] = byte(min(v, 255))
		}
	}
	return f
}

// emptyBundle writes an encoder-only bundle and opens it.
func emptyBundle(t *testing.T) *models.Bundle {
	t.Helper()
	model, err := orttest.MeanEncoder()
	if err != nil {
		t.Fatal(err)
	}
	m := models.DefaultManifest()
	m.Name, m.Encoder = "yard", orttest.Spec()
	dir := filepath.Join(t.TempDir(), "encoder")
	if err := models.Write(dir, m, map[string][]byte{models.EncoderFile: model}); err != nil {
		t.Fatal(err)
	}
	return openBundle(t, dir)
}

func openBundle(t *testing.T, dir string) *models.Bundle {
	t.Helper()
	b, err := models.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// quick returns options for a fit that takes a second.
func quick(t *testing.T, out string) Options {
	t.Helper()
	cfg := DefaultConfig()
	cfg.Steps, cfg.Batch, cfg.Width, cfg.Jitter = 150, 256, 32, false
	return Options{
		Config: cfg, Bundle: emptyBundle(t), Out: out, Sources: []ingest.Source{yard{frames: 60}},
		SourceNames: []string{"yard"}, ORT: ort.Options{Threads: 1},
	}
}

func mustRun(t *testing.T, opt Options) *Result {
	t.Helper()
	res, err := Run(t.Context(), opt)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}
