package ingesttest

import (
	"fmt"
	"image"
	"math"
)

// The labels of a truth mask, as in the anomaly segmentation benchmarks.
const (
	Normal    byte = 0
	Anomalous byte = 1
	Ignore    byte = 255 // the soft outline of a pasted object
)

// Paster pastes objects into pictures of one size. It is deterministic.
type Paster struct {
	W, H    int
	Places  []Placement
	cutouts map[string]Cutout
	hiders  []hider
}

// hider is an occluder in the size of the pictures.
type hider struct {
	foot int
	mask *image.Alpha
}

// NewPaster returns a paster for pictures of w x h pixels. It reads the objects that the placements name.
func NewPaster(w, h int, places []Placement, foreground []Occluder) (*Paster, error) {
	cutouts, err := Cutouts()
	if err != nil {
		return nil, err
	}
	p := &Paster{W: w, H: h, Places: places, cutouts: cutouts}
	for _, pl := range places {
		if _, ok := cutouts[pl.Object]; !ok {
			return nil, fmt.Errorf("paste %q: no such object, want one of %q", pl.Object, ObjectNames())
		}
		if len(pl.Path) == 0 {
			return nil, fmt.Errorf("paste %q: the placement has no path", pl.Object)
		}
	}
	for _, o := range foreground {
		p.hiders = append(p.hiders, hider{int(math.Round(o.Foot * float64(h))), o.mask(w, h)})
	}
	return p, nil
}

// Paste draws the objects of frame i over packed RGB pixels and returns the truth: one label per pixel, row by row. With a nil
// rgb it only returns the truth.
func (p *Paster) Paste(rgb []byte, i int) []byte {
	mask := make([]byte, p.W*p.H)
	for _, pl := range p.Places {
		if i < pl.From || i >= pl.To {
			continue
		}
		at := pl.at(i)
		object := p.cutouts[pl.Object].Scaled(max(int(math.Round(at.Height*float64(p.H))), 4))
		size := object.Bounds().Size()
		p.draw(rgb, mask, object, image.Pt(
			int(math.Round(at.X*float64(p.W)))-size.X/2, int(math.Round(at.Y*float64(p.H)))-size.Y))
	}
	return mask
}

func (p *Paster) draw(rgb, mask []byte, object *image.NRGBA, corner image.Point) {
	frame := image.Rect(0, 0, p.W, p.H)
	foot := corner.Y + object.Rect.Dy()
	for y := range object.Rect.Dy() {
		for x := range object.Rect.Dx() {
			at := corner.Add(image.Pt(x, y))
			c := object.NRGBAAt(x, y)
			if c.A == 0 || !at.In(frame) || p.hidden(at, foot) {
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

// hidden reports whether an occluder hides, at the given pixel, an object that stands on the line foot.
func (p *Paster) hidden(at image.Point, foot int) bool {
	for _, h := range p.hiders {
		if foot < h.foot && h.mask.AlphaAt(at.X, at.Y).A >= 128 {
			return true
		}
	}
	return false
}
