package fit

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/detector/ort"
	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/models"
)

// cart is a place in which a textured box of 60 × 60 pixels moves by so many pixels in each frame of a tenth of a second.
type cart struct{ step, frames int }

func (s cart) Run(ctx context.Context, sink ingest.Sink) error {
	for i := range s.frames {
		if err := sink(ctx, s.frame(i)); err != nil {
			return err
		}
	}
	return nil
}

func (s cart) frame(i int) *ingest.Frame {
	f := ingest.NewFrame(320, 192)
	f.PTS, f.Captured = time.Duration(i)*time.Second/10, time.Unix(0, int64(i)*1e8)
	left := s.step * i % 240
	for p := range f.Width * f.Height {
		x, y := p%f.Width, p/f.Width
		v := 90 + 8*(x/7*5+y/9*3)%60
		if dx, dy := x-left, y-70; dx >= 0 && dx < 60 && dy >= 0 && dy < 60 {
			v = 150 + 10*(dx/10*3+dy/8*5)%90
		}
		f.Pix[3*p], f.Pix[3*p+1], f.Pix[3*p+2] = byte(v), byte(v), byte(v)
	}
	return f
}

// A fit learns how fast things move, and its bundle tells what moves faster as motion. Without motion it does not.
func TestFitLearnsMotion(t *testing.T) {
	for name, on := range map[string]bool{"on": true, "off": false} {
		t.Run(name, func(t *testing.T) {
			opt := quick(t, filepath.Join(t.TempDir(), "fitted"))
			opt.Bundle.Manifest.Compound = models.SizedCompound()
			opt.Motion, opt.Check, opt.Sources = on, 0, []ingest.Source{cart{1, 200}}
			mustRun(t, opt)
			b := openBundle(t, opt.Out)
			if w := b.Manifest.Compound.MotionWeight; (w > 0) != on {
				t.Errorf("motion_weight %v", w)
			}
			engine, err := ort.OpenEngine(b, detector.DefaultConfig(), ort.Options{Threads: 1})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = engine.Close() }()
			loud := func(step int) (n int) {
				engine.Detector.Forget()
				for i := range 12 {
					m := score(t, engine, cart{step, 0}.frame(i))
					for k, v := range m.Voices {
						if v == detector.VoiceMotion && m.Values[k] > m.Threshold {
							n++
						}
					}
				}
				return n
			}
			if n := loud(1); n > 0 {
				t.Errorf("%d cells of normal motion are told as motion", n)
			}
			if n := loud(4); (n > 0) != on {
				t.Errorf("%d cells are told as motion", n)
			}
		})
	}
}

// zoom is what a camera on a vehicle sees.
type zoom struct{ cart }

func (z zoom) Run(ctx context.Context, sink ingest.Sink) error {
	for i := range z.frames {
		f, from := ingest.NewFrame(320, 192), z.frame(0)
		f.PTS = time.Duration(i) * time.Second / 10
		scale := 1 + 0.03*float64(i%20)
		for p := range f.Width * f.Height {
			x, y := int(160+float64(p%320-160)/scale), int(96+float64(p/320-96)/scale)
			copy(f.Pix[3*p:3*p+3], from.Pix[3*(320*y+x):])
		}
		from.Release()
		if err := sink(ctx, f); err != nil {
			return err
		}
	}
	return nil
}

// Where the camera moves, motion does not count, and the fit says so.
func TestFitOnAMovingCamera(t *testing.T) {
	opt := quick(t, filepath.Join(t.TempDir(), "fitted"))
	opt.Bundle.Manifest.Compound = models.SizedCompound()
	opt.Motion, opt.Steps, opt.Check, opt.Sources = true, 10, 0, []ingest.Source{zoom{cart{1, 100}}}
	said := false
	opt.Progress = func(p Progress) { said = said || strings.Contains(p.Note, "the camera moves") }
	mustRun(t, opt)
	b := openBundle(t, opt.Out)
	if w := b.Manifest.Compound.MotionWeight; w != 0 || !said {
		t.Errorf("motion_weight %v, said %v", w, said)
	}
}

// Some pictures are compressed, which changes them a little.
func TestCompress(t *testing.T) {
	f, plain := cart{1, 0}.frame(3), cart{1, 0}.frame(3)
	compress(f, codecLowest)
	differ, far := 0, 0
	for i, v := range f.Pix {
		d := int(v) - int(plain.Pix[i])
		if d != 0 {
			differ++
		}
		if max(d, -d) > 60 {
			far++
		}
	}
	if differ < len(f.Pix)/4 || far > len(f.Pix)/50 {
		t.Errorf("%d of %d values differ, %d by much", differ, len(f.Pix), far)
	}
}
