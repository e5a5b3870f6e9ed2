package ingest

import (
	"fmt"
	"image"
	"sync/atomic"
	"time"
)

// MaxSide and MaxPixels bound the pictures that are decoded: a forged header must not allocate gigabytes.
const (
	MaxSide   = 16384
	MaxPixels = 1 << 26
)

// CheckSize returns ErrUnreadable for a picture that is too large to be decoded.
func CheckSize(width, height int) error {
	if width <= 0 || height <= 0 || width > MaxSide || height > MaxSide || width*height > MaxPixels {
		return fmt.Errorf("%w: %dx%d pixels, want at most %d per side and %d megapixels", ErrUnreadable, width, height, MaxSide,
			MaxPixels>>20)
	}
	return nil
}

// Frame is one picture of a stream. Its pixels belong to a Pool and are valid until the last reference is released.
type Frame struct {
	// Camera is the name of the stream (Config.Name).
	Camera string
	// Seq numbers the frames that the source has read, from 0, including those that were dropped later.
	Seq uint64
	// Captured is when the frame was read from the stream, on this machine's wall clock, with a monotonic part.
	Captured time.Time
	// PTS is the position in the stream, 0 for the first frame. It keeps growing over reconnects and loops.
	PTS time.Duration
	// Width and Height are in pixels.
	Width, Height int
	// Pix is packed RGB, 8 bits per channel, row-major: 3*Width*Height bytes.
	Pix []byte

	refs atomic.Int32
	pool *Pool
	buf  []byte // the memory of Pix, kept between uses
}

// NewFrame returns a black frame with one reference that belongs to no pool.
func NewFrame(width, height int) *Frame {
	f := &Frame{}
	f.reset(width, height)
	clear(f.Pix)
	return f
}

// Retain takes another reference and returns f. The caller must hold a reference.
func (f *Frame) Retain() *Frame {
	if f.refs.Add(1) <= 1 {
		panic("ingest: Frame retained after its last Release")
	}
	return f
}

// Release gives up one reference. The last one returns the pixels to the pool.
func (f *Frame) Release() {
	switch n := f.refs.Add(-1); {
	case n == 0:
		poison(f.buf) // does nothing without -race
		if f.pool != nil {
			f.pool.put(f)
		}
	case n < 0:
		panic("ingest: Frame released twice")
	}
}

// reset makes f a new frame of the given size with one reference. It leaves the pixels undefined.
func (f *Frame) reset(width, height int) {
	if width <= 0 || height <= 0 {
		panic(fmt.Sprintf("ingest: frame of %dx%d pixels", width, height))
	}
	n := 3 * width * height
	if cap(f.buf) < n || cap(f.buf) > 4*n {
		f.buf = make([]byte, n)
	}
	f.Camera, f.Seq, f.Captured, f.PTS = "", 0, time.Time{}, 0
	f.Width, f.Height, f.Pix = width, height, f.buf[:n:n]
	f.refs.Store(1)
}

// FrameImage copies the pixels of f into an image. It does not release f.
func FrameImage(f *Frame) *image.RGBA {
	img := image.NewRGBA(image.Rect(0, 0, f.Width, f.Height))
	for i, n := 0, f.Width*f.Height; i < n; i++ {
		copy(img.Pix[4*i:4*i+3], f.Pix[3*i:3*i+3])
		img.Pix[4*i+3] = 0xFF
	}
	return img
}
