package events

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/oodcast/oodcast/detector"
)

// A fragment that never exceeds the threshold does not become an event, however long it is apart from the region that it
// broke off from.
func TestTrackerFragmentBelowTheThresholdIsNoEvent(t *testing.T) {
	f := newFilm(t, nil)
	whole, left, right := rect{30, 10, 50, 20}, rect{26, 10, 34, 20}, rect{46, 10, 54, 20}
	draw := func(values map[rect]float32) {
		m := f.blank(4)
		for b, v := range values {
			m.fill(b, v)
		}
		f.feed(m.Map)
	}
	for range 10 {
		draw(map[rect]float32{whole: 6})
	}
	draw(map[rect]float32{{30, 10, 38, 20}: 6, {42, 10, 50, 20}: 3.8}) // above the exit level of 3.2 only
	for range 40 {
		draw(map[rect]float32{left: 6, right: 3.8})
	}
	if starts := f.ofType(Start); len(starts) != 1 {
		t.Fatalf("%d events started, want the whole region's alone: %+v", len(starts), starts)
	}
	for range 20 {
		draw(map[rect]float32{left: 6, right: 4.2})
	}
	if starts := f.ofType(Start); len(starts) != 2 || starts[1].Peak != 4.2 {
		t.Errorf("%d events started, want a second one with a peak of 4.2 once the fragment exceeds the threshold: %+v", len(starts), starts)
	}
}

// Whatever regions do, and whenever the threshold changes, an event starts with a peak above the threshold of its message.
func TestTrackerStartsOnlyAboveTheThreshold(t *testing.T) {
	starts, below := 0, 0
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 1))
		f := newFilm(t, func(c *Config) {
			c.MinDuration = time.Duration(r.IntN(600)) * time.Millisecond
			c.Hold, c.CoolDown = time.Duration(r.IntN(1500))*time.Millisecond, time.Duration(r.IntN(500))*time.Millisecond
		})
		blobs := make([]blob, 1+r.IntN(4))
		for i := range blobs {
			blobs[i] = newBlob(r)
		}
		threshold := float32(4)
		for range 150 {
			if r.IntN(40) == 0 {
				threshold = 3.5 + r.Float32()
			}
			m := f.blank(threshold)
			for i := range blobs {
				blobs[i].step(r)
				blobs[i].draw(m)
			}
			for _, e := range f.feed(m.Map) {
				if e.Type != Start {
					continue
				}
				starts++
				if e.Peak <= e.Threshold || e.Threshold != threshold {
					below++
					t.Errorf("seed %d, map %d: event starts with peak %v at threshold %v", seed, f.i, e.Peak, e.Threshold)
				}
			}
			if below > 5 {
				t.FailNow()
			}
		}
	}
	if starts < 100 {
		t.Errorf("only %d events started: the property was hardly tried", starts)
	}
}

// blob is a region that moves, flickers and splits in two.
type blob struct {
	at     rect
	value  [2]float32 // of its halves
	gap    int        // cells between the halves
	vx, vy int
}

func newBlob(r *rand.Rand) blob {
	x, y := r.IntN(60), r.IntN(28)
	b := blob{at: rect{x, y, x + 6 + r.IntN(14), y + 4 + r.IntN(8)}, vx: r.IntN(3) - 1, vy: r.IntN(3) - 1}
	for i := range b.value {
		b.value[i] = 3 + 2*r.Float32()
	}
	return b
}

func (b *blob) step(r *rand.Rand) {
	switch r.IntN(30) {
	case 0:
		*b = newBlob(r)
	case 1:
		b.gap = r.IntN(8)
	case 2:
		b.value[r.IntN(2)] = 3 + 2*r.Float32()
	}
	if b.at.x0+b.vx < 0 || b.at.x1+b.vx > 70 {
		b.vx = -b.vx
	}
	b.at = rect{b.at.x0 + b.vx, b.at.y0, b.at.x1 + b.vx, b.at.y1}
}

func (b *blob) draw(m *sketch) {
	mid := (b.at.x0 + b.at.x1) / 2
	m.fill(rect{b.at.x0, b.at.y0, mid, b.at.y1}, b.value[0])
	m.fill(rect{mid + b.gap, b.at.y0, b.at.x1 + b.gap, b.at.y1}, b.value[1])
}

// sketch is a map that a test draws.
type sketch struct{ *detector.Map }

// blank returns the film's next map, empty.
func (f *film) blank(threshold float32) *sketch {
	return &sketch{&detector.Map{
		Camera: "yard", Bundle: "b", Captured: f.clock(), Width: 80, Height: 40, Values: make([]float32, 80*40), Threshold: threshold,
	}}
}

func (s *sketch) fill(b rect, v float32) {
	for y := max(b.y0, 0); y < min(b.y1, s.Height); y++ {
		for x := max(b.x0, 0); x < min(b.x1, s.Width); x++ {
			s.Values[y*s.Width+x] = max(v, s.Values[y*s.Width+x])
		}
	}
}

// feed updates the tracker with a map.
func (f *film) feed(m *detector.Map) []Event {
	f.i++
	events := f.tr.Update(m)
	f.events = append(f.events, events...)
	return events
}
