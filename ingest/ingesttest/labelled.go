package ingesttest

import (
	"context"
	"errors"
	"image"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/ingest/opencv"
)

// Labels of a truth mask, as the anomaly segmentation benchmarks use them.
const (
	Normal    byte = 0
	Anomalous byte = 1
	Ignore    byte = 255 // the soft outline of a pasted object
)

// Placement is where and when an object is pasted into a clip. Positions are of the middle of its lower edge, as shares
// of the picture's width and height; between From and To they and the height change evenly.
type Placement struct {
	Object   string
	From, To int // frames: From is the first with the object, To the first without it again
	X0, Y0   float64
	X1, Y1   float64
	// Height0 and Height1 are shares of the picture's height.
	Height0, Height1 float64
	// Behind is where the object is hidden, as if something stood in front of it, in shares of the picture.
	Behind [4]float64 // left, top, right, bottom
}

// Paster pastes objects into pictures of one size. It is deterministic.
type Paster struct {
	W, H    int
	Places  []Placement
	cutouts map[string]Cutout
}

// NewPaster reads the objects that the placements name.
func NewPaster(tb testing.TB, w, h int, places []Placement) *Paster {
	tb.Helper()
	p := &Paster{W: w, H: h, Places: places, cutouts: Cutouts(tb)}
	for _, pl := range places {
		if _, ok := p.cutouts[pl.Object]; !ok {
			tb.Fatalf("no object %q, want one of %q", pl.Object, ObjectNames())
		}
	}
	return p
}

// Paste draws the objects of frame i over packed RGB pixels and returns the truth: one label a pixel, row by row. rgb
// may be nil when only the truth is wanted.
func (p *Paster) Paste(rgb []byte, i int) []byte {
	mask := make([]byte, p.W*p.H)
	for _, pl := range p.Places {
		if i < pl.From || i >= pl.To {
			continue
		}
		at := float64(i-pl.From) / float64(max(pl.To-pl.From-1, 1))
		along := func(a, b float64) float64 { return a + (b-a)*at }
		height := int(math.Round(along(pl.Height0, pl.Height1) * float64(p.H)))
		object := p.cutouts[pl.Object].Scaled(max(height, 4))
		size := object.Bounds().Size()
		corner := image.Pt(
			int(math.Round(along(pl.X0, pl.X1)*float64(p.W)))-size.X/2,
			int(math.Round(along(pl.Y0, pl.Y1)*float64(p.H)))-size.Y)
		p.draw(rgb, mask, object, corner, p.rect(pl.Behind))
	}
	return mask
}

func (p *Paster) rect(shares [4]float64) image.Rectangle {
	px := func(share float64, side int) int { return int(math.Round(share * float64(side))) }
	return image.Rect(px(shares[0], p.W), px(shares[1], p.H), px(shares[2], p.W), px(shares[3], p.H))
}

func (p *Paster) draw(rgb, mask []byte, object *image.NRGBA, corner image.Point, hidden image.Rectangle) {
	frame := image.Rect(0, 0, p.W, p.H)
	for y := range object.Rect.Dy() {
		for x := range object.Rect.Dx() {
			at := corner.Add(image.Pt(x, y))
			c := object.NRGBAAt(x, y)
			if c.A == 0 || !at.In(frame) || at.In(hidden) {
				continue
			}
			i := at.Y*p.W + at.X
			switch {
			case c.A >= 128:
				mask[i] = Anomalous
			case mask[i] != Anomalous:
				mask[i] = Ignore
			}
			if rgb == nil {
				continue
			}
			for k, v := range [3]byte{c.R, c.G, c.B} {
				rgb[3*i+k] = byte((int(v)*int(c.A) + int(rgb[3*i+k])*(255-int(c.A)) + 127) / 255)
			}
		}
	}
}

// Places returns n objects that cross the lower two thirds of a clip one after the other between the frames from and
// to, about as large as people; some grow, some pass behind something. The seed decides everything.
func Places(seed uint64, n, from, to int) []Placement {
	random := rand.New(rand.NewPCG(seed, 0x6f6f64))
	between := func(a, b float64) float64 { return a + (b-a)*random.Float64() }
	names := ObjectNames()
	random.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	places := make([]Placement, 0, n)
	slot := float64(to-from) / float64(n)
	for i := range n {
		pl := Placement{
			Object: names[i%len(names)],
			From:   from + int(float64(i)*slot), To: from + int(float64(i+1)*slot),
			X0: between(0.1, 0.9), Y0: between(0.45, 0.95),
			Height0: between(0.14, 0.24),
		}
		pl.X1, pl.Y1 = clamp(pl.X0+between(-0.3, 0.3), 0.05, 0.95), clamp(pl.Y0+between(-0.1, 0.1), 0.4, 1)
		pl.Height1 = pl.Height0 * between(0.8, 1.25)
		if i%3 == 2 { // a post on its way
			middle := (pl.X0 + pl.X1) / 2
			pl.Behind = [4]float64{middle - 0.015, 0, middle + 0.015, 1}
		}
		places = append(places, pl)
	}
	return places
}

func clamp(v, low, high float64) float64 { return min(max(v, low), high) }

// Labelled is a clip with known objects in it.
type Labelled struct {
	Path          string
	Width, Height int
	Frames        int
	FPS           float64

	paster *Paster
}

// Mask is the truth of frame i: one label a pixel, row by row.
func (l *Labelled) Mask(i int) []byte { return l.paster.Paste(nil, i) }

// Places is where the objects are.
func (l *Labelled) Places() []Placement { return l.paster.Places }

// WriteLabelled writes frames first to first+n-1 of the video src with the objects in it to dst, which is a .mp4 or
// .avi file. Placements count frames from the start of dst.
func WriteLabelled(tb testing.TB, dst, src string, first, n int, places []Placement) *Labelled {
	tb.Helper()
	l := &Labelled{Path: dst, FPS: 10}
	var out *opencv.VideoWriter
	err := eachFrame(tb, src, first, n, func(f *ingest.Frame) error {
		if out == nil {
			var err error
			l.Width, l.Height = f.Width, f.Height
			l.paster = NewPaster(tb, f.Width, f.Height, places)
			if out, err = opencv.Open(dst, l.FPS, f.Width, f.Height); err != nil {
				return err
			}
		}
		rgb := append([]byte(nil), f.Pix...)
		l.paster.Paste(rgb, l.Frames)
		l.Frames++
		return out.Write(rgb)
	})
	if out == nil {
		tb.Fatalf("label %q: no frame: %v", src, err)
	}
	if err := errors.Join(err, out.Close()); err != nil {
		tb.Fatal(err)
	}
	return l
}

// WriteLabelledFolder writes every stride-th of the same pictures to dir/images/N.png and their truth to
// dir/labels_masks/N.png, the layout of the anomaly segmentation benchmarks, without any compression loss.
func WriteLabelledFolder(tb testing.TB, dir, src string, first, n, stride int, places []Placement) *Labelled {
	tb.Helper()
	l := &Labelled{Path: dir, FPS: 10}
	for _, sub := range []string{"images", "labels_masks"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			tb.Fatal(err)
		}
	}
	err := eachFrame(tb, src, first, n, func(f *ingest.Frame) error {
		if l.paster == nil {
			l.Width, l.Height = f.Width, f.Height
			l.paster = NewPaster(tb, f.Width, f.Height, places)
		}
		i := l.Frames
		l.Frames++
		if i%stride != 0 {
			return nil
		}
		rgb := append([]byte(nil), f.Pix...)
		mask := l.paster.Paste(rgb, i)
		truth := make([]byte, 0, 3*len(mask))
		for _, v := range mask {
			truth = append(truth, v, v, v)
		}
		name := strconv.Itoa(i) + ".png"
		return errors.Join(
			opencv.WriteImage(filepath.Join(dir, "images", name), f.Width, f.Height, rgb),
			opencv.WriteImage(filepath.Join(dir, "labels_masks", name), f.Width, f.Height, truth))
	})
	if err != nil {
		tb.Fatal(err)
	}
	return l
}

// errEnough ends a run after the frames that were wanted.
var errEnough = errors.New("enough frames")

// eachFrame calls do with frames first to first+n-1 of a video.
func eachFrame(tb testing.TB, path string, first, n int, do func(*ingest.Frame) error) error {
	tb.Helper()
	cfg := ingest.DefaultConfig()
	cfg.URI = path
	src, err := opencv.New(cfg, ingest.NewPool(2))
	if err != nil {
		return err
	}
	err = src.Run(tb.Context(), func(_ context.Context, f *ingest.Frame) error {
		defer f.Release()
		if f.Seq < uint64(first) {
			return nil
		}
		if f.Seq >= uint64(first+n) {
			return errEnough
		}
		return do(f)
	})
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}
