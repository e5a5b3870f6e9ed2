package events

import (
	"slices"
	"testing"
	"time"

	"github.com/oodcast/oodcast/detector"
)

// blobMap is a map of 40 × 20 with one blob.
func blobMap(at time.Duration, blob rect, value float32) *detector.Map {
	m := &detector.Map{
		Camera: "yard", Captured: time.Unix(0, 0).Add(at), Width: 40, Height: 20, Values: make([]float32, 800), Threshold: 4,
		Bundle: "b", Timesteps: []int{1},
	}
	for y := blob.y0; y < blob.y1; y++ {
		for x := blob.x0; x < blob.x1; x++ {
			m.Values[y*40+x] = value
		}
	}
	return m
}

func TestTrackerFollowsARegion(t *testing.T) {
	tr := NewTracker(DefaultConfig())
	var events []Event
	for i := range 40 { // 100 ms apart; a blob moves from 0.5 s to 2.9 s
		at := time.Duration(i) * 100 * time.Millisecond
		m := blobMap(at, rect{}, 0)
		if i >= 5 && i < 30 {
			m = blobMap(at, rect{i, 5, i + 4, 9}, 6+float32(i)/10)
		}
		events = append(events, tr.Update(m)...)
	}
	var kinds []Type
	for i, e := range events {
		kinds = append(kinds, e.Type)
		if e.ID != events[0].ID || e.Revision != i+1 || e.Camera != "yard" || e.Bundle != "b" {
			t.Errorf("event %d = %+v", i, e)
		}
	}
	if want := []Type{Start, Update, End}; !slices.Equal(kinds, want) {
		t.Fatalf("events %v, want %v", kinds, want)
	}
	start, end := events[0], events[2]
	if got := start.Time.Sub(time.Unix(0, 0)); got != time.Second { // seen at 0.5 s, reported after min_duration
		t.Errorf("start reported at %v, want 1s", got)
	}
	if got := start.Start.Sub(time.Unix(0, 0)); got != 500*time.Millisecond {
		t.Errorf("start = %v, want 500ms", got)
	}
	if end.Duration != 2400*time.Millisecond || end.Peak != 8.9 {
		t.Errorf("end: duration %d ms, peak %v, want 2400 and 8.9", end.Duration, end.Peak)
	}
	if got := end.Time.Sub(time.Unix(0, 0)); got != 3900*time.Millisecond { // last seen at 2.9 s, held for 1 s
		t.Errorf("end reported at %v, want 3.9s", got)
	}
	if b := start.Box; b.X != 10.0/40 || b.Y != 5.0/20 || b.Width != 4.0/40 || b.Height != 4.0/20 || start.Area != 16.0/800 {
		t.Errorf("box %+v, area %v", b, start.Area)
	}
}

func TestTrackerHysteresis(t *testing.T) {
	tr := NewTracker(Config{Exit: 0.5, MinArea: 0.001, Hold: 100 * time.Millisecond, UpdateEvery: time.Hour})
	blob := rect{10, 5, 20, 10}
	step := func(i int, value float32) int {
		return len(tr.Update(blobMap(time.Duration(i)*time.Second, blob, value)))
	}
	if n := step(0, 3); n != 0 { // above the exit level, below the threshold: no event starts
		t.Errorf("%d events below the threshold", n)
	}
	if n := step(1, 5); n != 1 {
		t.Errorf("%d events above the threshold, want a start", n)
	}
	for i := 2; i < 6; i++ { // between the levels the event goes on
		if n := step(i, 2.5); n != 0 {
			t.Errorf("%d events between the levels", n)
		}
	}
	if n := step(6, 1) + step(7, 2.5); n != 0 { // one map below the exit level is not enough, however rare maps are
		t.Errorf("%d events with one map below the exit level, want none", n)
	}
	if n := step(8, 1) + step(9, 1); n != 1 {
		t.Errorf("%d events below the exit level, want an end", n)
	}
}

func TestTrackerIgnoresSmallAndShortRegions(t *testing.T) {
	tr := NewTracker(DefaultConfig())
	for i := range 30 {
		at := time.Duration(i) * 100 * time.Millisecond
		blob := rect{5, 5, 15, 10} // flashes in one frame of three
		if i%3 > 0 {
			blob = rect{}
		}
		if e := tr.Update(blobMap(at, blob, 9)); len(e) > 0 {
			t.Fatalf("a flash causes %v", e)
		}
	}
	cfg := DefaultConfig()
	cfg.MinArea, cfg.MinDuration = 0.01, 0
	tr = NewTracker(cfg)
	if e := tr.Update(blobMap(0, rect{3, 3, 4, 4}, 9)); len(e) > 0 {
		t.Errorf("one cell of 800 causes %v", e)
	}
}

func TestTrackerSeparatesTwoRegionsAndEnds(t *testing.T) {
	cfg := DefaultConfig()
	cfg.MinDuration = 0
	tr := NewTracker(cfg)
	m := blobMap(0, rect{2, 2, 8, 8}, 6)
	for y := 10; y < 16; y++ {
		for x := 25; x < 35; x++ {
			m.Values[y*40+x] = 7
		}
	}
	events := tr.Update(m)
	if len(events) != 2 || events[0].ID == events[1].ID {
		t.Fatalf("events %v, want two starts", events)
	}
	ends := tr.End(time.Unix(5, 0), EndStream)
	if len(ends) != 2 || ends[0].Type != End || ends[0].Revision != 2 {
		t.Errorf("End() = %v, want two ends", ends)
	}
	if again := tr.End(time.Unix(6, 0), EndStream); len(again) != 0 {
		t.Errorf("End() again = %v", again)
	}
}

func BenchmarkTracker(b *testing.B) {
	m := &detector.Map{Width: 128, Height: 64, Values: make([]float32, 128*64), Threshold: 4}
	for i := range m.Values {
		m.Values[i] = float32(i % 97 / 16)
	}
	tr := NewTracker(DefaultConfig())
	b.ReportAllocs()
	for b.Loop() {
		tr.Update(m)
	}
}
