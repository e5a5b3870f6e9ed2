package synth

import (
	"errors"
	"fmt"
	"image"
	_ "image/png" // pictures with alpha
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"

	_ "golang.org/x/image/webp"

	"github.com/oodcast/oodcast/detector/eval"
	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/ingest/opencv"
	"github.com/oodcast/oodcast/ingest/source"
)

// ErrNoObjects means that a folder has no picture out of which an object could be cut.
var ErrNoObjects = errors.New("synth: no object could be cut out")

const (
	objectSide  = 320 // longer side at which objects are kept: more than they are pasted with
	maxObjects  = 64  // 26 MB
	leastObject = 0.02
	mostObject  = 0.85
)

// Objects reads the pictures of a folder. A picture with transparent pixels is a cut-out already; out of any other, the object
// in its middle is cut ([opencv.CutOut]). skipped has one error for each picture without a usable object. From a folder with
// more pictures, 64 are chosen by the seed. There is none in the folder "".
func Objects(dir string, seed uint64) (objects []Object, skipped []error, err error) {
	if dir == "" {
		return nil, nil, nil
	}
	paths, err := source.Pictures(dir)
	if err != nil {
		return nil, nil, err
	}
	if len(paths) > maxObjects {
		r := rand.New(rand.NewPCG(seed, 0x6f626a65))
		r.Shuffle(len(paths), func(i, j int) { paths[i], paths[j] = paths[j], paths[i] })
		paths = paths[:maxObjects]
		slices.Sort(paths)
	}
	for _, path := range paths {
		name := filepath.Base(path)
		pic, err := cutOut(path)
		if err != nil {
			skipped = append(skipped, fmt.Errorf("%q: %w", name, err))
			continue
		}
		objects = append(objects, Object{name, pic})
	}
	if len(objects) == 0 {
		return nil, skipped, fmt.Errorf("%w of the pictures in %q: want pictures with alpha, or photographs of one thing each", ErrNoObjects, dir)
	}
	return objects, skipped, nil
}

var errNoObject = errors.New("no single thing in the middle")

// cutOut reads a picture and returns its object.
func cutOut(path string) (*image.NRGBA, error) {
	pic, err := transparent(path)
	if err != nil {
		return nil, err
	}
	if pic == nil {
		if pic, err = grab(path); err != nil {
			return nil, err
		}
	}
	return largest(pic)
}

// transparent returns a picture that has transparent pixels, and nil for any other.
func transparent(path string) (*image.NRGBA, error) {
	if ext := strings.ToLower(filepath.Ext(path)); ext != ".png" && ext != ".webp" {
		return nil, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	c, _, err := image.DecodeConfig(f)
	if err != nil {
		return nil, err
	}
	if err := ingest.CheckSize(c.Width, c.Height); err != nil {
		return nil, err
	}
	if _, err := f.Seek(0, 0); err != nil {
		return nil, err
	}
	m, _, err := image.Decode(f)
	if err != nil {
		return nil, err
	}
	if o, ok := m.(interface{ Opaque() bool }); ok && o.Opaque() {
		return nil, nil
	}
	return shrunk(m), nil
}

// grab cuts the object out of the middle of a photograph.
func grab(path string) (*image.NRGBA, error) {
	f, err := opencv.ReadImage(path)
	if err != nil {
		return nil, err
	}
	defer f.Release()
	pic := shrunk(ingest.FrameImage(f))
	w, h := pic.Rect.Dx(), pic.Rect.Dy()
	rgb := make([]byte, 3*w*h)
	for i := range w * h {
		copy(rgb[3*i:3*i+3], pic.Pix[4*i:])
	}
	alpha, err := opencv.CutOut(rgb, w, h)
	if err != nil {
		return nil, err
	}
	for i, a := range alpha {
		pic.Pix[4*i+3] = a
	}
	return pic, nil
}

// shrunk copies a picture; its longer side has at most objectSide pixels.
func shrunk(m image.Image) *image.NRGBA {
	b := m.Bounds()
	src := image.NewNRGBA(image.Rect(0, 0, b.Dx(), b.Dy()))
	for y := range b.Dy() {
		for x := range b.Dx() {
			src.Set(x, y, m.At(b.Min.X+x, b.Min.Y+y))
		}
	}
	if max(b.Dx(), b.Dy()) <= objectSide {
		return src
	}
	return scaled(src, objectSide, false)
}

// largest keeps the largest connected part of a cut-out and crops to it. A cut that took next to nothing or nearly everything
// has failed.
func largest(pic *image.NRGBA) (*image.NRGBA, error) {
	w, h := pic.Rect.Dx(), pic.Rect.Dy()
	numbers, sizes := eval.ConnectedComponents(w, h, func(i int) bool { return pic.Pix[4*i+3] >= 128 })
	top := 0
	for k := 1; k < len(sizes); k++ {
		if top == 0 || sizes[k] > sizes[top] {
			top = k
		}
	}
	if top == 0 || float64(sizes[top]) < leastObject*float64(w*h) || float64(sizes[top]) > mostObject*float64(w*h) {
		return nil, errNoObject
	}
	box := image.Rectangle{Min: pic.Rect.Max}
	for i, k := range numbers {
		if int(k) == top {
			at := image.Pt(i%w, i/w)
			box.Min = image.Pt(min(box.Min.X, at.X), min(box.Min.Y, at.Y))
			box.Max = image.Pt(max(box.Max.X, at.X+1), max(box.Max.Y, at.Y+1))
		}
	}
	out := image.NewNRGBA(image.Rect(0, 0, box.Dx(), box.Dy()))
	for y := range box.Dy() {
		for x := range box.Dx() {
			i := (box.Min.Y+y)*w + box.Min.X + x
			if k := numbers[i]; int(k) == top || k == 0 { // soft pixels around the object stay
				copy(out.Pix[y*out.Stride+4*x:][:4], pic.Pix[4*i:])
			}
		}
	}
	return out, nil
}
