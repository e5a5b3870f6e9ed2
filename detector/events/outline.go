package events

import (
	"math"
	"slices"
)

const (
	outlineCorners   = 32
	outlineTolerance = 0.75 // cells that an outline may deviate from the cells' edges; more if there are too many corners
)

// outline returns the border of a set of cells on a grid of width × height in fractions of the image size: clockwise, with
// at most outlineCorners corners. It leaves out holes and all but the largest component (eight neighbours).
func outline(cells []cell, width, height int) [][2]float64 {
	if len(cells) == 0 {
		return nil
	}
	ring := border(largestComponent(cells))
	for tolerance := outlineTolerance; ; tolerance *= 1.5 {
		if short := simplify(ring, tolerance); len(short) <= outlineCorners {
			out := make([][2]float64, len(short))
			for i, c := range short {
				out[i] = [2]float64{round4(float64(c.x) / float64(width)), round4(float64(c.y) / float64(height))}
			}
			return out
		}
	}
}

// round4 keeps four decimals: less than a pixel in a picture 8000 pixels wide.
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

// at returns the entry of a cell in the rectangle.
func (b bitmap) at(c cell) *bool { return &b.in[(c.y-b.box.y0)*(b.box.x1-b.box.x0)+c.x-b.box.x0] }

func (b bitmap) has(c cell) bool { return b.box.contains(c) && *b.at(c) }

// removeComponent removes the component of a cell and returns its cells.
func (b bitmap) removeComponent(first cell) []cell {
	*b.at(first) = false
	component := []cell{first}
	for next := 0; next < len(component); next++ {
		for dy := -1; dy <= 1; dy++ {
			for dx := -1; dx <= 1; dx++ {
				if c := (cell{component[next].x + dx, component[next].y + dy}); b.has(c) {
					*b.at(c) = false
					component = append(component, c)
				}
			}
		}
	}
	return component
}

// largestComponent returns the largest set of cells that touch each other.
func largestComponent(cells []cell) []cell {
	rest := newBitmap(cells)
	var most []cell
	for _, c := range cells {
		if rest.has(c) {
			if component := rest.removeComponent(c); len(component) > len(most) {
				most = component
			}
		}
	}
	return most
}

// border follows the outer edge of a component clockwise and returns the corners.
func border(cells []cell) []cell {
	first := cells[0]
	for _, c := range cells {
		if c.y < first.y || c.y == first.y && c.x < first.x {
			first = c
		}
	}
	set := newBitmap(cells)
	// The directions east, south, west and north, and for each the cells ahead of a corner on the left and on the right.
	steps := [4]cell{{1, 0}, {0, 1}, {-1, 0}, {0, -1}}
	left := [4]cell{{0, -1}, {0, 0}, {-1, 0}, {-1, -1}}
	right := [4]cell{{0, 0}, {-1, 0}, {-1, -1}, {0, -1}}
	at, dir := first, 0
	ring := []cell{first}
	for {
		at = cell{at.x + steps[dir].x, at.y + steps[dir].y}
		turn := 1 // right: no cell ahead
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

// simplify drops the corners of a closed line that lie within tolerance of the line without them (Ramer 1972, Douglas and
// Peucker 1973), starting from two corners far apart.
func simplify(ring []cell, tolerance float64) []cell {
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
		at, _ := farthest(closed, first, last) // always kept, so that the ring encloses an area
		keep[at] = true
		keepFarthest(closed, keep, first, at, tolerance)
		keepFarthest(closed, keep, at, last, tolerance)
	}
	var short []cell
	for i, c := range ring {
		if keep[i] {
			short = append(short, c)
		}
	}
	return short
}

// keepFarthest keeps the corner between first and last that lies farthest from their line, if the distance exceeds
// tolerance, and repeats this on both sides of it.
func keepFarthest(line []cell, keep []bool, first, last int, tolerance float64) {
	at, d := farthest(line, first, last)
	if d <= tolerance {
		return
	}
	keep[at] = true
	keepFarthest(line, keep, first, at, tolerance)
	keepFarthest(line, keep, at, last, tolerance)
}

// farthest returns the corner between first and last that lies farthest from their line, and its distance.
func farthest(line []cell, first, last int) (at int, most float64) {
	at = first
	for i := first + 1; i < last; i++ {
		if d := distance(line[i], line[first], line[last]); d > most {
			at, most = i, d
		}
	}
	return at, most
}

// distance returns the distance of a corner from the line through a and b, or from a if both are the same.
func distance(c, a, b cell) float64 {
	dx, dy := float64(b.x-a.x), float64(b.y-a.y)
	cx, cy := float64(c.x-a.x), float64(c.y-a.y)
	if dx == 0 && dy == 0 {
		return math.Hypot(cx, cy)
	}
	return math.Abs(dx*cy-dy*cx) / math.Hypot(dx, dy)
}
