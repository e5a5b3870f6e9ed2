package synth_test

import (
	"context"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/ingest/source"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// street is a source of frames with a gradient and noise that differ from frame to frame.
type street struct {
	frames, width, height int
}

func (s street) Run(ctx context.Context, sink ingest.Sink) error {
	for n := range s.frames {
		if ctx.Err() != nil {
			return nil
		}
		f := ingest.NewFrame(s.width, s.height)
		f.Seq, f.Captured = uint64(n), time.Unix(int64(n), 0)
		copy(f.Pix, streetPixels(s.width, s.height, n))
		if err := sink(ctx, f); err != nil {
			return err
		}
	}
	return nil
}

func streetPixels(width, height, n int) []byte {
	r := rand.New(rand.NewPCG(uint64(n), 7))
	rgb := make([]byte, 3*width*height)
	for i := range rgb {
		x, y := i/3%width, i/3/width
		rgb[i] = byte(60 + 80*x/width + 60*y/height + 10*(i%3) + r.IntN(12) + n)
	}
	return rgb
}

// clip opens Debian's vtest.avi.
func clip(t *testing.T) (ingest.Source, *ingest.Pool) {
	t.Helper()
	for _, path := range []string{os.Getenv("OODCAST_DEMO_CLIP"), "/usr/share/doc/opencv-doc/examples/data/vtest.avi"} {
		if _, err := os.Stat(path); err != nil {
			continue
		}
		cfg := ingest.DefaultConfig()
		cfg.URI = path
		pool := ingest.NewPool(3)
		s, err := source.New(cfg, pool, source.Settings{MayWait: true})
		if err != nil {
			t.Fatal(err)
		}
		return s, pool
	}
	t.Fatal("vtest.avi is missing: make deps installs it")
	return nil, nil
}
