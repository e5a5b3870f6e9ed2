package archive

import (
	"bytes"
	"fmt"
	"image"
	"image/jpeg"
	"slices"
	"time"

	"github.com/oodcast/oodcast/publish/vp8"
)

// gop is the number of stills that are encoded together. The first of them is a key picture, so that the films of all cameras
// share one encoder, which takes 11 MB for 640 × 480, and all films of a camera its pictures.
const gop = 15

// filmEncoder encodes the stills of all cameras. It is not safe for concurrent use.
type filmEncoder struct {
	enc   *vp8.Encoder // nil: none
	size  image.Point
	clock time.Duration // of the rate control: the time between the stills of a group, whichever camera it is from
	i420  []byte
}

// encode encodes stills of one size, which are not encoded yet, as a group: the first is a key picture. It stops after the
// first, or later, when over reports true, and returns the number of stills that are done, which put takes over one by one.
func (e *filmEncoder) encode(stills []*still, over func() bool, put func(s *still, vp8 []byte, key bool)) (n int, err error) {
	for i, s := range stills {
		if i > 0 && over() {
			return i, nil
		}
		img, err := jpeg.Decode(bytes.NewReader(s.jpeg))
		if err != nil {
			return i, fmt.Errorf("film: %w", err)
		}
		picture, ok := img.(*image.YCbCr)
		if !ok || picture.SubsampleRatio != image.YCbCrSubsampleRatio420 || picture.Rect.Size() != s.size {
			return i, fmt.Errorf("film: a still is %T of %v, want 4:2:0 of %v", img, img.Bounds(), s.size)
		}
		if e.enc == nil || e.size != s.size {
			e.close()
			if e.enc, err = vp8.NewEncoder(filmConfig(s.size)); err != nil {
				return i, fmt.Errorf("film: %w", err)
			}
			e.size, e.clock = s.size, 0
		}
		step := time.Second / 5
		if i > 0 {
			step = min(s.at.Sub(stills[i-1].at), time.Second)
		}
		e.clock += step
		e.i420 = toI420(e.i420, picture)
		data, key, err := e.enc.Encode(e.i420, e.clock, i == 0)
		if err != nil {
			return i, fmt.Errorf("film: %w", err)
		}
		put(s, bytes.Clone(data), key)
	}
	return len(stills), nil
}

// close frees the encoder; the next group makes another.
func (e *filmEncoder) close() {
	if e.enc != nil {
		_ = e.enc.Close() // never fails
		e.enc = nil
	}
}

// group returns the first stills of list that can be encoded together.
func group(list []*still) []*still {
	n := slices.IndexFunc(list, func(s *still) bool { return s.vp8 != nil || s.size != list[0].size })
	if n < 0 {
		n = len(list)
	}
	return list[:min(n, gop)]
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
