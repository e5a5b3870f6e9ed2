package detector

import (
	"fmt"
	"time"
)

// EventType is a step in the life of an event.
type EventType string

// The types of events.
const (
	EventStart  EventType = "start"
	EventUpdate EventType = "update"
	EventEnd    EventType = "end"
)

// Box is a rectangle in parts of the image, 0 … 1 from the top left.
type Box struct {
	X      float64 `json:"x"`
	Y      float64 `json:"y"`
	Width  float64 `json:"width"`
	Height float64 `json:"height"`
}

// Event is an anomalous region that lasts.
type Event struct {
	ID         string    `json:"id"`
	Revision   int       `json:"revision"` // from 1, one more with every message about the event
	Type       EventType `json:"type"`
	Camera     string    `json:"camera"`
	Start      time.Time `json:"start"`
	Time       time.Time `json:"time"` // of the frame behind this message
	Box        Box       `json:"box"`
	Peak       float32   `json:"peak"` // highest value so far
	Mean       float32   `json:"mean"` // of the region, now
	Area       float64   `json:"area"` // part of the image, now
	DurationMS int64     `json:"duration_ms"`
	Timesteps  []int     `json:"timesteps"`
	Bundle     string    `json:"bundle"`
}

// TrackerConfig says when a region becomes an event.
type TrackerConfig struct {
	// Exit is the share of the threshold at which a region that was above it ends: hysteresis. 0 … 1, default 0.8.
	Exit float64 `yaml:"exit"`
	// MinArea is the smallest region in parts of the image. Default 0.0005.
	MinArea float64 `yaml:"min_area"`
	// MinDuration is how long a region must last before it starts an event. Default 500 ms.
	MinDuration time.Duration `yaml:"min_duration"`
	// Hold is how long an event outlives its region. Default 1 s.
	Hold time.Duration `yaml:"hold"`
	// UpdateEvery is the shortest time between two updates of an event. Default 1 s.
	UpdateEvery time.Duration `yaml:"update_every"`
}

// DefaultTrackerConfig returns the defaults.
func DefaultTrackerConfig() TrackerConfig {
	return TrackerConfig{
		Exit: 0.8, MinArea: 0.0005, MinDuration: 500 * time.Millisecond, Hold: time.Second, UpdateEvery: time.Second,
	}
}

// Tracker follows the regions above the threshold of one camera from map to map. It is not safe for concurrent use.
type Tracker struct {
	cfg    TrackerConfig
	tracks []*track
	count  int
	find   regionFinder
}

// track is a region in time: a candidate until it has lasted long enough.
type track struct {
	event   Event
	started bool
	seen    time.Time // last map with the region
	told    time.Time // last message
	box     cells
	claimed bool
}

// NewTracker returns a tracker without events.
func NewTracker(cfg TrackerConfig) *Tracker { return &Tracker{cfg: cfg} }

// Update takes the next map of the camera and returns what begins, goes on or ends with it.
func (t *Tracker) Update(m *Map) []Event {
	var events []Event
	minCells := max(1, int(t.cfg.MinArea*float64(m.Width*m.Height)))
	for _, tr := range t.tracks {
		tr.claimed = false
	}
	for _, r := range t.find.regions(m, t.exit(m.Threshold), minCells) {
		tr := t.match(r)
		if tr == nil {
			if r.peak <= m.Threshold {
				continue // above the exit level only: nothing new begins there
			}
			tr = t.begin(m)
		}
		tr.take(m, r)
		if e, ok := t.tell(tr, m); ok {
			events = append(events, e)
		}
	}
	return append(events, t.expire(m)...)
}

// exit returns the level at which regions are cut out: below the threshold, also when that is negative.
func (t *Tracker) exit(threshold float32) float32 {
	return threshold - float32(1-t.cfg.Exit)*max(threshold, -threshold)
}

// End closes all events, at the end of a stream.
func (t *Tracker) End(now time.Time) []Event {
	var events []Event
	for _, tr := range t.tracks {
		if tr.started {
			events = append(events, tr.message(EventEnd, now))
		}
	}
	t.tracks = nil
	return events
}

func (t *Tracker) begin(m *Map) *track {
	t.count++
	tr := &track{event: Event{
		ID:     fmt.Sprintf("%s-%d-%d", m.Camera, m.Captured.UnixMilli(), t.count),
		Camera: m.Camera, Start: m.Captured, Bundle: m.Bundle,
	}}
	t.tracks = append(t.tracks, tr)
	return tr
}

// match returns the track whose box overlaps the region's most, among those without a region yet.
func (t *Tracker) match(r region) *track {
	var best *track
	most := 0
	for _, tr := range t.tracks {
		if tr.claimed {
			continue
		}
		if n := tr.box.grown(2).overlap(r.box); n > most {
			best, most = tr, n
		}
	}
	return best
}

func (t *Tracker) tell(tr *track, m *Map) (Event, bool) {
	switch {
	case !tr.started && m.Captured.Sub(tr.event.Start) >= t.cfg.MinDuration:
		tr.started = true
		return tr.message(EventStart, m.Captured), true
	case tr.started && m.Captured.Sub(tr.told) >= t.cfg.UpdateEvery:
		return tr.message(EventUpdate, m.Captured), true
	}
	return Event{}, false
}

// expire drops the tracks whose region has been away too long; candidates go at once.
func (t *Tracker) expire(m *Map) (ended []Event) {
	kept := t.tracks[:0]
	for _, tr := range t.tracks {
		switch {
		case tr.claimed || tr.started && m.Captured.Sub(tr.seen) < t.cfg.Hold:
			kept = append(kept, tr)
		case tr.started:
			ended = append(ended, tr.message(EventEnd, m.Captured))
		}
	}
	clear(t.tracks[len(kept):])
	t.tracks = kept
	return ended
}

// take makes the region the track's own.
func (tr *track) take(m *Map, r region) {
	tr.claimed, tr.seen, tr.box = true, m.Captured, r.box
	w, h := float64(m.Width), float64(m.Height)
	e := &tr.event
	e.Box = Box{
		X: float64(r.box.x0) / w, Y: float64(r.box.y0) / h,
		Width: float64(r.box.x1-r.box.x0) / w, Height: float64(r.box.y1-r.box.y0) / h,
	}
	e.Peak = max(e.Peak, r.peak)
	e.Mean = float32(r.sum / float64(r.count))
	e.Area = float64(r.count) / (w * h)
	e.Timesteps = m.Timesteps
}

func (tr *track) message(kind EventType, now time.Time) Event {
	e := &tr.event
	e.Revision++
	e.Type, e.Time = kind, now
	e.DurationMS = tr.seen.Sub(e.Start).Milliseconds()
	tr.told = now
	return *e
}
