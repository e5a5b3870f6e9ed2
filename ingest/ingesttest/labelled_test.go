package ingesttest_test

import (
	"bytes"
	"context"
	"math"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/ingest/ingesttest"
	"github.com/oodcast/oodcast/ingest/opencv"
	"github.com/oodcast/oodcast/ingest/source"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestPasteChangesWhatTheMaskSays(t *testing.T) {
	const w, h = 768, 576
	places := ingesttest.Places(1, 6, 10, 130)
	paster := newPaster(t, w, h, places, ingesttest.VTestForeground())
	for _, pl := range places {
		i := pl.From + (pl.To-pl.From)/4
		before := bytes.Repeat([]byte{90}, 3*w*h)
		after := bytes.Clone(before)
		mask := paster.Paste(after, i)
		var area, changed int
		for p, label := range mask {
			same := bytes.Equal(before[3*p:3*p+3], after[3*p:3*p+3])
			if label == ingesttest.Normal && !same {
				t.Fatalf("%s: pixel %d changed and is labelled normal", pl.Object, p)
			}
			if label == ingesttest.Anomalous {
				area++
				if !same {
					changed++
				}
			}
		}
		if share := float64(area) / (w * h); share < 0.004 || share > 0.08 || changed < area*95/100 {
			t.Errorf("%s covers %.4f of frame %d, %d of %d pixels changed", pl.Object, share, i, changed, area)
		}
		if again := paster.Paste(nil, i); !bytes.Equal(again, mask) {
			t.Errorf("%s: the mask of frame %d differs the second time", pl.Object, i)
		}
	}
	for i := range 140 {
		want := slices.ContainsFunc(places, func(p ingesttest.Placement) bool { return p.From <= i && i < p.To })
		if got := bytes.IndexByte(paster.Paste(nil, i), ingesttest.Anomalous) >= 0; got != want {
			t.Errorf("frame %d: an object is visible: %v, want %v", i, got, want)
		}
	}
}

func newPaster(
	t *testing.T, w, h int, places []ingesttest.Placement, foreground []ingesttest.Occluder,
) *ingesttest.Paster {
	t.Helper()
	p, err := ingesttest.NewPaster(w, h, places, foreground)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestPlacesDependOnTheSeedAlone(t *testing.T) {
	a, b := ingesttest.Places(7, 5, 0, 100), ingesttest.Places(7, 5, 0, 100)
	if diff := cmp.Diff(a, b); diff != "" {
		t.Error(diff)
	}
	if c := ingesttest.Places(8, 5, 0, 100); cmp.Equal(a[0], c[0]) {
		t.Error("another seed gave the same placement")
	}
}

// Objects on a road grow as they come nearer, on a ray from where the road vanishes.
func TestRoadPlacesComeNearer(t *testing.T) {
	vanishing := ingesttest.Point{X: 0.5, Y: 0.4}
	places := ingesttest.RoadPlaces(3, 8, 0, 60, vanishing, []string{"apple", "box"})
	if diff := cmp.Diff(places, ingesttest.RoadPlaces(3, 8, 0, 60, vanishing, []string{"apple", "box"})); diff != "" {
		t.Error(diff)
	}
	small, large := 1., 0.
	for i, p := range places {
		if p.From < 0 || p.To > 60 || len(p.Path) != p.To-p.From {
			t.Errorf("object %d: frames %d to %d with %d places", i, p.From, p.To, len(p.Path))
		}
		first, last := p.Path[0], p.Path[len(p.Path)-1]
		growth := last.Height / first.Height
		if growth < 3 || growth > 6 {
			t.Errorf("object %d grows by %v", i, growth)
		}
		for k, at := range p.Path {
			near := at.Height / last.Height
			if k > 0 && at.Height <= p.Path[k-1].Height || math.Abs(at.X-vanishing.X-near*(last.X-vanishing.X)) > 1e-9 ||
				math.Abs(at.Y-vanishing.Y-near*(last.Y-vanishing.Y)) > 1e-9 {
				t.Errorf("object %d, frame %d: %+v leaves its ray or does not grow", i, k, at)
			}
		}
		small, large = min(small, last.Height), max(large, last.Height)
	}
	if small < 10./540 || small > 20./540 || large < 50./540 || large > 100./540 {
		t.Errorf("last heights from %v to %v of the picture", small, large)
	}
}

// area is the number of anomalous pixels of frame i.
func area(p *ingesttest.Paster, i int) int {
	return bytes.Count(p.Paste(nil, i), []byte{ingesttest.Anomalous})
}

func TestOcclusionHides(t *testing.T) {
	places := []ingesttest.Placement{{
		Object: "apple", From: 0, To: 1, Path: []ingesttest.Waypoint{{X: 0.5, Y: 0.8, Height: 0.4}},
	}}
	right := ingesttest.Occluder{Outline: []float32{0.5, 0, 1, 0, 1, 1, 0.5, 1}, Foot: 1}
	whole := area(newPaster(t, 320, 240, places, nil), 0)
	if half := area(newPaster(t, 320, 240, places, []ingesttest.Occluder{right}), 0); half < whole*4/10 || half > whole*6/10 {
		t.Errorf("half hidden: %d of %d pixels", half, whole)
	}
	right.Foot = 0.7 // now the occluder stands behind the apple
	if all := area(newPaster(t, 320, 240, places, []ingesttest.Occluder{right}), 0); all != whole {
		t.Errorf("in front of the occluder: %d of %d pixels", all, whole)
	}
}

// An object rests, grows fourfold in area, and leaves at the border.
func TestPath(t *testing.T) {
	p := newPaster(t, 400, 400, []ingesttest.Placement{{
		Object: "orange", From: 5, To: 14, // frames 5, 7, 9, 11, 13 are the waypoints
		Path: []ingesttest.Waypoint{
			{X: 0.5, Y: 0.6, Height: 0.2},
			{X: 0.5, Y: 0.6, Height: 0.2},
			{X: 0.5, Y: 0.6, Height: 0.4},
			{X: 1, Y: 0.6, Height: 0.4},
			{X: 1.5, Y: 0.6, Height: 0.4},
		},
	}}, nil)
	start := area(p, 5)
	for _, c := range []struct {
		frame int
		share float64
	}{{4, 0}, {6, 1}, {7, 1}, {9, 4}, {11, 2}, {13, 0}, {14, 0}} {
		got := float64(area(p, c.frame)) / float64(start)
		if math.Abs(got-c.share) > 0.05*c.share {
			t.Errorf("frame %d: %.3f of the first area, want %.0f", c.frame, got, c.share)
		}
	}
}

func TestWriteLabelledClip(t *testing.T) {
	places := ingesttest.Places(3, 2, 5, 15)
	l := ingesttest.WriteLabelled(t, filepath.Join(t.TempDir(), "clip.mp4"), ingesttest.VTest, 100, 15, places)
	if l.Frames != 15 || l.Width != 768 || l.Height != 576 {
		t.Fatalf("%+v", l)
	}
	cfg := ingest.DefaultConfig()
	cfg.URI = l.Path
	src, err := source.New(cfg, ingest.NewPool(2), source.Settings{MayWait: true})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	err = src.Run(t.Context(), func(_ context.Context, f *ingest.Frame) error {
		n++
		f.Release()
		return nil
	})
	if err != nil || n != 15 {
		t.Errorf("the clip has %d frames, %v", n, err)
	}
}

func TestWriteLabelledFolder(t *testing.T) {
	dir := t.TempDir()
	ingesttest.WriteLabelledFolder(t, dir, ingesttest.VTest, 0, 10, 5, ingesttest.Places(3, 1, 0, 10))
	pictures, err := source.Pictures(filepath.Join(dir, "images"))
	if err != nil || len(pictures) != 2 {
		t.Fatalf("pictures %q, %v", pictures, err)
	}
	mask, err := opencv.ReadImage(filepath.Join(dir, "labels_masks", "000005.png"))
	if err != nil || mask.Width != 768 || !bytes.Contains(mask.Pix, []byte{1, 1, 1}) {
		t.Errorf("mask %v, %v", mask.Width, err)
	}
}

func TestClockSurvives(t *testing.T) {
	now := time.UnixMilli(time.Now().UnixMilli())
	f := ingest.NewFrame(320, 240)
	ingesttest.StampClock(f.Pix, f.Width, now)
	if got := ingesttest.ReadClock(f); !got.Equal(now) {
		t.Errorf("ReadClock = %v, want %v", got, now)
	}
}
