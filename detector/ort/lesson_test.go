package ort_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/detector/ort"
	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/ingest/ingesttest"
	"github.com/oodcast/oodcast/models"
)

// peakIn is the highest value of a map in a box.
func peakIn(m *detector.Map, x, y, w, h float64) (peak float32) {
	peak = -1e9
	for i, v := range m.Values {
		cx, cy := (float64(i%m.Width)+0.5)/float64(m.Width), (float64(i/m.Width)+0.5)/float64(m.Height)
		if cx > x && cx < x+w && cy > y && cy < y+h {
			peak = max(peak, v)
		}
	}
	return peak
}

// An object on the lawn of vtest.avi is taught as normal from one frame. In later frames, its score is low at that place. A
// wrong lesson blinds nobody: other things at the same place score as before, and so does the object elsewhere. To the old
// bundle, a squirrel is like an apple; to both, an orange is.
func TestLesson(t *testing.T) {
	frames := thinned(t, demoClip(t), 20)
	spot, elsewhere := ingesttest.Waypoint{X: 0.3, Y: 0.85, Height: 0.12}, ingesttest.Waypoint{X: 0.6, Y: 0.95, Height: 0.12}
	for name, others := range map[string][]string{
		models.Embedded: {"butterfly", "box"}, models.Default: {"butterfly", "box", "squirrel", "dog"},
	} {
		t.Run(name, func(t *testing.T) {
			b, err := models.Open(name)
			if errors.Is(err, models.ErrNotFound) || err == nil && b.Substitute != "" {
				t.Skipf("SKIPPED: lessons were not tried on %s: run make deps, where PyPI can be reached", name)
			}
			if err != nil {
				t.Fatal(err)
			}
			cfg := detector.DefaultConfig()
			cfg.Timesteps, cfg.DriftWindow = 1, 0
			engine, err := ort.OpenEngine(b, cfg, ort.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := engine.Close(); err != nil {
					t.Error(err)
				}
			}()
			det, err := engine.NewDetector(cfg)
			if err != nil {
				t.Fatal(err)
			}
			peak := func(object string, at ingesttest.Waypoint, i int) float32 {
				f := ingest.NewFrame(frames[i].Width, frames[i].Height)
				copy(f.Pix, frames[i].Pix)
				f.Captured = time.Unix(int64(1000+i), 0)
				p, err := ingesttest.NewPaster(f.Width, f.Height,
					[]ingesttest.Placement{{Object: object, To: 1, Path: []ingesttest.Waypoint{at}}}, nil)
				if err != nil {
					t.Fatal(err)
				}
				p.Paste(f.Pix, 0)
				m, err := det.Score(context.Background(), f)
				if err != nil {
					t.Fatal(err)
				}
				return peakIn(m, at.X-0.06, at.Y-at.Height, 0.12, at.Height)
			}
			alone := map[string]float32{}
			for _, o := range others {
				alone[o] = peak(o, spot, 25)
			}
			for _, o := range []string{"apple", "orange"} {
				det.SetLessons(nil)
				before := peak(o, spot, 5)
				l, err := det.Cut(spot.X-0.06, spot.Y-spot.Height, 0.12, spot.Height)
				if err != nil {
					t.Fatal(err)
				}
				away := peak(o, elsewhere, 25)
				det.SetLessons([]*detector.Lesson{l})
				for _, i := range []int{12, 25, 38} {
					if after := peak(o, spot, i); after > before/2 {
						t.Errorf("%s scores %.1f in frame %d, and %.1f before it was taught", o, after, i, before)
					}
				}
				for _, other := range others {
					if got := peak(other, spot, 25); got < 0.8*alone[other] {
						t.Errorf("after %s was taught, %s at its place scores %.1f instead of %.1f", o, other, got, alone[other])
					}
				}
				if got := peak(o, elsewhere, 25); got < 0.99*away {
					t.Errorf("%s elsewhere scores %.1f instead of %.1f", o, got, away)
				}
				t.Logf("%s: %.1f before, others %v, elsewhere %.1f", o, before, alone, away)
			}
		})
	}
}
