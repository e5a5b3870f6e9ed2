package detector

// cells is a rectangle of grid cells: x0 ≤ x < x1, y0 ≤ y < y1.
type cells struct{ x0, y0, x1, y1 int }

func (c cells) grown(by int) cells { return cells{c.x0 - by, c.y0 - by, c.x1 + by, c.y1 + by} }

// overlap returns the number of common cells.
func (c cells) overlap(o cells) int {
	w, h := min(c.x1, o.x1)-max(c.x0, o.x0), min(c.y1, o.y1)-max(c.y0, o.y0)
	if w <= 0 || h <= 0 {
		return 0
	}
	return w * h
}

// region is a connected set of cells.
type region struct {
	box   cells
	count int
	sum   float64
	peak  float32
}

// regionFinder keeps its buffers between maps.
type regionFinder struct {
	visited []bool
	stack   []int
	found   []region
}

// regions returns the connected regions (eight neighbours) of values above level with at least minCells cells. The
// result is valid until the next call.
func (f *regionFinder) regions(m *Map, level float32, minCells int) []region {
	if cap(f.visited) < len(m.Values) {
		f.visited = make([]bool, len(m.Values))
	}
	f.visited = f.visited[:len(m.Values)]
	clear(f.visited)
	f.found = f.found[:0]
	for i, v := range m.Values {
		if v > level && !f.visited[i] && m.Judged(i) {
			if r := f.flood(m, level, i); r.count >= minCells {
				f.found = append(f.found, r)
			}
		}
	}
	return f.found
}

func (f *regionFinder) flood(m *Map, level float32, start int) region {
	x, y := start%m.Width, start/m.Width
	r := region{box: cells{x, y, x + 1, y + 1}, peak: m.Values[start]}
	f.visited[start] = true
	f.stack = append(f.stack[:0], start)
	for len(f.stack) > 0 {
		i := f.stack[len(f.stack)-1]
		f.stack = f.stack[:len(f.stack)-1]
		x, y := i%m.Width, i/m.Width
		v := m.Values[i]
		r.count++
		r.sum += float64(v)
		r.peak = max(r.peak, v)
		r.box = cells{min(r.box.x0, x), min(r.box.y0, y), max(r.box.x1, x+1), max(r.box.y1, y+1)}
		for ny := max(0, y-1); ny <= min(m.Height-1, y+1); ny++ {
			for nx := max(0, x-1); nx <= min(m.Width-1, x+1); nx++ {
				if j := ny*m.Width + nx; m.Values[j] > level && !f.visited[j] && m.Judged(j) {
					f.visited[j] = true
					f.stack = append(f.stack, j)
				}
			}
		}
	}
	return r
}
