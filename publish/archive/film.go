package archive

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"slices"
	"time"

	"golang.org/x/image/draw"

	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/publish/vp8"
)

// still is a frame in memory: a JPEG, and then the picture of a film.
type still struct {
	at   time.Time // captured
	jpeg []byte    // nil when it is part of a film

	// Guarded by the lock of its recorder, which all films of a camera share.
	vp8  []byte // nil before it is encoded
	key  bool   // vp8 needs no picture before it
	size image.Point
	gone bool // the recorder has dropped it; a film may still have it
}

// bytes returns the memory that a still takes.
func (s *still) bytes() int { return len(s.jpeg) + len(s.vp8) }

const stillQuality = 85

// newStill compresses a frame, at most width pixels wide and with even sides.
func newStill(f *ingest.Frame, width int) (*still, error) {
	img := shrunk(ingest.FrameImage(f), width)
	var out bytes.Buffer
	if err := jpeg.Encode(&out, img, &jpeg.Options{Quality: stillQuality}); err != nil {
		return nil, fmt.Errorf("compress frame: %w", err)
	}
	return &still{at: f.Captured, jpeg: out.Bytes(), size: img.Rect.Size()}, nil
}

// shrunk returns img at most width pixels wide and with even sides.
func shrunk(img *image.RGBA, width int) *image.RGBA {
	w, h := img.Rect.Dx(), img.Rect.Dy()
	if w > width {
		w, h = width, h*width/w
	}
	w, h = max(w&^1, 2), max(h&^1, 2)
	if w == img.Rect.Dx() && h == img.Rect.Dy() {
		return img
	}
	out := image.NewRGBA(image.Rect(0, 0, w, h))
	draw.ApproxBiLinear.Scale(out, out.Rect, img, img.Rect, draw.Src, nil)
	return out
}

// film turns encoded stills into a WebM film that begins at from, or with the key picture before that. It leaves out stills of
// another size than the first: the camera has changed.
func film(stills []*still, from time.Time) ([]byte, error) {
	first := slices.IndexFunc(stills, func(s *still) bool { return s.vp8 != nil && !s.at.Before(from) })
	for first > 0 && !stills[first].key && stills[first-1].vp8 != nil {
		first--
	}
	var blocks []block
	var begin *still
	for _, s := range stills[max(first, 0):] {
		if s.vp8 == nil || begin == nil && !s.key || begin != nil && s.size != begin.size {
			continue
		}
		if begin == nil {
			begin = s
		}
		at := s.at.Sub(begin.at).Round(time.Millisecond)
		if n := len(blocks); n > 0 {
			at = max(at, blocks[n-1].at+time.Millisecond)
		}
		blocks = append(blocks, block{at, s.key, s.vp8})
	}
	if len(blocks) == 0 {
		return nil, errors.New("film: no frames")
	}
	return webm(begin.size.X, begin.size.Y, begin.at, blocks, lastShown(blocks)), nil
}

// lastShown returns how long the last picture of a film stands: as long as the average of the others.
func lastShown(blocks []block) time.Duration {
	n := len(blocks)
	if n < 2 {
		return time.Second
	}
	return blocks[n-1].at / time.Duration(n-1)
}

func filmConfig(size image.Point) vp8.Config {
	c := vp8.DefaultConfig(size.X, size.Y)
	c.Bitrate = min(max(size.X*size.Y/250, 200), 4000) // 1200 kbit/s at 640 × 480
	c.KeyInterval = gop
	return c
}
