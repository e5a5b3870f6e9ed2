package detector

import "fmt"

// Mask marks the cells of a grid that lie in the region of interest. It is read-only and shared by the maps of one camera.
type Mask struct {
	Width, Height int
	Inside        []bool // Height × Width, row-major
	count         int
}

// Count returns the number of cells inside.
func (m *Mask) Count() int { return m.count }

// Bits returns the mask with one bit per cell, row-major, the first cell in the lowest bit of the first byte.
func (m *Mask) Bits() []byte {
	bits := make([]byte, (len(m.Inside)+7)/8)
	for i, in := range m.Inside {
		if in {
			bits[i/8] |= 1 << (i % 8)
		}
	}
	return bits
}

// Mask rasterises the region: a cell is inside when its centre is.
func (r ROI) Mask(width, height int) *Mask {
	m := &Mask{Width: width, Height: height, Inside: make([]bool, width*height)}
	for i := range m.Inside {
		x, y := float64(i%width)+0.5, float64(i/width)+0.5
		if r.contains(x/float64(width), y/float64(height)) {
			m.Inside[i] = true
			m.count++
		}
	}
	return m
}

// tokens returns the tokens of a grid of w × h whose scores contribute to a cell inside, in ascending order.
func (m *Mask) tokens(w, h int) []int {
	needed := make([]bool, w*h)
	// Guided upsampling reads the cells around a cell, and each of these reads the next token in each direction.
	reachX, reachY := (guideRadius*w+m.Width-1)/m.Width+1, (guideRadius*h+m.Height-1)/m.Height+1
	for i, in := range m.Inside {
		if !in {
			continue
		}
		x, y := (2*(i%m.Width)+1)*w/(2*m.Width), (2*(i/m.Width)+1)*h/(2*m.Height)
		for ty := max(0, y-reachY); ty <= min(h-1, y+reachY); ty++ {
			for tx := max(0, x-reachX); tx <= min(w-1, x+reachX); tx++ {
				needed[ty*w+tx] = true
			}
		}
	}
	var list []int
	for i, yes := range needed {
		if yes {
			list = append(list, i)
		}
	}
	return list
}

// regionOfInterest is an ROI on the grids of the newest encoding.
type regionOfInterest struct {
	roi           ROI
	mask          *Mask // nil: the whole image
	width, height int   // token grid
	tokens        []int // to score; nil: all
}

// rasterise updates the mask and the tokens if the grids have changed. A region without a cell is an error.
func (r *regionOfInterest) rasterise(enc *Encoding) error {
	if r.roi.Empty() {
		return nil
	}
	same := r.mask != nil && r.mask.Width == enc.LogitsWidth && r.mask.Height == enc.LogitsHeight &&
		r.width == enc.Width && r.height == enc.Height
	if same {
		return nil
	}
	mask := r.roi.Mask(enc.LogitsWidth, enc.LogitsHeight)
	if mask.count == 0 {
		return fmt.Errorf("%w: roi: contains no cell of the map's %d×%d: enlarge it or the working size",
			ErrSetting, enc.LogitsWidth, enc.LogitsHeight)
	}
	r.mask, r.width, r.height, r.tokens = mask, enc.Width, enc.Height, mask.tokens(enc.Width, enc.Height)
	if len(r.tokens) == enc.Width*enc.Height {
		r.tokens = nil
	}
	return nil
}
