package events

import (
	"testing"
	"time"
)

// object is a moving rectangle.
type object struct {
	at     func(i int) rect // box in map i
	hidden func(i int) bool // whether it is out of sight in map i; nil: never
}

// lane returns a box of w × h that starts with its left edge at x and moves by vx cells per map.
func lane(x, y, w, h int, vx float64) func(i int) rect {
	return func(i int) rect { x := x + int(vx*float64(i)); return rect{x, y, x + w, y + h} }
}

// play shows n maps of objects and returns, by map and object, the ID of the event at the object: "" if it is hidden or no
// event has started.
func (f *film) play(n int, objects ...object) [][]string {
	ids := make([][]string, n)
	for i := range n {
		var blobs []rect
		for _, o := range objects {
			if o.hidden == nil || !o.hidden(i) {
				blobs = append(blobs, o.at(i))
			}
		}
		f.show(blobs...)
		for _, o := range objects {
			id, most := "", 0.0
			for _, tr := range f.tr.tracks {
				b := o.at(i)
				own := float64(tr.box.overlap(b)) / float64((tr.box.x1-tr.box.x0)*(tr.box.y1-tr.box.y0))
				if tr.started && tr.region >= 0 && own > max(most, 0.5) {
					id, most = tr.event.ID, own
				}
			}
			if o.hidden != nil && o.hidden(i) {
				id = ""
			}
			ids[i] = append(ids[i], id)
		}
	}
	return ids
}

// Two or three objects move along known paths. Each has one event from its start until the last map, the same before and
// after they met or were out of sight, and no other event ever starts.
func TestTrackerKeepsIDs(t *testing.T) {
	between := func(a, b int) func(int) bool { return func(i int) bool { return i >= a && i < b } }
	bounce := func(x, y, w, h int, v float64, turn int) func(int) rect {
		return func(i int) rect {
			if i > turn {
				i = 2*turn - i
			}
			return lane(x, y, w, h, v)(i)
		}
	}
	for _, tt := range []struct {
		name    string
		maps    int
		objects []object
	}{
		{"cross", 60, []object{{at: lane(2, 14, 10, 8, 1)}, {at: lane(66, 12, 8, 12, -1)}}},
		{"cross, alike", 60, []object{{at: lane(2, 14, 9, 9, 1)}, {at: lane(66, 14, 9, 9, -1)}}},
		{"overtake", 56, []object{{at: lane(24, 12, 8, 12, 0.3)}, {at: lane(2, 14, 10, 8, 1.2)}}},
		{"meet and part", 50, []object{{at: bounce(14, 10, 12, 16, 1, 19)}, {at: bounce(58, 14, 8, 8, -1, 19)}}},
		{"three cross", 60, []object{{at: lane(0, 14, 9, 9, 1)}, {at: lane(67, 14, 9, 9, -1)}, {at: lane(34, 2, 8, 8, 0)}}},
		{"behind a post", 60, []object{{at: lane(4, 10, 10, 14, 1), hidden: between(25, 33)}}},
		{"behind a post, fast", 35, []object{{at: lane(4, 10, 6, 14, 2), hidden: between(14, 21)}}},
		{"pass an object at rest", 60, []object{{at: lane(36, 10, 8, 10, 0)}, {at: lane(2, 22, 8, 8, 1)}}},
		{"a queue goes on", 50, []object{
			{at: lane(2, 10, 6, 12, 0.8)}, {at: lane(12, 10, 6, 12, 0.8)}, {at: lane(22, 10, 6, 12, 0.8)},
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFilm(t, func(c *Config) { c.Hold = 3 * time.Second })
			ids := f.play(tt.maps, tt.objects...)
			for n := range tt.objects {
				first := ""
				for i, id := range ids {
					if first == "" {
						first = id[n]
					}
					if id[n] != "" && id[n] != first {
						touching := false // while two objects are one region, it belongs to the older event
						for o := range tt.objects {
							touching = touching || o != n && tt.objects[o].at(i).grown(maxStep).overlap(tt.objects[n].at(i)) > 0
						}
						if !touching {
							t.Fatalf("map %d: object %d is %s, was %s", i, n, id[n], first)
						}
					}
				}
				if last := ids[len(ids)-1][n]; first == "" || last != first {
					t.Errorf("object %d is %q in the last map, was %q", n, last, first)
				}
			}
			if starts, ends := f.ofType(Start), f.ofType(End); len(starts) != len(tt.objects) || len(ends) != 0 {
				t.Errorf("%d starts and %d ends, want %d and none", len(starts), len(ends), len(tt.objects))
			}
		})
	}
}

// A merged event is held for a bounded time. When the regions separate after that, the smaller one starts a new event.
func TestTrackerHoldsMergedEventsForABoundedTime(t *testing.T) {
	older, younger, bridge := rect{4, 8, 30, 28}, rect{40, 10, 50, 20}, rect{30, 12, 40, 16}
	for _, tt := range []struct {
		together, starts int
		wantSame         bool
	}{{8, 2, true}, {15, 3, false}} { // maps, of 100 ms; hold is 1 s
		f := newFilm(t, func(c *Config) { c.CoolDown = 0 })
		for range 10 {
			f.show(older)
		}
		for range 10 {
			f.show(older, younger)
		}
		first, second := f.eventAt(older), f.eventAt(younger)
		for range tt.together {
			f.show(older, younger, bridge)
		}
		for range 20 {
			f.show(older, younger)
		}
		if got := f.eventAt(older); got != first {
			t.Errorf("%d maps together: the older is %s, was %s", tt.together, got, first)
		}
		if got := f.eventAt(younger); (got == second) != tt.wantSame || len(f.ofType(Start)) != tt.starts {
			t.Errorf("%d maps together: the younger is %s, was %s; %d starts", tt.together, got, second, len(f.ofType(Start)))
		}
	}
}

// When a region splits, the larger part keeps the ID, in whichever direction it moves.
func TestTrackerSplitKeepsTheIDOnTheBestPart(t *testing.T) {
	for _, left := range []bool{true, false} {
		f := newFilm(t, nil)
		for range 10 {
			f.show(rect{30, 10, 50, 20})
		}
		whole := f.eventAt(rect{30, 10, 50, 20})
		cut := 36
		if left {
			cut = 44
		}
		var a, b rect
		for i := range 20 {
			a, b = rect{30 - i, 10, cut - 2 - i, 20}, rect{cut + 2 + i, 10, 50 + i, 20}
			f.show(a, b)
		}
		if !left {
			a, b = b, a
		}
		if f.eventAt(a) != whole || f.eventAt(b) == whole {
			t.Errorf("larger part on the left: %v: the larger is %s, the smaller %s, want %s on the larger", left, f.eventAt(a), f.eventAt(b), whole)
		}
	}
}

// The region of one object is nearest to the track of the other. If pairs were assigned greedily, the closest first, the
// second object would lose its event and the region of the first would start a new one.
func TestTrackerAssignsAllRegionsTogether(t *testing.T) {
	f := newFilm(t, nil)
	for range 10 {
		f.show(rect{20, 10, 30, 20}, rect{33, 10, 47, 20})
	}
	a, b := f.eventAt(rect{20, 10, 30, 20}), f.eventAt(rect{33, 10, 47, 20})
	f.show(rect{13, 10, 23, 20}, rect{26, 10, 36, 20}) // the camera shakes by 7 cells to the left and cuts off the second
	if got := f.eventAt(rect{13, 10, 23, 20}); got != a {
		t.Errorf("the left one is %s, was %s", got, a)
	}
	if got := f.eventAt(rect{26, 10, 36, 20}); got != b {
		t.Errorf("the right one is %s, was %s", got, b)
	}
}

// An event that ended in a merger does not start again in the same place before the cool-down is over.
func TestTrackerCoolsDownAfterAMerger(t *testing.T) {
	older, younger, bridge := rect{10, 10, 20, 20}, rect{40, 10, 60, 30}, rect{20, 12, 40, 16}
	f := newFilm(t, nil)
	for range 10 {
		f.show(older, younger)
	}
	for range 12 {
		f.show(older, younger, bridge)
	}
	if len(f.ofType(End)) != 1 {
		t.Fatalf("ends %+v, want the younger's", f.ofType(End))
	}
	for range 45 {
		f.show(older, younger)
	}
	if got := len(f.ofType(Start)); got != 2 {
		t.Errorf("%d starts within the cool-down, want 2", got)
	}
	for range 10 {
		f.show(older, younger)
	}
	if got := len(f.ofType(Start)); got != 3 {
		t.Errorf("%d starts after the cool-down, want 3", got)
	}
}
