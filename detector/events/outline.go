package events

import (
	"math"
	"slices"
)

const (
	outlineCorners = 32
	closeTo        = 0.75 // cells that an outline may lie off the cells' edges, where so many corners do
)

// outline returns the border of a set of cells on a grid of width × height in parts of the image: clockwise, at most
// outlineCorners corners. Holes are not drawn, and of cells that do not all touch (eight neighbours) only the largest part.
func outline(cells []cell, width, height int) [][2]float64 {
	if len(cells) == 0 {
		return nil
	}
	ring := border(largest(cells))
	for off := closeTo; ; off *= 1.5 {
		if short := simplified(ring, off); len(short) <= outlineCorners {
			out := make([][2]float64, len(short))
			for i, c := range short {
				out[i] = [2]float64{round4(float64(c.x) / float64(width)), round4(float64(c.y) / float64(height))}
			}
			return out
		}
	}
}

// round4 keeps four digits: less than a pixel of a picture 8000 pixels wide.
func round4(v float64) float64 { return math.Round(v*1e4) / 1e4 }

// bitmap is a set of cells in a rectangle.
type bitmap struct {
	box rect
	in  []bool
}

func newBitmap(cells []cell) bitmap {
	box := rect{cells[0].x, cells[0].y, cells[0].x + 1, cells[0].y + 1}
	for _, c := range cells {
		box = box.union(rect{c.x, c.y, c.x + 1, c.y + 1})
	}
	b := bitmap{box, make([]bool, (box.x1-box.x0)*(box.y1-box.y0))}
	for _, c := range cells {
		*b.at(c) = true
	}
	return b
}

// at returns the place of a cell of the rectangle.
func (b bitmap) at(c cell) *bool { return &b.in[(c.y-b.box.y0)*(b.box.x1-b.box.x0)+c.x-b.box.x0] }

func (b bitmap) has(c cell) bool { return b.box.contains(c) && *b.at(c) }

// takePart removes the cells that touch first, or each other, and returns them.
func (b bitmap) takePart(first cell) []cell {
	*b.at(first) = false
	part := []cell{first}
	for next := 0; next < len(part); next++ {
		for dy := -1; dy <= 1; dy++ {
			for dx := -1; dx <= 1; dx++ {
				if c := (cell{part[next].x + dx, part[next].y + dy}); b.has(c) {
					*b.at(c) = false
					part = append(part, c)
				}
			}
		}
	}
	return part
}

// largest returns the largest part of the cells whose cells all touch.
func largest(cells []cell) []cell {
	rest := newBitmap(cells)
	var most []cell
	for _, c := range cells {
		if rest.has(c) {
			if part := rest.takePart(c); len(part) > len(most) {
				most = part
			}
		}
	}
	return most
}

// border follows the edges of cells that touch, with the cells on the right hand, and returns the corners.
func border(cells []cell) []cell {
	first := cells[0]
	for _, c := range cells {
		if c.y < first.y || c.y == first.y && c.x < first.x {
			first = c
		}
	}
	set := newBitmap(cells)
	// East, south, west, north, and the two cells ahead of a corner on the left and on the right hand.
	steps := [4]cell{{1, 0}, {0, 1}, {-1, 0}, {0, -1}}
	left := [4]cell{{0, -1}, {0, 0}, {-1, 0}, {-1, -1}}
	right := [4]cell{{0, 0}, {-1, 0}, {-1, -1}, {0, -1}}
	at, dir := first, 0
	ring := []cell{first}
	for {
		at = cell{at.x + steps[dir].x, at.y + steps[dir].y}
		turn := 1 // to the right: nothing ahead
		switch {
		case set.has(cell{at.x + left[dir].x, at.y + left[dir].y}):
			turn = 3
		case set.has(cell{at.x + right[dir].x, at.y + right[dir].y}):
			turn = 0
		}
		dir = (dir + turn) % 4
		if at == first && dir == 0 {
			return ring
		}
		if turn != 0 {
			ring = append(ring, at)
		}
	}
}

// simplified drops corners of a closed line that lie closer than off to the line without them (Ramer 1972, Douglas and
// Peucker 1973), starting from two corners far apart.
func simplified(ring []cell, off float64) []cell {
	far, most := 0, -1
	for i, c := range ring {
		dx, dy := c.x-ring[0].x, c.y-ring[0].y
		if d := dx*dx + dy*dy; d > most {
			far, most = i, d
		}
	}
	keep := make([]bool, len(ring)+1)
	keep[0], keep[far], keep[len(ring)] = true, true, true
	closed := append(slices.Clip(ring), ring[0])
	for _, half := range [2][2]int{{0, far}, {far, len(ring)}} {
		first, last := half[0], half[1]
		at, _ := farthest(closed, first, last) // stays in any case: a ring has an inside
		keep[at] = true
		split(closed, keep, first, at, off)
		split(closed, keep, at, last, off)
	}
	var short []cell
	for i, c := range ring {
		if keep[i] {
			short = append(short, c)
		}
	}
	return short
}

// split keeps the corner between first and last that lies farthest off their line, if that is more than off.
func split(line []cell, keep []bool, first, last int, off float64) {
	at, d := farthest(line, first, last)
	if d <= off {
		return
	}
	keep[at] = true
	split(line, keep, first, at, off)
	split(line, keep, at, last, off)
}

// farthest returns the corner between first and last that lies farthest off their line, and how far.
func farthest(line []cell, first, last int) (at int, most float64) {
	at = first
	for i := first + 1; i < last; i++ {
		if d := distance(line[i], line[first], line[last]); d > most {
			at, most = i, d
		}
	}
	return at, most
}

// distance of a corner from the line through a and b, or from a when they are the same.
func distance(c, a, b cell) float64 {
	dx, dy := float64(b.x-a.x), float64(b.y-a.y)
	cx, cy := float64(c.x-a.x), float64(c.y-a.y)
	if dx == 0 && dy == 0 {
		return math.Hypot(cx, cy)
	}
	return math.Abs(dx*cy-dy*cx) / math.Hypot(dx, dy)
}
