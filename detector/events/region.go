package events

import "github.com/oodcast/oodcast/detector"

// cell is a place on the grid of a map.
type cell struct{ x, y int }

// rect is a rectangle of cells: x0 ≤ x < x1, y0 ≤ y < y1.
type rect struct{ x0, y0, x1, y1 int }

func (r rect) grown(by int) rect { return rect{r.x0 - by, r.y0 - by, r.x1 + by, r.y1 + by} }

func (r rect) union(o rect) rect {
	return rect{min(r.x0, o.x0), min(r.y0, o.y0), max(r.x1, o.x1), max(r.y1, o.y1)}
}

// overlap returns the number of common cells.
func (r rect) overlap(o rect) int {
	w, h := min(r.x1, o.x1)-max(r.x0, o.x0), min(r.y1, o.y1)-max(r.y0, o.y0)
	if w <= 0 || h <= 0 {
		return 0
	}
	return w * h
}

func (r rect) contains(c cell) bool { return c.x >= r.x0 && c.x < r.x1 && c.y >= r.y0 && c.y < r.y1 }

// maxStep is the largest distance of connected cells in each direction. A gap of one cell does not split a region, because
// the outer cells of an object flicker.
const maxStep = 2

// region is a connected set of cells.
type region struct {
	box   rect
	cells []cell
	sum   float64
	peak  float32
	at    int // index of the cell with the peak in the map
}

// centre is the mean position of the cells.
func (r *region) centre() (x, y float64) {
	for _, c := range r.cells {
		x += float64(c.x)
		y += float64(c.y)
	}
	n := float64(len(r.cells))
	return x / n, y / n
}

// regionFinder keeps its buffers between maps.
type regionFinder struct {
	labels []int // per cell: 0 not visited or outside, -1 in a region that is too small, otherwise the region's index + 1
	cells  []cell
	found  []region
}

// regions returns the connected regions of values above level with at least minCells cells. The result is valid until the
// next call.
func (f *regionFinder) regions(m *detector.Map, level float32, minCells int) []region {
	f.labels = grow(f.labels, len(m.Values))
	clear(f.labels)
	if cap(f.cells) < len(m.Values) {
		f.cells = make([]cell, 0, len(m.Values)) // room for all: regions point into an array that must not move
	}
	f.cells, f.found = f.cells[:0], f.found[:0]
	for i, v := range m.Values {
		if v <= level || f.labels[i] != 0 || !m.Judged(i) {
			continue
		}
		label := len(f.found) + 1
		r := f.flood(m, level, i, label)
		if len(r.cells) >= minCells {
			f.found = append(f.found, r)
			continue
		}
		for _, c := range r.cells {
			f.labels[c.y*m.Width+c.x] = -1
		}
		f.cells = f.cells[:len(f.cells)-len(r.cells)]
	}
	return f.found
}

// flood labels the region around a cell. The region's list of cells also serves as the queue of cells to visit.
func (f *regionFinder) flood(m *detector.Map, level float32, start, label int) region {
	first := len(f.cells)
	x, y := start%m.Width, start/m.Width
	r := region{box: rect{x, y, x + 1, y + 1}, peak: m.Values[start], at: start}
	f.labels[start] = label
	f.cells = append(f.cells, cell{x, y})
	for next := first; next < len(f.cells); next++ {
		x, y := f.cells[next].x, f.cells[next].y
		v := m.Values[y*m.Width+x]
		r.sum += float64(v)
		if v > r.peak {
			r.peak, r.at = v, y*m.Width+x
		}
		r.box = r.box.union(rect{x, y, x + 1, y + 1})
		for ny := max(0, y-maxStep); ny <= min(m.Height-1, y+maxStep); ny++ {
			for nx := max(0, x-maxStep); nx <= min(m.Width-1, x+maxStep); nx++ {
				if j := ny*m.Width + nx; m.Values[j] > level && f.labels[j] == 0 && m.Judged(j) {
					f.labels[j] = label
					f.cells = append(f.cells, cell{nx, ny})
				}
			}
		}
	}
	r.cells = f.cells[first:len(f.cells):len(f.cells)]
	return r
}

// countByRegion counts how many of the cells, moved by dx and dy, lie in each region; counts has one entry per region.
func (f *regionFinder) countByRegion(cells []cell, dx, dy, width, height int, counts []int) {
	clear(counts)
	for _, c := range cells {
		x, y := c.x+dx, c.y+dy
		if x < 0 || y < 0 || x >= width || y >= height {
			continue
		}
		if l := f.labels[y*width+x]; l > 0 {
			counts[l-1]++
		}
	}
}

// grow returns s with length n, in a new array if its capacity is too small. Elements in a reused array keep their values.
func grow[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}
