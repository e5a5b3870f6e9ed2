package stream

import (
	"time"

	"github.com/oodcast/oodcast/detector/eval"
	"github.com/oodcast/oodcast/detector/events"
)

// instanceGap is the longest time for which an object may be out of sight, such as behind another one, and stay the same.
const instanceGap = 500 * time.Millisecond

// instanceReach is the distance that an object may move between two labelled frames, as a fraction of the picture.
const instanceReach = 0.02

// instance is a labelled object: a region connected in space and time.
type instance struct {
	from, to time.Duration       // first and last labelled frame with it
	boxes    map[int]*events.Box // by frame; nil: the whole picture
}

// instances follows the labelled objects from mask to mask. Pieces are connected in space if their pixels touch, and in
// time if their boxes do. So an object that a post cuts in two stays one, and two objects that touch become one.
type instances struct {
	parent []int // union-find over pieces
	pieces []piece
	fixed  []instance // of a truth of times
	open   int        // pieces before this index are too old to be continued
}

// piece is an object in one frame, or a piece of it.
type piece struct {
	frame int
	at    time.Duration
	box   events.Box
}

// instances returns the instances of a truth of times; masks add theirs frame by frame.
func (t *Truth) instances() *instances {
	s := &instances{}
	for _, span := range t.Spans {
		s.fixed = append(s.fixed, instance{from: span.From, to: span.To})
	}
	return s
}

// add adds the next labelled frame.
func (s *instances) add(v *view, ood uint8) {
	ids, sizes := eval.ConnectedComponents(v.width, v.height, func(i int) bool { return v.labels[i] == ood })
	for s.open < len(s.pieces) && v.shown-s.pieces[s.open].at > instanceGap {
		s.open++
	}
	older := len(s.pieces)
	for _, b := range pixelBoxes(ids, len(sizes)-1, v.width, v.height) {
		me := len(s.pieces)
		s.pieces = append(s.pieces, piece{v.index, v.shown, b})
		s.parent = append(s.parent, me)
		grown := events.Box{
			X: b.X - instanceReach, Y: b.Y - instanceReach, Width: b.Width + 2*instanceReach, Height: b.Height + 2*instanceReach,
		}
		for i := s.open; i < older; i++ {
			if intersection(grown, s.pieces[i].box) > 0 {
				s.parent[s.find(me)] = s.find(i)
			}
		}
	}
}

func (s *instances) find(i int) int {
	for s.parent[i] != i {
		s.parent[i] = s.parent[s.parent[i]]
		i = s.parent[i]
	}
	return i
}

// finish returns the instances in order of appearance.
func (s *instances) finish() []instance {
	list := s.fixed
	at := map[int]int{} // instance by root
	for i, p := range s.pieces {
		root := s.find(i)
		n, ok := at[root]
		if !ok {
			n = len(list)
			at[root] = n
			list = append(list, instance{from: p.at, boxes: map[int]*events.Box{}})
		}
		in := &list[n]
		in.to = p.at
		if b := in.boxes[p.frame]; b != nil {
			*b = united(*b, p.box)
		} else {
			box := p.box
			in.boxes[p.frame] = &box
		}
	}
	return list
}

// pixelBoxes returns the bounding box of each component 1 … n, as fractions of the picture.
func pixelBoxes(ids []int32, n, w, h int) []events.Box {
	type bounds struct{ x0, y0, x1, y1 int }
	all := make([]bounds, n)
	for i := range all {
		all[i] = bounds{w, h, 0, 0}
	}
	for i, id := range ids {
		if id > 0 {
			b, x, y := &all[id-1], i%w, i/w
			b.x0, b.y0, b.x1, b.y1 = min(b.x0, x), min(b.y0, y), max(b.x1, x+1), max(b.y1, y+1)
		}
	}
	boxes := make([]events.Box, n)
	for i, b := range all {
		boxes[i] = events.Box{
			X: float64(b.x0) / float64(w), Y: float64(b.y0) / float64(h),
			Width: float64(b.x1-b.x0) / float64(w), Height: float64(b.y1-b.y0) / float64(h),
		}
	}
	return boxes
}

// intersection returns the common area of two boxes.
func intersection(a, b events.Box) float64 {
	w := min(a.X+a.Width, b.X+b.Width) - max(a.X, b.X)
	h := min(a.Y+a.Height, b.Y+b.Height) - max(a.Y, b.Y)
	return max(w, 0) * max(h, 0)
}

// united returns the smallest box around two boxes.
func united(a, b events.Box) events.Box {
	x, y := min(a.X, b.X), min(a.Y, b.Y)
	return events.Box{
		X: x, Y: y, Width: max(a.X+a.Width, b.X+b.Width) - x, Height: max(a.Y+a.Height, b.Y+b.Height) - y,
	}
}
