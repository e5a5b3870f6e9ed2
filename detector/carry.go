package detector

import (
	"math"
	"slices"
	"sync/atomic"
	"time"

	"github.com/oodcast/oodcast/detector/flow"
	"github.com/oodcast/oodcast/ingest"
)

// Carrier blends each map of a camera with the one before, which it carries along the motion of the scene. A value rises at
// once and falls slowly, so that nothing new is delayed and what was strange a moment ago does not flicker: with the new value
// s, the carried value c, the trust q that the place shows the same as before, and the time Δt between the frames,
//
//	v = s + q·(c - s)·e^(-Δt/memory)    where c > s; v = s elsewhere.
//
// What has come into the picture or has changed has a trust near 0 and starts afresh. After a cut nothing is carried. The
// measurements are in docs/ablations.md.
//
// A Carrier starts no goroutine and keeps one map and two small pictures. Only Forget may be called while it is in use.
type Carrier struct {
	memory time.Duration
	flow   *flow.Tracker
	forget atomic.Bool

	moved   bool      // the flow leads from the newest picture to the one of the map before
	waiting bool      // a picture was seen whose map has not come
	last    carried   // map of the picture before
	spare   []float32 // reused between frames
}

// carried is a map that was blended.
type carried struct {
	at            time.Duration
	width, height int
	values        []float32
	voices        []Voice
	roi           *Mask
}

const (
	// carrySide is the longer side of the pictures that the flow is found in: from 192 to 512, AP differs by 0.4.
	carrySide = 256
	// carryReach is how long a map is carried at most, in memories: after that, a twentieth of it would be left.
	carryReach = 3
	// carryCut is the mean trust below which the picture is another one.
	carryCut = 0.5
	// carryVoice is the share of a value from which on the carried voice speaks.
	carryVoice = 0.5
)

// NewCarrier returns a Carrier whose maps fade by 1/e in the given time.
func NewCarrier(memory time.Duration) *Carrier {
	return &Carrier{memory: memory, flow: flow.New(carrySide)}
}

// Forget drops the last map, for example when the stream is another one. It is safe for concurrent use.
func (c *Carrier) Forget() { c.forget.Store(true) }

// See looks at the next frame, whose map Blend takes next. It neither keeps nor releases the frame.
func (c *Carrier) See(f *ingest.Frame) {
	if c.forget.Swap(false) {
		c.drop()
	}
	lost := c.waiting // the frame before has no map
	moved := c.flow.Next(f.Pix, f.Width, f.Height)
	c.moved, c.waiting = moved && !lost, true
}

// drop forgets the last map and picture.
func (c *Carrier) drop() {
	c.flow.Reset()
	c.last.values, c.moved, c.waiting = c.last.values[:0], false, false
}

// Blend blends the map of the frame that See saw last with the one before. Maps are told apart by their PTS. Blend must come
// before cells outside the region of interest are filled.
func (c *Carrier) Blend(m *Map) {
	old := &c.last
	passed := m.PTS - old.at
	if c.moved && c.waiting && passed > 0 && passed < carryReach*c.memory && len(old.values) == len(m.Values) &&
		old.width == m.Width && old.height == m.Height && old.roi == m.ROI {
		c.blend(m, float32(math.Exp(-passed.Seconds()/c.memory.Seconds())))
	}
	c.waiting = false
	old.at, old.width, old.height, old.roi = m.PTS, m.Width, m.Height, m.ROI
	old.values = append(old.values[:0], m.Values...)
	old.voices = append(old.voices[:0], m.Voices...)
}

// blend adds what is left of the last map.
func (c *Carrier) blend(m *Map, left float32) {
	w, h := m.Width, m.Height
	n := w * h
	c.spare = grow(c.spare, n)
	total := float32(0)
	voices := m.Voices
	if len(c.last.voices) == n && len(voices) == n {
		voices = slices.Clone(voices)
	}
	for i := range n {
		now := m.Values[i]
		c.spare[i] = now
		o := c.flow.At((float64(i%w)+0.5)/float64(w), (float64(i/w)+0.5)/float64(h))
		total += o.Trust
		x, y := o.X*float32(w)-0.5, o.Y*float32(h)-0.5
		at := min(max(int(y+0.5), 0), h-1)*w + min(max(int(x+0.5), 0), w-1)
		if !m.Judged(i) || !m.Judged(at) {
			continue
		}
		rest := (read(c.last.values, w, h, x, y) - now) * left * o.Trust
		if rest <= 0 {
			continue
		}
		c.spare[i] = now + rest
		if len(c.last.voices) == n && len(voices) == n && left*o.Trust > carryVoice {
			voices[i] = c.last.voices[at]
		}
	}
	if total < carryCut*float32(n) {
		return
	}
	copy(m.Values, c.spare)
	m.Voices = voices
}

// read reads a map of w × h between the centres of its cells; beyond the border it is that of the border.
func read(values []float32, w, h int, x, y float32) float32 {
	x, y = min(max(x, 0), float32(w-1)), min(max(y, 0), float32(h-1))
	ix, iy := int(x), int(y)
	rx, ry := x-float32(ix), y-float32(iy)
	right, below := min(ix+1, w-1), min(iy+1, h-1)*w
	top := values[iy*w+ix]*(1-rx) + values[iy*w+right]*rx
	bottom := values[below+ix]*(1-rx) + values[below+right]*rx
	return top*(1-ry) + bottom*ry
}
