package flow_test

import (
	"context"
	"errors"
	"math"
	"slices"
	"testing"

	"github.com/oodcast/oodcast/detector/flow"
	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/ingest/ingesttest"
	"github.com/oodcast/oodcast/ingest/source"
)

// A window that moves over real footage is a moving camera whose motion is known. Its flow is found to a fraction of a cell of
// a map, but for the people who walk.
func TestMovingWindowOverFootage(t *testing.T) {
	const w, h, frames = 512, 384, 6
	cfg := ingest.DefaultConfig()
	cfg.URI = ingesttest.VTest
	pool := ingest.NewPool(2)
	src, err := source.New(cfg, pool, source.Settings{MayWait: true})
	if err != nil {
		t.Fatal(err)
	}
	tracker, done := flow.New(256), errors.New("done")
	window := make([]byte, 3*w*h)
	var wrong []float64 // in pixels
	trusted, n := 0, 0
	corner := func(i int) (x, y int) { return 20 + 25*i, 100 - 12*i }
	err = src.Run(t.Context(), func(_ context.Context, f *ingest.Frame) error {
		defer f.Release()
		i := int(f.Seq)
		if i == frames {
			return done
		}
		x0, y0 := corner(i)
		for y := range h {
			copy(window[3*w*y:3*w*(y+1)], f.Pix[3*((y0+y)*f.Width+x0):])
		}
		if moved := tracker.Next(window, w, h); moved != (i > 0) {
			t.Errorf("frame %d: moved %v", i, moved)
		} else if !moved {
			return nil
		}
		for y := 40; y < h-40; y += 8 {
			for x := 40; x < w-40; x += 8 {
				o := tracker.At((float64(x)+0.5)/w, (float64(y)+0.5)/h)
				wrong = append(wrong, math.Hypot(float64(o.X)*w-0.5-float64(x+25), float64(o.Y)*h-0.5-float64(y-12)))
				if n++; o.Trust > 0.5 {
					trusted++
				}
			}
		}
		return nil
	})
	if !errors.Is(err, done) {
		t.Fatal(err)
	}
	slices.Sort(wrong)
	if median, most := wrong[len(wrong)/2], wrong[len(wrong)*9/10]; median > 1 || most > 4 {
		t.Errorf("the flow is wrong by %v pixels in the median and by more than %v in a tenth, want 1 and 4", median, most)
	}
	if trusted < n*85/100 {
		t.Errorf("%d of %d points are trusted", trusted, n)
	}
	if n := pool.InFlight(); n != 0 {
		t.Errorf("%d frames not released", n)
	}
}
