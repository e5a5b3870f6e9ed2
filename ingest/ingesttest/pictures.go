package ingesttest

import (
	"context"
	"testing"

	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/ingest/source"
)

// VTest is footage from Debian's package opencv-doc: a fixed camera over a pavement, 768x576, 10 frames per second, 795
// frames.
const VTest = Photographs + "/vtest.avi"

// Photographs is the folder of the pictures in the same package.
const Photographs = "/usr/share/doc/opencv-doc/examples/data"

// Picture draws picture i of a stream into rgb, w*h packed pixels.
type Picture func(rgb []byte, w, h, i int)

// Bars draws a bright bar that walks over a gradient from picture to picture.
func Bars(rgb []byte, w, h, i int) {
	bar := i * 4 % w
	for y := range h {
		for x := range w {
			p := rgb[3*(y*w+x):][:3]
			p[0], p[1], p[2] = byte(255*x/w), byte(255*y/h), byte(96)
			if x >= bar && x < bar+w/16 {
				p[0], p[1], p[2] = 240, 240, 60
			}
		}
	}
}

// Clip returns a Picture that repeats the first n pictures of a video, scaled to w x h.
func Clip(tb testing.TB, path string, w, h, n int) Picture {
	tb.Helper()
	cfg := ingest.DefaultConfig()
	cfg.URI, cfg.Width, cfg.Height = path, w, h
	src, err := source.New(cfg, ingest.NewPool(2), source.Settings{MayWait: true})
	if err != nil {
		tb.Fatal(err)
	}
	ctx, stop := context.WithCancel(tb.Context())
	defer stop()
	var pictures [][]byte
	err = src.Run(ctx, func(_ context.Context, f *ingest.Frame) error {
		defer f.Release()
		pictures = append(pictures, append([]byte(nil), f.Pix...))
		if len(pictures) == n {
			stop()
		}
		return nil
	})
	if err != nil || len(pictures) == 0 {
		tb.Fatalf("clip %q: %d pictures, %v", path, len(pictures), err)
	}
	return func(rgb []byte, _, _, i int) { copy(rgb, pictures[i%len(pictures)]) }
}
