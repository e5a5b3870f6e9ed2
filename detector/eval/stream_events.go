package eval

import (
	"maps"
	"slices"
	"time"

	"github.com/oodcast/oodcast/detector/events"
)

// hitShare is the share of an event's box that must lie in an object's for the event to point at it: an event that covers
// the whole picture points at nothing.
const hitShare = 0.1

// Events says how good the events are that the service would have sent: a events.Tracker ran on the maps that got done,
// in the order and at the time at which they did.
type Events struct {
	// Objects is the number of labelled objects: what is connected in the masks of neighbouring frames, or a span of time.
	// Found is how many of them an event hit: at least a tenth of its box lay in the object's box of the same frame (with a
	// truth of times: it started then; what goes on all the time finds nothing). Recall is their share.
	Objects int     `json:"objects"`
	Found   int     `json:"found"`
	Recall  float64 `json:"recall"`
	// Events is how many there were; False of them hit no object in any labelled frame. Unjudged had no labelled frame.
	Events       int     `json:"events"`
	False        int     `json:"false"`
	Unjudged     int     `json:"unjudged"`
	FalsePerHour float64 `json:"false_per_hour"`
	// Switches counts how often an object went over to another event: the one that hit it does no longer, and another one
	// does (the identity switches of Bernardin and Stiefelhagen's CLEAR MOT metrics, 2008). Nothing is known with a truth of
	// times.
	Switches int `json:"id_switches"`
	// Delay is from the first labelled frame with an object until the map that made an event hit it was there, in seconds.
	DelayP50 float64 `json:"delay_p50_s"`
	DelayMax float64 `json:"delay_max_s"`
	// Threshold is where all this holds.
	Threshold float32 `json:"threshold"`
	// Truth lists the objects and Alarms the false events, in the order in which they came.
	Truth  []FoundObject `json:"truth"`
	Alarms []FalseAlarm  `json:"alarms"`
}

// FoundObject is a labelled object, from its first to its last labelled frame, and how long it took to find it; nil: it
// was not. Times are in seconds from the first frame.
type FoundObject struct {
	From  float64  `json:"from_s"`
	To    float64  `json:"to_s"`
	Delay *float64 `json:"delay_s"`
}

// FalseAlarm is an event that hit no object: its first and last map, its highest value, and where it was first.
type FalseAlarm struct {
	From float64    `json:"from_s"`
	To   float64    `json:"to_s"`
	Peak float32    `json:"peak"`
	Box  events.Box `json:"box"`
}

// eventLog runs a tracker and keeps where its events were.
type eventLog struct {
	tracker   *events.Tracker
	threshold float32               // 0: the maps'
	used      float32               // 0: there was none
	seen      map[string][]sighting // by event
	order     []string
}

// sighting is where an event was in one frame.
type sighting struct {
	frame int
	shown time.Duration
	done  time.Duration // when the map was there
	box   events.Box
	peak  float32
}

// newEventLog returns a log for one threshold, 0 for that of the maps.
func newEventLog(cfg events.Config, threshold float32) *eventLog {
	return &eventLog{tracker: events.NewTracker(cfg), threshold: threshold, seen: map[string][]sighting{}}
}

// epoch stands for the first frame's time: trackers want a clock, not a position.
func epoch() time.Time { return time.Unix(0, 0).UTC() }

// update takes a map that is done.
func (l *eventLog) update(s *shot) {
	if s.m.Threshold == 0 {
		return
	}
	m := *s.m
	m.Captured = epoch().Add(s.shown)
	if l.threshold != 0 {
		m.Threshold = l.threshold
	}
	l.used = m.Threshold
	for _, e := range l.tracker.Update(&m) {
		if _, ok := l.seen[e.ID]; !ok {
			l.order = append(l.order, e.ID)
		}
		if e.Type != events.End { // its box is where it last was, some time ago
			l.seen[e.ID] = append(l.seen[e.ID], sighting{s.frame, s.shown, s.done, e.Box, e.Peak})
		}
	}
}

// end closes the tracker.
func (l *eventLog) end(now time.Duration) { l.tracker.End(epoch().Add(now), events.EndStream) }

// hits reports whether a sighting of an event, its first or a later one, points at an object.
func (in *instance) hits(s sighting, first bool) bool {
	if in.boxes == nil {
		return first && in.from <= s.shown && s.shown < in.to
	}
	b := in.boxes[s.frame]
	return b != nil && intersection(s.box, *b) >= hitShare*s.box.Width*s.box.Height
}

// result compares the events with the labelled objects; judged says which frames have a truth.
func (l *eventLog) result(objects []instance, judged func(frame int) bool, duration time.Duration) *Events {
	if l.used == 0 {
		return nil
	}
	r := &Events{
		Objects: len(objects), Events: len(l.order), Threshold: l.used,
		Truth: make([]FoundObject, len(objects)), Alarms: []FalseAlarm{},
	}
	for i, o := range objects {
		r.Truth[i] = FoundObject{From: o.from.Seconds(), To: o.to.Seconds()}
	}
	for _, id := range l.order {
		r.judge(l.seen[id], objects, judged)
	}
	for i := range objects {
		r.Switches += l.switches(&objects[i])
	}
	var delays []float64
	for _, o := range r.Truth {
		if o.Delay != nil {
			delays = append(delays, *o.Delay)
		}
	}
	r.Found = len(delays)
	if r.Objects > 0 {
		r.Recall = float64(r.Found) / float64(r.Objects)
	}
	if r.Found > 0 {
		slices.Sort(delays)
		r.DelayP50, r.DelayMax = delays[(r.Found-1)/2], delays[r.Found-1]
	}
	r.FalsePerHour = float64(r.False) / duration.Hours()
	return r
}

// switches counts how often an object goes over to another event.
func (l *eventLog) switches(o *instance) (n int) {
	hits := map[int][]string{} // events by frame
	for _, id := range l.order {
		for _, s := range l.seen[id] {
			if o.boxes != nil && o.hits(s, false) {
				hits[s.frame] = append(hits[s.frame], id)
			}
		}
	}
	owner := ""
	for _, frame := range slices.Sorted(maps.Keys(hits)) {
		if ids := hits[frame]; !slices.Contains(ids, owner) {
			if owner != "" {
				n++
			}
			owner = ids[0]
		}
	}
	return n
}

// judge adds one event, seen in the order of frames.
func (r *Events) judge(seen []sighting, objects []instance, judged func(frame int) bool) {
	known, hit := false, false
	for n, s := range seen {
		known = known || judged(s.frame)
		for i := range objects {
			if !judged(s.frame) || !objects[i].hits(s, n == 0) {
				continue
			}
			hit = true
			if delay := (s.done - objects[i].from).Seconds(); r.Truth[i].Delay == nil || delay < *r.Truth[i].Delay {
				r.Truth[i].Delay = &delay
			}
		}
	}
	switch {
	case !known:
		r.Unjudged++
	case !hit:
		r.False++
		first, last := seen[0], seen[len(seen)-1]
		r.Alarms = append(r.Alarms, FalseAlarm{first.shown.Seconds(), last.shown.Seconds(), last.peak, first.box})
	}
}
