package stream

import (
	"maps"
	"slices"
	"time"

	"github.com/oodcast/oodcast/detector/events"
)

// hitShare is the fraction of an event's box that must lie in the box of an object for the event to hit it: an event that
// covers the whole picture hits nothing.
const hitShare = 0.1

// Events judges the events that the service would have sent. They come from the service's tracker, which ran on the maps
// that were done, in the order and at the times at which they were done.
type Events struct {
	// Objects is the number of labelled objects: a region that is connected over the masks of neighbouring frames, or a span
	// of time. Found is the number of them that an event hit, and Recall their fraction. An event hits an object if at least
	// a tenth of the event's box lies in the object's box of the same frame. With a truth of times the event must start
	// within the span, so an event that lasts for the whole stream finds nothing.
	Objects int     `json:"objects"`
	Found   int     `json:"found"`
	Recall  float64 `json:"recall"`
	// Events is the number of events. False of them hit no object in any labelled frame; Unjudged have no labelled frame.
	Events       int     `json:"events"`
	False        int     `json:"false"`
	Unjudged     int     `json:"unjudged"`
	FalsePerHour float64 `json:"false_per_hour"`
	// Switches counts how often an object passed to another event, that is, its event no longer hits it and another one does
	// (the identity switches of the CLEAR MOT metrics, Bernardin and Stiefelhagen 2008). It is 0 with a truth of times.
	Switches int `json:"id_switches"`
	// DelayP50 and DelayMax are quantiles, in seconds, of the time from the first labelled frame of an object until the first
	// map with an event that hits it is done.
	DelayP50 float64 `json:"delay_p50_s"`
	DelayMax float64 `json:"delay_max_s"`
	// Threshold is the threshold of the events.
	Threshold float32 `json:"threshold"`
	// Truth lists the objects and Alarms the false events, in order of appearance.
	Truth  []Object     `json:"truth"`
	Alarms []FalseAlarm `json:"alarms"`
}

// Object is a labelled object from its first to its last labelled frame, and the delay until an event hit it; nil: none did.
// Times are in seconds from the first frame.
type Object struct {
	From  float64  `json:"from_s"`
	To    float64  `json:"to_s"`
	Delay *float64 `json:"delay_s"`
}

// FalseAlarm is an event that hit no object: the times of its first and last map, its highest value, and its first box.
type FalseAlarm struct {
	From float64    `json:"from_s"`
	To   float64    `json:"to_s"`
	Peak float32    `json:"peak"`
	Box  events.Box `json:"box"`
}

// eventLog runs a tracker and records where its events were.
type eventLog struct {
	tracker   *events.Tracker
	threshold float32               // 0: the threshold of the maps
	used      float32               // last threshold in use; 0: none
	seen      map[string][]sighting // by event
	order     []string
}

// sighting is an event in one frame.
type sighting struct {
	frame int
	shown time.Duration
	done  time.Duration // when the map was done
	box   events.Box
	peak  float32
}

// newEventLog returns a log for one threshold; 0 takes the threshold of the maps.
func newEventLog(cfg events.Config, threshold float32) *eventLog {
	return &eventLog{tracker: events.NewTracker(cfg), threshold: threshold, seen: map[string][]sighting{}}
}

// epoch stands for the time of the first frame: a tracker wants times of a clock, not positions in a video.
func epoch() time.Time { return time.Unix(0, 0).UTC() }

// update passes a map that is done to the tracker.
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
		if e.Type != events.End { // the box of an end is an old one
			l.seen[e.ID] = append(l.seen[e.ID], sighting{s.frame, s.shown, s.done, e.Box, e.Peak})
		}
	}
}

// end closes the tracker.
func (l *eventLog) end(now time.Duration) { l.tracker.End(epoch().Add(now), events.EndStream) }

// hits reports whether a sighting of an event hits the object. first marks the first sighting of the event.
func (in *instance) hits(s sighting, first bool) bool {
	if in.boxes == nil {
		return first && in.from <= s.shown && s.shown < in.to
	}
	b := in.boxes[s.frame]
	return b != nil && intersection(s.box, *b) >= hitShare*s.box.Width*s.box.Height
}

// result compares the events with the labelled objects. judged reports whether the truth of a frame is known.
func (l *eventLog) result(objects []instance, judged func(frame int) bool, duration time.Duration) *Events {
	if l.used == 0 {
		return nil
	}
	r := &Events{
		Objects: len(objects), Events: len(l.order), Threshold: l.used,
		Truth: make([]Object, len(objects)), Alarms: []FalseAlarm{},
	}
	for i, o := range objects {
		r.Truth[i] = Object{From: o.from.Seconds(), To: o.to.Seconds()}
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

// switches counts how often an object passes to another event.
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

// judge adds one event, given its sightings in the order of frames.
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
