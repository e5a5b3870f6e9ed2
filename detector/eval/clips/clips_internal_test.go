package clips

import (
	"context"
	"errors"
	"image"
	"image/color"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/detector/eval/dataset"
	"github.com/oodcast/oodcast/detector/eval/method"
	"github.com/oodcast/oodcast/detector/events"
	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/ingest/source"
)

const side, cell = 64, 4

// object is a square of the clip, bright and, if truth is set, labelled.
type object struct {
	from, to, x, y int
	value          uint8
	truth          bool
}

// writeSet writes clips of 20 frames with objects that move by a pixel per frame, in the layout of a folder of clips.
func writeSet(t *testing.T, root string, clips map[string][]object) {
	t.Helper()
	for name, objects := range clips {
		for i := range 20 {
			pic, mask := image.NewGray(image.Rect(0, 0, side, side)), image.NewGray(image.Rect(0, 0, side, side))
			for _, o := range objects {
				if i < o.from || i >= o.to {
					continue
				}
				for y := range 12 {
					for x := range 12 {
						pic.SetGray(o.x+i+x, o.y+y, color.Gray{Y: o.value})
						if o.truth {
							mask.SetGray(o.x+i+x, o.y+y, color.Gray{Y: 255})
						}
					}
				}
			}
			for dir, m := range map[string]*image.Gray{"test": pic, "test_masks": mask} {
				path := filepath.Join(root, dir, name, strconv.Itoa(100+i)+".png")
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				f, err := os.Create(path)
				if err != nil {
					t.Fatal(err)
				}
				if err := errors.Join(png.Encode(f, m), f.Close()); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}

// brightness is a row whose map is the mean brightness of each cell, with a threshold of 0.2.
func brightness() method.Row {
	return method.Row{Method: "brightness", Score: func(_ context.Context, x *method.Encoded) (*detector.Map, error) {
		m := &detector.Map{Width: side / cell, Height: side / cell, Threshold: 0.2, Captured: x.Frame.Captured}
		m.Values = make([]float32, m.Width*m.Height)
		for i := range side * side {
			m.Values[i/side/cell*m.Width+i%side/cell] += float32(x.Frame.Pix[3*i]) / (255 * cell * cell)
		}
		return m, nil
	}}
}

func evaluate(t *testing.T, clips map[string][]object) Result {
	t.Helper()
	root := t.TempDir()
	writeSet(t, root, clips)
	set, err := dataset.OpenClips("folder", root)
	if err != nil {
		t.Fatal(err)
	}
	encode := func(context.Context, *ingest.Frame) (*detector.Encoding, error) { return &detector.Encoding{}, nil }
	row := brightness()
	cfg := events.DefaultConfig()
	cfg.MinDuration = 200 * time.Millisecond
	res, err := Evaluate(t.Context(), set, encode, []method.Row{row}, Options{Tracker: cfg, Open: func(path string, fps float64) (ingest.Source, error) {
		c := ingest.DefaultConfig()
		c.URI, c.FPS = path, fps
		return source.New(c, ingest.NewPool(2), source.Settings{MayWait: true})
	}})
	if err != nil {
		t.Fatal(err)
	}
	return res[0]
}

// What is found perfectly has full marks everywhere.
func TestPerfectMaps(t *testing.T) {
	r := evaluate(t, map[string][]object{"a": {{from: 5, to: 15, x: 4, y: 8, value: 255, truth: true}}, "b": {{from: 0, to: 20, x: 4, y: 40, value: 255, truth: true}}})
	if r.Frames != 40 || r.Clips != 2 || math.Abs(r.Seconds-4) > 1e-6 || r.Frame.Share != 0.75 {
		t.Errorf("%+v", r)
	}
	if f := r.Frame; f.AUROC != 1 || f.Macro != 1 || f.MacroClips != 1 || f.EER != 0 || f.AP != 1 || f.Smoothed < 0.9 {
		t.Errorf("frames %+v", f)
	}
	if g := r.Regions; g == nil || g.RBDC != 1 || g.TBDC != 1 || g.Regions != 30 || g.Tracks != 2 || g.Labelled {
		t.Errorf("regions %+v", g)
	}
	if p := r.Pixel; p == nil || p.AUROC < 0.99 {
		t.Errorf("pixels %+v", p)
	}
	if e := r.Events; e == nil || e.Objects != 2 || e.Found != 2 || e.False != 0 || e.DelayP50 > 0.3 {
		t.Errorf("events %+v", e)
	}
}

// A normal object as bright as the anomalous one is a false event and a false detection; a fainter one comes later in the curve.
func TestFalseDetections(t *testing.T) {
	r := evaluate(t, map[string][]object{
		"a": {{from: 0, to: 20, x: 4, y: 8, value: 200, truth: true}}, "b": {{from: 0, to: 10, x: 4, y: 40, value: 255}},
	})
	if e := r.Events; e.Objects != 1 || e.Found != 1 || e.False != 1 || math.Abs(e.FalsePerHour-900) > 1 {
		t.Errorf("events %+v", e)
	}
	// Half of the 20 normal frames score higher than all anomalous ones, which score higher than the other half.
	if f := r.Frame; math.Abs(f.AUROC-0.5) > 1e-9 || f.MacroClips != 0 || math.Abs(f.EER-0.5) > 1e-9 {
		t.Errorf("frames %+v", f)
	}
	// The false detections, ten in 40 frames, come before the first true one.
	if g := r.Regions; math.Abs(g.RBDC-0.75) > 1e-9 || math.Abs(g.TBDC-0.75) > 1e-9 || g.Tracks != 1 {
		t.Errorf("regions %+v", g)
	}
}

// The ROC curve crosses the diagonal at a point, or between two where scores tie.
func TestEqualError(t *testing.T) {
	scores := []float32{0.9, 0.8, 0.7, 0.6, 0.55, 0.5, 0.4, 0.3}
	labels := []uint8{1, 0, 1, 0, 1, 0, 1, 0}
	if e := equalError(scores, labels); math.Abs(e-0.5) > 1e-9 {
		t.Errorf("EER %v, want 0.5", e)
	}
	if e := equalError([]float32{3, 2, 2, 1}, []uint8{1, 1, 0, 0}); e != 0.25 {
		t.Errorf("EER with a tie %v, want 0.25", e)
	}
}

func TestArea(t *testing.T) {
	// From 0.5 false detections per frame on, half is found; beyond 1 nothing counts.
	if a := area([]float64{2, 0.5, 0.25}, []float64{1, 0.5, 0}); a != 0.25 {
		t.Errorf("area %v, want 0.25", a)
	}
}

// Regions of the masks keep their track while they overlap; the next clip begins anew.
func TestLink(t *testing.T) {
	at := func(x float64) region { return region{-1, events.Box{X: x, Y: 0, Width: 0.1, Height: 0.1}} }
	frames := []frame{{regions: []region{at(0), at(0.5)}}, {regions: []region{at(0.55), at(0.05)}}, {}, {regions: []region{at(0.1)}}}
	if n := link(frames, 0); n != 3 || frames[1].regions[0].track != 1 || frames[1].regions[1].track != 0 || frames[3].regions[0].track != 2 {
		t.Errorf("%d tracks, %+v", n, frames)
	}
}
