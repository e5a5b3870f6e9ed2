package ort_test

import (
	"context"
	"errors"
	"os"
	"testing"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/detector/events"
	"github.com/oodcast/oodcast/detector/ort"
	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/ingest/ingesttest"
	"github.com/oodcast/oodcast/ingest/source"
	"github.com/oodcast/oodcast/models"
)

// An object that walks over real footage, among people whom the road bundle finds strange too, is one event from beginning
// to end: its region flickers, but neither its id changes nor does it get a second one.
func TestEventFollowsAPastedObject(t *testing.T) {
	clip := os.Getenv("OODCAST_DEMO_CLIP")
	if clip == "" {
		clip = "/usr/share/doc/opencv-doc/examples/data/vtest.avi"
	}
	bundle, err := models.Open(models.Embedded)
	if err != nil {
		t.Fatal(err)
	}
	cfg := detector.DefaultConfig()
	cfg.Timesteps, cfg.Threshold = 3, 4
	engine, err := ort.OpenEngine(bundle, cfg, ort.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer engine.Close()
	det, err := engine.NewDetector(cfg)
	if err != nil {
		t.Fatal(err)
	}
	tracker := events.NewTracker(events.DefaultConfig())
	const first, frames, stride = 60, 100, 2 // ten seconds, five maps a second
	place := ingesttest.Placement{
		Object: "dog", To: frames, Path: []ingesttest.Waypoint{{X: 0.12, Y: 0.97, Height: 0.26}, {X: 0.45, Y: 0.99, Height: 0.28}},
	}
	paster, err := ingesttest.NewPaster(768, 576, []ingesttest.Placement{place}, nil)
	if err != nil {
		t.Fatal(err)
	}
	var maps, covered, switches int
	var last string
	enough := errors.New("enough")
	in := ingest.DefaultConfig()
	in.URI = clip
	source, err := source.New(in, ingest.NewPool(2), source.Settings{MayWait: true})
	if err != nil {
		t.Fatal(err)
	}
	err = source.Run(t.Context(), func(ctx context.Context, f *ingest.Frame) error {
		i := int(f.Seq) - first
		if i < 0 || i%stride != 0 || i >= frames {
			f.Release()
			if i >= frames {
				return enough
			}
			return nil
		}
		truth := boxOf(paster.Paste(f.Pix, i), f.Width, f.Height)
		f.Captured = f.Captured.Truncate(0).Add(f.PTS) // on the footage's clock, whatever this machine's speed
		m, err := det.Score(ctx, f)
		if err != nil {
			return err
		}
		tracker.Update(m)
		maps++
		best, id := 0.2, ""
		for _, e := range tracker.Open() {
			if v := overlap(e.Box, truth); v > best {
				best, id = v, e.ID
			}
		}
		if id != "" {
			covered++
			if last != "" && id != last {
				switches++
			}
			last = id
		}
		return nil
	})
	if err != nil && !errors.Is(err, enough) {
		t.Fatal(err)
	}
	t.Logf("%d maps, an event on the object in %d of them, its id changes %d times", maps, covered, switches)
	if maps != frames/stride || covered < maps*6/10 || switches > 1 {
		t.Errorf("%d maps, covered %d, %d changes of the id, want %d maps, six tenths covered, at most one change",
			maps, covered, switches, frames/stride)
	}
}

// boxOf is the rectangle around what a truth mask says is anomalous.
func boxOf(mask []byte, w, h int) events.Box {
	x0, y0, x1, y1 := w, h, 0, 0
	for i, v := range mask {
		if v == ingesttest.Anomalous {
			x, y := i%w, i/w
			x0, y0, x1, y1 = min(x0, x), min(y0, y), max(x1, x+1), max(y1, y+1)
		}
	}
	return events.Box{
		X: float64(x0) / float64(w), Y: float64(y0) / float64(h),
		Width: float64(x1-x0) / float64(w), Height: float64(y1-y0) / float64(h),
	}
}

// overlap is the intersection of two boxes over their union.
func overlap(a, b events.Box) float64 {
	w := min(a.X+a.Width, b.X+b.Width) - max(a.X, b.X)
	h := min(a.Y+a.Height, b.Y+b.Height) - max(a.Y, b.Y)
	if w <= 0 || h <= 0 {
		return 0
	}
	return w * h / (a.Width*a.Height + b.Width*b.Height - w*h)
}
