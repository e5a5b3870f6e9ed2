package stream

import (
	"math"

	"github.com/oodcast/oodcast/detector"
)

// Temporal measures how steady maps are from frame to frame, in the unit of the maps: deviations of normal footage. Maps are
// read at the centres of blocks of 16×16 pixels.
type Temporal struct {
	// Flicker is √mean (z_t − z_{t−1})² over the blocks that did not change: the picture differs by at most 3 levels of 255 in
	// the mean, and the truth, where both frames have one, does not differ. Static is the number of these blocks over all
	// frames.
	Flicker float64 `json:"flicker"`
	Static  int     `json:"static_blocks"`
	// Motion is √mean (z_t(x) − z_{t−1}(x−v))² over the blocks that moved by v, found by matching blocks with the previous
	// frame. Unwarped is the same without v. Moved is the number of these blocks.
	Motion   float64 `json:"motion"`
	Unwarped float64 `json:"unwarped"`
	Moved    int     `json:"moved_blocks"`
	// MotionIoU is the number of moved blocks above the threshold in both frames, as a fraction of those above it in at least
	// one of them; 1 if there are none. It is 0 for methods without a threshold.
	MotionIoU float64 `json:"motion_iou"`
}

// temporal computes Temporal. It keeps one map.
type temporal struct {
	prev                      *detector.Map
	static, moved             int
	flicker, motion, unwarped float64 // sums of squares
	both, either              int
	threshold                 bool
}

// add adds the map of the last frame of mo.
func (t *temporal) add(mo *motion, m *detector.Map) {
	prev := t.prev
	t.prev = m
	if prev == nil {
		return
	}
	t.threshold = m.Threshold != 0
	for i, kind := range mo.kinds {
		if kind == blockOther {
			continue
		}
		x, y := float64(i%mo.cols*blockSide+blockSide/2), float64(i/mo.cols*blockSide+blockSide/2)
		now := sampleMap(m, x, y)
		d := now - sampleMap(prev, x, y)
		if kind == blockStatic {
			t.static++
			t.flicker += d * d
			continue
		}
		t.moved++
		t.unwarped += d * d
		from := sampleMap(prev, x-float64(mo.shift[i][0]), y-float64(mo.shift[i][1]))
		t.motion += (now - from) * (now - from)
		above, before := now > float64(m.Threshold), from > float64(prev.Threshold)
		if above || before {
			t.either++
		}
		if above && before {
			t.both++
		}
	}
}

func (t *temporal) result() Temporal {
	r := Temporal{Static: t.static, Moved: t.moved}
	if t.static > 0 {
		r.Flicker = math.Sqrt(t.flicker / float64(t.static))
	}
	if t.moved > 0 {
		r.Motion = math.Sqrt(t.motion / float64(t.moved))
		r.Unwarped = math.Sqrt(t.unwarped / float64(t.moved))
	}
	switch {
	case !t.threshold:
	case t.either == 0:
		r.MotionIoU = 1
	default:
		r.MotionIoU = float64(t.both) / float64(t.either)
	}
	return r
}

// sampleMap reads a map at a position in its picture, in pixels, bilinearly between the centres of its cells.
func sampleMap(m *detector.Map, x, y float64) float64 {
	axis := func(v float64, pixels, cells int) (at int, w float64) {
		v = min(max(v*float64(cells)/float64(pixels)-0.5, 0), float64(cells-1))
		at = min(int(v), max(0, cells-2))
		return at, v - float64(at)
	}
	ax, wx := axis(x, m.ImageWidth, m.Width)
	ay, wy := axis(y, m.ImageHeight, m.Height)
	bx, by := min(ax+1, m.Width-1), min(ay+1, m.Height-1)
	v := func(x, y int) float64 { return float64(m.Values[y*m.Width+x]) }
	top := v(ax, ay) + wx*(v(bx, ay)-v(ax, ay))
	bottom := v(ax, by) + wx*(v(bx, by)-v(ax, by))
	return top + wy*(bottom-top)
}
