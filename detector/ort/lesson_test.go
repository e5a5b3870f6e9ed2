package ort_test

import (
	"context"
	"fmt"
	"os"
	"slices"
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

func TestLessonSpike(t *testing.T) {
	b, err := models.Open(os.Getenv("SPIKE"))
	if err != nil {
		t.Fatal(err)
	}
	cfg := detector.DefaultConfig()
	cfg.Timesteps = 1
	cfg.DriftWindow = 0
	engine, err := ort.OpenEngine(b, cfg, ort.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer engine.Close()
	det, err := engine.NewDetector(cfg)
	if err != nil {
		t.Fatal(err)
	}
	frames := thinned(t, demoClip(t), 20)
	fmt.Println(len(frames), "frames", frames[0].Width)
	for range 1 {
		for _, spot := range []ingesttest.Waypoint{{X: 0.45, Y: 0.5, Height: 0.1}, {X: 0.8, Y: 0.62, Height: 0.14}} {
			x, y, w, h := spot.X-0.06, spot.Y-spot.Height, 0.12, spot.Height
			names := ingesttest.ObjectNames()
			with := func(name string, i int) *detector.Map {
				f := ingest.NewFrame(frames[i].Width, frames[i].Height)
				copy(f.Pix, frames[i].Pix)
				f.Captured = time.Unix(int64(1000+i), 0)
				if name != "" {
					p, err := ingesttest.NewPaster(f.Width, f.Height, []ingesttest.Placement{{Object: name, To: 1000, Path: []ingesttest.Waypoint{spot}}}, nil)
					if err != nil {
						t.Fatal(err)
					}
					p.Paste(f.Pix, 1)
				}
				m, err := det.Score(context.Background(), f)
				if err != nil {
					t.Fatal(err)
				}
				return m
			}
			for _, taught := range names {
				det.SetLessons(nil)
				before := peakIn(with(taught, 2), x, y, w, h)
				l, err := det.Cut(x, y, w, h)
				if err != nil {
					t.Fatal(err)
				}
				det.SetLessons([]*detector.Lesson{l})
				var same []float32
				for i := 3; i < len(frames); i += 7 {
					same = append(same, peakIn(with(taught, i), x, y, w, h))
				}
				others := ""
				for _, o := range names {
					if o != taught {
						det.SetLessons(nil)
						alone := peakIn(with(o, 5), x, y, w, h)
						det.SetLessons([]*detector.Lesson{l})
						others += fmt.Sprintf(" %.1f>%.1f", alone, peakIn(with(o, 5), x, y, w, h))
					}
				}
				slices.Sort(same)
				fmt.Printf("%v %v %-12s threshold %.1f before %.1f after median %.1f max %.1f; others%s\n", 0.75, spot, taught, det.Control().Get().Threshold, before, same[len(same)/2], same[len(same)-1], others)
			}
		}
	}
}
