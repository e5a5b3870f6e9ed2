package evaluator_test

import (
	"fmt"
	"image"
	"image/color"
	"image/png"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"github.com/oodcast/oodcast/detector/eval/evaluator"
	"github.com/oodcast/oodcast/detector/ort"
	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/ingest/source"
	"github.com/oodcast/oodcast/models"
)

func TestMain(m *testing.M) {
	if _, err := ort.Find(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m)
}

// open returns an evaluator of the default bundle.
func open(t *testing.T, seed uint64) *evaluator.Evaluator {
	t.Helper()
	b, err := models.Open(models.Embedded)
	if err != nil {
		t.Fatal(err)
	}
	e, err := evaluator.Open(b, evaluator.Options{Seed: seed})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for range 2 { // twice is harmless
			if err := e.Close(); err != nil {
				t.Errorf("Close() = %v", err)
			}
		}
	})
	return e
}

// footage opens a video or a folder of pictures.
func footage(t *testing.T, path string) ingest.Source {
	t.Helper()
	cfg := ingest.DefaultConfig()
	cfg.URI = path
	pool := ingest.NewPool(4)
	t.Cleanup(func() {
		if n := pool.InFlight(); n != 0 {
			t.Errorf("%d frames not released", n)
		}
	})
	s, err := source.New(cfg, pool, source.Settings{MayWait: true})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// demoClip is Debian's vtest.avi: a fixed camera over a pavement, 768×576, 10 frames per second.
func demoClip(t *testing.T) string {
	t.Helper()
	for _, path := range []string{os.Getenv("OODCAST_DEMO_CLIP"), "/usr/share/doc/opencv-doc/examples/data/vtest.avi"} {
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	t.Fatal("vtest.avi is missing: make deps installs it")
	return ""
}

const pictureWidth, pictureHeight = 128, 96

// pictures writes n pictures of smooth noise into folder. With labelled, each has a bright square, which its mask marks.
func pictures(t *testing.T, folder string, n int, labelled bool) {
	t.Helper()
	const w, h = pictureWidth, pictureHeight
	r := rand.New(rand.NewPCG(1, uint64(n)))
	for i := range n {
		pic, mask := image.NewRGBA(image.Rect(0, 0, w, h)), image.NewGray(image.Rect(0, 0, w, h))
		phase, at := r.IntN(50), image.Pt(r.IntN(w-40), r.IntN(h-40))
		for y := range h {
			for x := range w {
				c := color.RGBA{uint8(x + phase), uint8(2*y + r.IntN(9)), uint8(x + y), 255}
				if labelled && image.Pt(x, y).Sub(at).In(image.Rect(0, 0, 36, 36)) {
					c = color.RGBA{255, uint8(r.IntN(256)), 255, 255}
					mask.SetGray(x, y, color.Gray{Y: 1})
				}
				pic.SetRGBA(x, y, c)
			}
		}
		name := fmt.Sprintf("%c.png", 'a'+i)
		writePNG(t, filepath.Join(folder, "images", name), pic)
		writePNG(t, filepath.Join(folder, "labels_masks", name), mask)
	}
}

func writePNG(t *testing.T, path string, m image.Image) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := png.Encode(f, m); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}
