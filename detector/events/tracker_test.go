package events

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/oodcast/oodcast/detector"
)

// film drives a tracker with constructed maps of 80 × 40 cells, ten a second.
type film struct {
	t      *testing.T
	tr     *Tracker
	i      int
	events []Event
}

func newFilm(t *testing.T, edit func(*Config)) *film {
	t.Helper()
	cfg := DefaultConfig()
	if edit != nil {
		edit(&cfg)
	}
	return &film{t: t, tr: NewTracker(cfg)}
}

func (f *film) clock() time.Time {
	return time.Unix(1000, 0).Add(time.Duration(f.i) * 100 * time.Millisecond)
}

// show feeds the next map, with blobs of value 6 over a threshold of 4.
func (f *film) show(blobs ...rect) []Event {
	m := &detector.Map{
		Camera: "yard", Bundle: "b", Captured: f.clock(), Width: 80, Height: 40, Values: make([]float32, 80*40), Threshold: 4,
	}
	for _, b := range blobs {
		for y := max(b.y0, 0); y < min(b.y1, 40); y++ {
			for x := max(b.x0, 0); x < min(b.x1, 80); x++ {
				m.Values[y*80+x] = 6
			}
		}
	}
	f.i++
	events := f.tr.Update(m)
	f.events = append(f.events, events...)
	return events
}

// ofType returns the messages of one type.
func (f *film) ofType(kind Type) (list []Event) {
	for _, e := range f.events {
		if e.Type == kind {
			list = append(list, e)
		}
	}
	return list
}

// eventAt returns the ID of the open event whose box is closest to a blob.
func (f *film) eventAt(b rect) string {
	f.t.Helper()
	id, least := "", 0.1
	for _, e := range f.tr.Open() {
		dx, dy := e.Box.X-float64(b.x0)/80, e.Box.Y-float64(b.y0)/40
		if d := dx*dx + dy*dy; d < least {
			id, least = e.ID, d
		}
	}
	if id == "" {
		f.t.Fatalf("map %d: no event near %v, open: %+v", f.i, b, f.tr.Open())
	}
	return id
}

func TestTrackerKeepsIDsWhenRegionsCross(t *testing.T) {
	f := newFilm(t, func(c *Config) { c.Hold = 3 * time.Second })
	right := func(i int) rect { return rect{2 + i, 14, 12 + i, 22} } // different sizes at the same height
	left := func(i int) rect { return rect{66 - i, 12, 74 - i, 24} }
	for i := range 20 {
		f.show(right(i), left(i))
	}
	a, b := f.eventAt(right(19)), f.eventAt(left(19))
	if a == b {
		t.Fatal("two regions share one event")
	}
	for i := 20; i < 60; i++ {
		f.show(right(i), left(i))
	}
	if got := f.eventAt(right(59)); got != a {
		t.Errorf("the region that moved right is %s, want %s", got, a)
	}
	if got := f.eventAt(left(59)); got != b {
		t.Errorf("the region that moved left is %s, want %s", got, b)
	}
	if starts, ends := f.ofType(Start), f.ofType(End); len(starts) != 2 || len(ends) != 0 {
		t.Errorf("%d starts and %d ends, want 2 and none", len(starts), len(ends))
	}
}

func TestTrackerMergeEndsTheYounger(t *testing.T) {
	f := newFilm(t, nil)
	older, younger := rect{10, 10, 20, 20}, rect{40, 10, 60, 30}
	for range 10 {
		f.show(older)
	}
	for range 10 {
		f.show(older, younger)
	}
	first, second := f.eventAt(older), f.eventAt(younger)
	for range 20 { // a bridge between them
		f.show(older, younger, rect{20, 12, 40, 16})
	}
	ends := f.ofType(End)
	if len(ends) != 1 || ends[0].ID != second || ends[0].Reason != EndMerged || ends[0].Into != first {
		t.Fatalf("ends %+v, want %s merged into %s", ends, second, first)
	}
	if ends[0].Duration > 1200*time.Millisecond {
		t.Errorf("the merged event lasted %v, want it to stop at the merger", ends[0].Duration)
	}
	open := f.tr.Open()
	if len(open) != 1 || open[0].ID != first || open[0].Box.X != 10.0/80 || open[0].Box.Width != 50.0/80 {
		t.Errorf("open events %+v, want %s over both regions", open, first)
	}
}

func TestTrackerSplit(t *testing.T) {
	f := newFilm(t, nil)
	for range 10 {
		f.show(rect{30, 10, 50, 20})
	}
	whole := f.eventAt(rect{30, 10, 50, 20})
	// The region falls apart for a moment: the event goes on, and its box spans both parts.
	for range 5 {
		f.show(rect{30, 10, 38, 20}, rect{42, 10, 50, 20})
	}
	if open := f.tr.Open(); len(open) != 1 || open[0].Box.Width != 20.0/80 || open[0].Area != 160.0/3200 {
		t.Fatalf("open events %+v, want one over both parts", open)
	}
	for range 5 {
		f.show(rect{30, 10, 50, 20})
	}
	// Then the parts move away from each other.
	for i := range 25 {
		f.show(rect{30 - i, 10, 38 - i, 20}, rect{42 + i, 10, 50 + i, 20})
	}
	starts := f.ofType(Start)
	if len(starts) != 2 || len(f.ofType(End)) != 0 || len(f.tr.Open()) != 2 {
		t.Fatalf("starts %+v, want a second one after the parts have separated", starts)
	}
	if starts[0].ID != whole || starts[1].Time.Sub(starts[1].Start) < time.Second {
		t.Errorf("second start %+v, want it after hold, counted from the split", starts[1])
	}
}

// A flickering region is one event: it disappears for a map now and then, changes its outline, and falls into parts.
func TestTrackerFlicker(t *testing.T) {
	f := newFilm(t, nil)
	random := rand.New(rand.NewPCG(1, 2))
	for i := range 200 {
		x := 5 + i/4
		b := rect{x + random.IntN(3), 10 + random.IntN(3), x + 12 - random.IntN(3), 24 - random.IntN(3)}
		switch random.IntN(6) {
		case 0:
			f.show()
		case 1:
			f.show(rect{b.x0, b.y0, b.x1, b.y0 + 3}, rect{b.x0, b.y0 + 7, b.x1, b.y1})
		default:
			f.show(b)
		}
	}
	if starts, ends := f.ofType(Start), f.ofType(End); len(starts) != 1 || len(ends) != 0 {
		t.Errorf("%d starts and %d ends, want 1 and none: %+v", len(starts), len(ends), ends)
	}
}

func TestTrackerCoolDown(t *testing.T) {
	f := newFilm(t, func(c *Config) { c.CoolDown = 3 * time.Second })
	here, there := rect{10, 10, 20, 20}, rect{50, 10, 60, 20}
	blink := func(b rect, on, off int) {
		for range on {
			f.show(b)
		}
		for range off {
			f.show()
		}
	}
	blink(here, 10, 5) // returns within hold
	if got := len(f.ofType(Start)); got != 1 {
		t.Fatalf("%d starts, want 1", got)
	}
	blink(here, 10, 11) // stays away for longer than hold
	if ends := f.ofType(End); len(ends) != 1 || ends[0].Reason != EndGone {
		t.Fatalf("ends %+v, want one with reason %q", ends, EndGone)
	}
	blink(here, 10, 5) // within the cool-down
	if got := len(f.ofType(Start)); got != 1 {
		t.Errorf("%d starts within the cool-down, want 1", got)
	}
	blink(there, 8, 0)
	if got := len(f.ofType(Start)); got != 2 {
		t.Errorf("%d starts elsewhere, want 2", got)
	}
	blink(here, 20, 0) // still present when the cool-down is over
	if got := len(f.ofType(Start)); got != 3 {
		t.Errorf("%d starts after the cool-down, want 3", got)
	}
}

func TestTrackerCandidatesMayFlickerToo(t *testing.T) {
	f := newFilm(t, nil)
	for i := range 20 {
		if i%5 == 4 {
			f.show()
			continue
		}
		f.show(rect{10, 10, 20, 20})
	}
	if got := len(f.ofType(Start)); got != 1 {
		t.Errorf("%d starts, want 1", got)
	}
}

func TestTrackerEndReasonsAndIDs(t *testing.T) {
	seen := map[string]bool{}
	for _, why := range []EndReason{EndStream, EndPaused, EndNoSignal} {
		f := newFilm(t, nil) // the clock starts at the same time, as after a restart
		for range 10 {
			f.show(rect{10, 10, 20, 20})
		}
		ends := f.tr.End(f.clock(), why)
		if len(ends) != 1 || ends[0].Reason != why || ends[0].Type != End {
			t.Fatalf("End() = %+v, want one %s", ends, why)
		}
		if seen[ends[0].ID] {
			t.Errorf("ID %s is used twice", ends[0].ID)
		}
		seen[ends[0].ID] = true
		for range 10 { // the ended event leaves no state behind
			f.show(rect{10, 10, 20, 20})
		}
		if open := f.tr.Open(); len(open) != 1 || open[0].ID == ends[0].ID {
			t.Errorf("open events after the end: %+v, want a new one", open)
		}
	}
}

// An event goes on when the camera changes its picture size.
func TestTrackerGridChanges(t *testing.T) {
	tr := NewTracker(DefaultConfig())
	var starts, ends int
	for i := range 40 {
		w, h := 80, 40
		if i >= 20 {
			w, h = 48, 24
		}
		m := &detector.Map{Camera: "yard", Captured: time.Unix(0, int64(i)*1e8), Width: w, Height: h, Values: make([]float32, w*h), Threshold: 4}
		for y := h / 4; y < h/2; y++ {
			for x := w / 2; x < w*3/4; x++ {
				m.Values[y*w+x] = 6
			}
		}
		for _, e := range tr.Update(m) {
			switch e.Type {
			case Start:
				starts++
			case End:
				ends++
			case Update:
			}
		}
	}
	if starts != 1 || ends != 0 {
		t.Errorf("%d starts and %d ends, want 1 and none", starts, ends)
	}
}

func TestTrackerPeakTime(t *testing.T) {
	f := newFilm(t, nil)
	for range 10 {
		f.show(rect{10, 10, 20, 20})
	}
	m := &detector.Map{Camera: "yard", Captured: f.clock(), Width: 80, Height: 40, Values: make([]float32, 3200), Threshold: 4}
	m.Values[15*80+15] = 9
	f.tr.Update(m)
	f.i++
	for range 5 {
		f.show(rect{10, 10, 20, 20})
	}
	if e := f.tr.Open()[0]; e.Peak != 9 && e.PeakTime != m.Captured {
		t.Errorf("peak %v at %v, want 9 at %v", e.Peak, e.PeakTime, m.Captured)
	}
}
