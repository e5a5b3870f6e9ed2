package archive

import (
	"bytes"
	"fmt"
	"image"
	"image/jpeg"
	"time"

	"golang.org/x/image/draw"

	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/publish/vp8"
)

// still is a frame in memory, as a JPEG.
type still struct {
	at   time.Time // captured
	jpeg []byte
}

const stillQuality = 85

// newStill compresses a frame, at most width pixels wide and with even sides.
func newStill(f *ingest.Frame, width int) (still, error) {
	img := shrunk(ingest.FrameImage(f), width)
	var out bytes.Buffer
	if err := jpeg.Encode(&out, img, &jpeg.Options{Quality: stillQuality}); err != nil {
		return still{}, fmt.Errorf("compress frame: %w", err)
	}
	return still{f.Captured, out.Bytes()}, nil
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

// film turns stills into a WebM film. It leaves out stills of another size than the first: the camera has changed. When
// over reports true, the film ends before the next still and whole is false; it plays all the same.
func film(stills []still, over func() bool) (data []byte, whole bool, err error) {
	var enc *vp8.Encoder
	defer func() {
		if enc != nil {
			_ = enc.Close() // never fails
		}
	}()
	var blocks []block
	var size image.Point
	var i420 []byte
	begin := time.Time{}
	whole = true
	for _, s := range stills {
		if whole = len(blocks) == 0 || !over(); !whole {
			break
		}
		img, err := jpeg.Decode(bytes.NewReader(s.jpeg))
		if err != nil {
			return nil, false, fmt.Errorf("film: %w", err)
		}
		picture, ok := img.(*image.YCbCr)
		if !ok || picture.SubsampleRatio != image.YCbCrSubsampleRatio420 {
			return nil, false, fmt.Errorf("film: a still is %T, want 4:2:0", img)
		}
		if enc == nil {
			size, begin = picture.Rect.Size(), s.at
			if enc, err = vp8.NewEncoder(filmConfig(size)); err != nil {
				return nil, false, fmt.Errorf("film: %w", err)
			}
		}
		at := s.at.Sub(begin).Round(time.Millisecond)
		if picture.Rect.Size() != size || len(blocks) > 0 && at <= blocks[len(blocks)-1].at {
			continue
		}
		i420 = toI420(i420, picture)
		data, key, err := enc.Encode(i420, at, false)
		if err != nil {
			return nil, false, fmt.Errorf("film: %w", err)
		}
		blocks = append(blocks, block{at, key, bytes.Clone(data)})
	}
	if len(blocks) == 0 {
		return nil, false, fmt.Errorf("film: no frames")
	}
	return webm(size.X, size.Y, begin, blocks, lastShown(blocks)), whole, nil
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
	c.KeyInterval = 50
	return c
}

// toI420 converts the full-range planes of a JPEG to the limited range of video: Y 16 … 235, Cb and Cr 16 … 240.
func toI420(dst []byte, p *image.YCbCr) []byte {
	w, h := p.Rect.Dx(), p.Rect.Dy()
	cw, ch := (w+1)/2, (h+1)/2
	if n := vp8.I420Size(w, h); cap(dst) < n {
		dst = make([]byte, n)
	} else {
		dst = dst[:n]
	}
	at := 0
	plane := func(src []byte, stride, w, h, scale int) {
		for y := range h {
			for _, v := range src[y*stride:][:w] {
				dst[at] = byte((int(v)*scale+127)/255 + 16)
				at++
			}
		}
	}
	plane(p.Y, p.YStride, w, h, 219)
	plane(p.Cb, p.CStride, cw, ch, 224)
	plane(p.Cr, p.CStride, cw, ch, 224)
	return dst
}
