package precision

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/oodcast/oodcast/detector/fit"
	"github.com/oodcast/oodcast/detector/ort"
	"github.com/oodcast/oodcast/detector/synth"
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

// street is a source of frames with a gradient and noise that differ from frame to frame.
type street struct{ frames int }

func (s street) Run(ctx context.Context, sink ingest.Sink) error {
	for n := range s.frames {
		f := ingest.NewFrame(192, 96)
		f.Seq, f.Captured = uint64(n), time.Unix(int64(n), 0)
		r := rand.New(rand.NewPCG(uint64(n), 7))
		bright := r.IntN(60)
		for i := range f.Pix {
			x, y := i/3%f.Width, i/3/f.Width
			f.Pix[i] = byte(40 + bright + (x*(3+n%4)+y)%70 + 10*(i%3) + r.IntN(12))
		}
		if err := sink(ctx, f); err != nil {
			return err
		}
	}
	return nil
}

// footage is a street of so many frames.
func footage(frames int) synth.Footage {
	return synth.Footage{
		Open: func() ([]ingest.Source, error) { return []ingest.Source{street{frames}}, nil }, Names: []string{"street"},
	}
}

func open(t *testing.T, name string) *models.Bundle {
	t.Helper()
	b, err := models.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// quiet returns the embedded bundle with maps that show next to nothing but the network's uncertainty, and so have next to no noise.
func quiet(t *testing.T) *models.Bundle {
	t.Helper()
	cfg := fit.DefaultConfig()
	cfg.Check, cfg.Set = 0, []string{"compound.rule=standardised", "compound.lse_weight=1000"}
	res, err := fit.Run(t.Context(), fit.Options{
		Config: cfg, Bundle: open(t, models.Embedded), Sources: []ingest.Source{street{12}}, SourceNames: []string{"street"},
		Out: filepath.Join(t.TempDir(), "quiet"), CalibrateOnly: true, ORT: ort.Options{Threads: 1},
	})
	if err != nil {
		t.Fatal(err)
	}
	return open(t, res.Out)
}
