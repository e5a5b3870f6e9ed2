package ingesttest_test

import (
	"bytes"
	"context"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/ingest/ingesttest"
	"github.com/oodcast/oodcast/ingest/opencv"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestPasteChangesWhatTheMaskSays(t *testing.T) {
	const w, h = 768, 576
	places := ingesttest.Places(1, 6, 10, 130)
	paster := ingesttest.NewPaster(t, w, h, places)
	for _, pl := range places {
		i := (pl.From + pl.To) / 2
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
			t.Errorf("%s: the mask of frame %d is not the same the second time", pl.Object, i)
		}
	}
	for _, i := range []int{0, 9, 130} {
		if bytes.ContainsFunc(paster.Paste(nil, i), func(r rune) bool { return r != 0 }) {
			t.Errorf("frame %d has an object, want none outside of 10..129", i)
		}
	}
}

func TestPlacesDependOnTheSeedAlone(t *testing.T) {
	a, b := ingesttest.Places(7, 5, 0, 100), ingesttest.Places(7, 5, 0, 100)
	for i := range a {
		if a[i] != b[i] {
			t.Errorf("placement %d: %+v and %+v", i, a[i], b[i])
		}
	}
	if c := ingesttest.Places(8, 5, 0, 100); c[0] == a[0] {
		t.Error("another seed gave the same placement")
	}
}

func TestOcclusionHides(t *testing.T) {
	pl := ingesttest.Placement{
		Object: "apple", From: 0, To: 1, X0: 0.5, X1: 0.5, Y0: 0.8, Y1: 0.8, Height0: 0.4, Height1: 0.4,
	}
	area := func() (n int) {
		for _, v := range ingesttest.NewPaster(t, 320, 240, []ingesttest.Placement{pl}).Paste(nil, 0) {
			if v == ingesttest.Anomalous {
				n++
			}
		}
		return n
	}
	whole := area()
	pl.Behind = [4]float64{0.5, 0, 1, 1}
	if half := area(); half < whole*4/10 || half > whole*6/10 {
		t.Errorf("half hidden: %d of %d pixels", half, whole)
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
	src, err := opencv.New(cfg, ingest.NewPool(2))
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
	pictures, err := opencv.Pictures(filepath.Join(dir, "images"))
	if err != nil || len(pictures) != 2 {
		t.Fatalf("pictures %q, %v", pictures, err)
	}
	mask, err := opencv.ReadImage(filepath.Join(dir, "labels_masks", "5.png"))
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
