package scene

import (
	"math"

	"github.com/oodcast/oodcast/ingest"
)

const (
	gridWidth  = 96      // cells in a row; cells are as high as they are wide
	maxSamples = 120_000 // pixels that are read of a frame, about
)

// picture is a frame on the grid of cells, row-major.
type picture struct {
	width, height int
	colour        []float32 // three mean values per cell, 0 … 255
	luma          []float32 // mean of the three
	fine          []float32 // mean size of the second difference along the row, between neighbouring pixels
}

func newPicture(width, height int) *picture {
	n := width * height
	return &picture{width, height, make([]float32, 3*n), make([]float32, n), make([]float32, n)}
}

// gridOf returns the size of the grid for a frame.
func gridOf(f *ingest.Frame) (width, height int) {
	width = min(gridWidth, max(1, f.Width/2))
	return width, min(2*gridWidth, max(1, int(math.Round(float64(width)*float64(f.Height)/float64(f.Width)))))
}

// sample fills the picture from a frame. It reads only some of the pixels of a large one.
func (p *picture) sample(f *ingest.Frame) {
	step := max(1, int(math.Ceil(math.Sqrt(float64(f.Width)*float64(f.Height)/maxSamples))))
	clear(p.colour)
	clear(p.fine)
	for cy := range p.height {
		y0, y1 := cy*f.Height/p.height, (cy+1)*f.Height/p.height
		for cx := range p.width {
			x0, x1 := cx*f.Width/p.width, (cx+1)*f.Width/p.width
			p.cell(f, cy*p.width+cx, x0, max(x1, x0+1), y0, max(y1, y0+1), step)
		}
	}
}

// cell fills cell i from the pixels x0 ≤ x < x1, y0 ≤ y < y1.
func (p *picture) cell(f *ingest.Frame, i, x0, x1, y0, y1, step int) {
	var red, green, blue, n, fine, fines int
	for y := y0; y < min(y1, f.Height); y += step {
		row := f.Pix[3*y*f.Width:][:3*f.Width]
		for x := x0; x < min(x1, f.Width); x += step {
			red, green, blue = red+int(row[3*x]), green+int(row[3*x+1]), blue+int(row[3*x+2])
			n++
			if x > 0 && x < f.Width-1 {
				d := 2*int(row[3*x+1]) - int(row[3*x-2]) - int(row[3*x+4]) // of green, which is most of the brightness
				fine, fines = fine+max(d, -d), fines+1
			}
		}
	}
	if n == 0 {
		return
	}
	c := 1 / float32(n)
	p.colour[3*i], p.colour[3*i+1], p.colour[3*i+2] = c*float32(red), c*float32(green), c*float32(blue)
	p.luma[i] = c * float32(red+green+blue) / 3
	p.fine[i] = float32(fine) / float32(max(1, fines))
}

// blend moves the picture by a share towards another one.
func (p *picture) blend(o *picture, share float32) {
	for _, pair := range [3][2][]float32{{p.colour, o.colour}, {p.luma, o.luma}, {p.fine, o.fine}} {
		for i, v := range pair[1] {
			pair[0][i] += share * (v - pair[0][i])
		}
	}
}

func (p *picture) copyFrom(o *picture) { p.blend(o, 1) }
