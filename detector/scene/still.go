package scene

import (
	"math"
	"slices"
	"time"
)

const (
	stillChange  = 12               // grey levels that a cell must differ from the usual place
	stillNoise   = 4                // times its usual scatter
	stillQuiet   = 10               // grey levels within which something is still
	stillMost    = 0.3              // share of the picture: if more has changed, the light or the place has
	usualTime    = 30 * time.Second // time constant of the usual place
	adaptTime    = 10 * time.Minute // time constant with which a changed place becomes the usual one
	settleTime   = 1500 * time.Millisecond
	stillLearn   = 5 * time.Second // of the place before anything is said about it
	stillForgets = 3               // times as fast as it grew, the age of a change falls once the place is as usual
)

// still finds where the place has changed for good. Each cell has the age of its change. Passers-by in front of something
// left hold its age up, and do not take it back. Somebody who stood there while the place was learnt is no part of it: what
// has been there for longer than what was there before becomes the usual place, unless that was known for long enough.
type still struct {
	width, height        int
	usual, lately        []float32 // colours per cell
	scatter              []float32 // usual distance from usual, per cell
	age                  []float32 // seconds that a cell has been changed and still
	known                []float32 // seconds that a cell has been as usual
	learnt               time.Duration
	shift                [3]float32
	buffer               []float32
	changed, seen, quiet []bool
}

func newStill(width, height int) *still {
	n := width * height
	return &still{
		width: width, height: height, usual: make([]float32, 3*n), lately: make([]float32, 3*n), scatter: make([]float32, n),
		age: make([]float32, n), known: make([]float32, n), changed: make([]bool, n), seen: make([]bool, n), quiet: make([]bool, n),
	}
}

// restart makes the next pictures the usual place.
func (s *still) restart() {
	s.learnt = 0
	clear(s.age)
	clear(s.known)
}

// update takes the next picture and appends to found what has been left or taken for long enough.
func (s *still) update(found []Finding, p *picture, dt, after time.Duration, least int) []Finding {
	if s.learnt == 0 {
		copy(s.usual, p.colour)
		copy(s.lately, p.colour)
		clear(s.scatter)
	}
	fast := share(dt, settleTime)
	for i, v := range p.colour {
		s.lately[i] += fast * (v - s.lately[i])
	}
	if s.learnt < stillLearn {
		s.learnt += max(dt, 1)
		w := max(share(dt, s.learnt), share(dt, usualTime))
		for i := range s.scatter {
			s.scatter[i] += w * (distance(p.colour, s.usual, i, [3]float32{}) - s.scatter[i])
			s.adapt(p, i, w)
		}
		return found
	}
	s.compensate()
	if n := s.mark(p); float64(n) > stillMost*float64(len(s.age)) {
		s.restart()
		return found
	}
	s.grow(p, dt, float32(after.Seconds()))
	return s.collect(found, after, least)
}

// compensate measures by how much all of the picture has become brighter: the median over every seventh cell.
func (s *still) compensate() {
	for c := range s.shift {
		s.buffer = s.buffer[:0]
		for i := c; i < len(s.usual); i += 3 * 7 {
			s.buffer = append(s.buffer, s.lately[i]-s.usual[i])
		}
		s.shift[c] = median(s.buffer)
	}
}

// mark tells which cells differ from the usual place, and which are still. It returns the number of those that differ.
func (s *still) mark(p *picture) (n int) {
	for i := range s.age {
		s.changed[i] = distance(s.lately, s.usual, i, s.shift) > max(stillChange, stillNoise*s.scatter[i])
		s.quiet[i] = distance(p.colour, s.lately, i, [3]float32{}) < stillQuiet
		if s.changed[i] {
			n++
		}
	}
	return n
}

// grow lets the ages of changes grow or fall, and learns the usual place where nothing has changed. A place is known after
// enough seconds.
func (s *still) grow(p *picture, dt time.Duration, enough float32) {
	seconds := float32(dt.Seconds())
	for i := range s.age {
		switch {
		case s.changed[i] && s.quiet[i]:
			s.age[i] = min(s.age[i]+seconds, 2*enough)
			s.adapt(p, i, share(dt, adaptTime))
			if s.known[i] < enough && s.age[i] > s.known[i] {
				copy(s.usual[3*i:3*i+3], s.lately[3*i:])
				s.known[i], s.age[i] = s.age[i], 0
			}
		case s.changed[i] || !s.quiet[i]: // somebody passes
		default:
			s.age[i] = max(0, s.age[i]-stillForgets*seconds)
			s.known[i] = min(s.known[i]+seconds, enough)
			w := share(dt, usualTime)
			s.scatter[i] += w * (distance(p.colour, s.usual, i, s.shift) - s.scatter[i])
			s.adapt(p, i, w)
		}
	}
}

func (s *still) adapt(p *picture, i int, w float32) {
	for c := 3 * i; c < 3*i+3; c++ {
		s.usual[c] += w * (p.colour[c] - s.usual[c])
	}
}

// distance is the largest difference of the colours of cell i, after b has been shifted.
func distance(a, b []float32, i int, shift [3]float32) (most float32) {
	for c, by := range shift {
		most = max(most, float32(math.Abs(float64(a[3*i+c]-b[3*i+c]-by))))
	}
	return most
}

// collect appends the connected cells of at least half the age, if one of them has all of it.
func (s *still) collect(found []Finding, after time.Duration, least int) []Finding {
	old := float32(after.Seconds())
	clear(s.seen)
	for i := range s.age {
		if s.seen[i] || s.age[i] < old || !s.changed[i] {
			continue
		}
		if cells := s.component(i, old/2); len(cells) >= least && s.solid(cells) {
			found = append(found, Finding{Category: s.category(cells), Width: s.width, Height: s.height, Cells: cells})
		}
	}
	return found
}

// solid reports whether the cells contain a square of two by two: the edge of something that sways is a line.
func (s *still) solid(cells []int) bool {
	return slices.ContainsFunc(cells, func(i int) bool {
		for _, j := range [3]int{i + 1, i + s.width, i + s.width + 1} {
			if _, found := slices.BinarySearch(cells, j); !found || i%s.width == s.width-1 {
				return false
			}
		}
		return true
	})
}

// component returns the changed cells of that age or more around cell i, in ascending order.
func (s *still) component(i int, age float32) []int {
	s.seen[i] = true
	cells := []int{i}
	for n := 0; n < len(cells); n++ {
		s.around(cells[n], func(j int) {
			if !s.seen[j] && s.changed[j] && s.age[j] >= age {
				s.seen[j] = true
				cells = append(cells, j)
			}
		})
	}
	slices.Sort(cells)
	return cells
}

// around calls f for the neighbours of cell i, diagonal ones included.
func (s *still) around(i int, f func(j int)) {
	x0, y0 := i%s.width, i/s.width
	for y := max(0, y0-1); y <= min(s.height-1, y0+1); y++ {
		for x := max(0, x0-1); x <= min(s.width-1, x0+1); x++ {
			if x != x0 || y != y0 {
				f(y*s.width + x)
			}
		}
	}
}

// category tells something left from something taken: a thing has an outline. If the outline of the cells is there now, the
// thing is there; if it was there before, the thing is gone.
func (s *still) category(cells []int) Category {
	now, before := 0.0, 0.0
	for _, i := range cells {
		s.around(i, func(j int) {
			if _, inside := slices.BinarySearch(cells, j); inside {
				return
			}
			for c := range 3 {
				now += math.Abs(float64(s.lately[3*i+c] - s.lately[3*j+c]))
				before += math.Abs(float64(s.usual[3*i+c] - s.usual[3*j+c]))
			}
		})
	}
	if before > now {
		return Taken
	}
	return Left
}
