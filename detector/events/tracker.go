package events

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/oodcast/oodcast/detector"
)

// Tracker follows the regions above the threshold of one camera from map to map. It is not safe for concurrent use.
//
// Regions go on with the tracks that they overlap and that they are near to, where those should be by now, such that all
// tracks together fit best. Regions flicker: they go for a map, fall apart and join again. So nothing is decided at once.
// Of a region that splits, the part that fits best is the event's; another one counts as part of it. Where two join, the
// older event goes on, and the other one waits to come out again. Both last for Config.Hold.
type Tracker struct {
	cfg     Config
	tracks  []*track
	ghosts  []ghost
	grid    cell // width and height of the last map
	find    regionFinder
	regions []region // of the current map
	owners  []*track // of the regions
	links   []link   // best first
	edges   [][]edge // the same for match, by track
	match   matcher
	counts  []int
}

// ghost is a place where an event ended a while ago.
type ghost struct {
	box   rect
	until time.Time
}

// NewTracker returns a tracker without events.
func NewTracker(cfg Config) *Tracker { return &Tracker{cfg: cfg} }

// Config returns what the tracker goes by.
func (t *Tracker) Config() Config { return t.cfg }

// Configure changes what the tracker goes by. Events that are open go on.
func (t *Tracker) Configure(cfg Config) { t.cfg = cfg }

// Update takes the next map of the camera and returns what begins, goes on or ends with it.
func (t *Tracker) Update(m *detector.Map) []Event {
	t.regrid(m)
	minCells := max(1, int(t.cfg.MinArea*float64(m.Width*m.Height)))
	t.regions = t.find.regions(m, t.exit(m.Threshold), minCells)
	t.owners = grow(t.owners, len(t.regions))
	clear(t.owners)
	for _, tr := range t.tracks {
		tr.region = -1
	}
	t.connect(m)
	t.assign()
	t.merge(m.Captured)
	t.begin(m)
	t.take(m)
	return append(t.expire(m), t.tell(m)...)
}

// End closes all events.
func (t *Tracker) End(now time.Time, why EndReason) []Event {
	var events []Event
	for _, tr := range t.tracks {
		if tr.started {
			tr.event.Reason = why
			events = append(events, tr.message(End, now, t.grid))
		}
	}
	t.tracks, t.ghosts = nil, nil
	return events
}

// Open returns the events that have started and not ended, as they are after the last map.
func (t *Tracker) Open() []Event {
	var events []Event
	for _, tr := range t.tracks {
		if tr.started {
			events = append(events, tr.event)
		}
	}
	return events
}

// exit returns the level at which regions are cut out: below the threshold, also when that is negative.
func (t *Tracker) exit(threshold float32) float32 {
	return threshold - float32(1-t.cfg.Exit)*max(threshold, -threshold)
}

func (t *Tracker) regrid(m *detector.Map) {
	grid := cell{m.Width, m.Height}
	if t.grid != grid && t.grid.x > 0 {
		for _, tr := range t.tracks {
			tr.regrid(t.grid, grid)
		}
		t.ghosts = nil
	}
	t.grid = grid
}

// give makes a region the track's.
func (t *Tracker) give(region int, tr *track) {
	if tr.region >= 0 {
		t.owners[tr.region] = nil
	}
	tr.region = region
	t.owners[region] = tr
}

// begin starts tracks for the regions that nobody owns.
func (t *Tracker) begin(m *detector.Map) {
	for i := range t.regions {
		r := &t.regions[i]
		if t.owners[i] != nil {
			continue
		}
		parent := t.brokenOff(i)
		if parent == nil && r.peak <= m.Threshold {
			continue // above the exit level only: nothing new begins there
		}
		tr := &track{
			event: Event{Camera: m.Camera, Start: m.Captured, Bundle: m.Bundle}, region: -1, seen: m.Captured, parent: parent,
		}
		t.tracks = append(t.tracks, tr)
		t.give(i, tr)
	}
}

// cooling says whether half of the track's region lies where an event ended a while ago.
func (t *Tracker) cooling(tr *track, now time.Time) bool {
	return slices.ContainsFunc(t.ghosts, func(g ghost) bool {
		n := 0
		for _, c := range tr.body {
			if g.box.contains(c) {
				n++
			}
		}
		return g.until.After(now) && 2*n >= len(tr.body)
	})
}

// take hands the regions to their tracks, and what broke off to where it came from.
func (t *Tracker) take(m *detector.Map) {
	for _, tr := range t.tracks {
		if tr.region < 0 {
			tr.missed++
			if !tr.started {
				tr.away = m.Captured.Sub(tr.seen)
			}
			continue
		}
		tr.comeOut()
		var parts []int
		for _, o := range t.tracks {
			if o.parent == tr && o.region >= 0 {
				parts = append(parts, o.region)
			}
		}
		tr.take(m, t.regions, parts)
	}
}

// tell returns what there is to say about the events of this map.
func (t *Tracker) tell(m *detector.Map) (events []Event) {
	for _, tr := range t.tracks {
		if tr.region < 0 || t.stillPart(tr) {
			continue
		}
		switch {
		case !tr.started && tr.there >= t.cfg.MinDuration && !t.cooling(tr, m.Captured):
			tr.started = true
			tr.event.ID = fmt.Sprintf("%s-%d-%08x", m.Camera, m.Captured.UnixMilli(), rand.Uint32())
			events = append(events, tr.message(Start, m.Captured, t.grid))
		case tr.started && m.Captured.Sub(tr.told) >= t.cfg.UpdateEvery:
			events = append(events, tr.message(Update, m.Captured, t.grid))
		}
	}
	return events
}

// stillPart says whether a track is part of another one. It no longer is when it has been apart for long enough.
func (t *Tracker) stillPart(tr *track) bool {
	if tr.parent == nil {
		return false
	}
	if tr.there < max(t.cfg.Hold, t.cfg.MinDuration) || tr.parent.box.grown(nearCells).overlap(tr.box) > 0 {
		return true
	}
	tr.parent = nil
	return false
}

// expire drops the tracks whose region has been away too long.
func (t *Tracker) expire(m *detector.Map) (ended []Event) {
	over := func(tr *track, why EndReason) {
		tr.dead = true
		if tr.into != nil {
			tr.event.Into = tr.into.event.ID
			tr.comeOut()
		}
		if tr.started {
			tr.event.Reason = why
			ended = append(ended, tr.message(End, m.Captured, t.grid))
			t.ghosts = append(t.ghosts, ghost{tr.box.grown(nearCells), m.Captured.Add(t.cfg.CoolDown)})
		}
	}
	for _, tr := range t.tracks {
		switch {
		case tr.dead || tr.region >= 0:
		case tr.into != nil:
			if m.Captured.Sub(tr.merged) >= t.cfg.Hold || tr.into.dead {
				over(tr, EndMerged)
			}
		case !t.waits(tr, m.Captured):
			over(tr, EndGone)
		}
	}
	t.tracks = slices.DeleteFunc(t.tracks, func(tr *track) bool { return tr.dead })
	for _, tr := range t.tracks {
		if tr.parent != nil && tr.parent.dead {
			tr.parent = nil
		}
	}
	t.ghosts = slices.DeleteFunc(t.ghosts, func(g ghost) bool { return !g.until.After(m.Captured) })
	return ended
}

// waits says whether a track without a region may get one again. An event waits for Hold, and for two maps where maps are
// rare; a candidate must have been there more often than not.
func (t *Tracker) waits(tr *track, now time.Time) bool {
	away := now.Sub(tr.seen)
	if tr.started {
		return away < t.cfg.Hold || tr.missed < 2 && t.cfg.Hold > 0
	}
	return away < t.cfg.Hold && tr.away <= tr.there
}
