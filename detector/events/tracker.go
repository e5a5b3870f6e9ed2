package events

import (
	"slices"
	"time"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/detector/scene"
)

// Tracker follows the regions above the threshold of one camera from map to map. It is not safe for concurrent use.
//
// Each region is assigned to a track whose predicted position it overlaps or is near to; the assignment maximises the total
// score of all tracks. Regions flicker: they disappear for a map, fall apart and join again. So no decision is immediate.
// When a region splits, the fragment that fits best continues the event, and the other fragments count as part of it. When
// two regions merge, the older event goes on, and the younger one is kept in case the regions separate again. Both states
// last for Config.Hold.
type Tracker struct {
	cfg       Config
	tracks    []*track
	cooldowns []cooldown
	grid      cell // width and height of the last map
	finder    regionFinder
	regions   []region // of the current map
	owners    []*track // track of each region; nil: none
	links     []link   // best first
	edges     [][]edge // the links of each track, as the matcher takes them
	matcher   matcher
	counts    []int        // buffer of connect
	scene     *scene.Watch // nil until Observe is called
	reports   []*report
}

// cooldown is a place where an event ended and where no other one may start for a while.
type cooldown struct {
	box   rect
	until time.Time
}

// NewTracker returns a tracker without events.
func NewTracker(cfg Config) *Tracker { return &Tracker{cfg: cfg} }

// Config returns the current configuration.
func (t *Tracker) Config() Config { return t.cfg }

// Configure replaces the configuration. Open events go on.
func (t *Tracker) Configure(cfg Config) {
	t.cfg = cfg
	if t.scene != nil {
		t.scene.Configure(cfg.scene())
	}
}

// Update takes the next map of the camera and returns the messages about events that start, go on or end with it.
func (t *Tracker) Update(m *detector.Map) []Event {
	t.regrid(m)
	minCells := max(1, int(t.cfg.MinArea*float64(m.Width*m.Height)))
	t.regions = t.finder.regions(m, t.exit(m.Threshold), minCells)
	t.owners = grow(t.owners, len(t.regions))
	clear(t.owners)
	for _, tr := range t.tracks {
		tr.region = -1
	}
	t.connect(m)
	t.assign()
	t.merge(m.Captured)
	t.startTracks(m)
	t.updateTracks(m)
	return append(t.expire(m), t.messages(m)...)
}

// End closes all events.
func (t *Tracker) End(now time.Time, reason EndReason) []Event {
	var events []Event
	for _, tr := range t.tracks {
		if tr.started {
			tr.event.Reason = reason
			events = append(events, tr.message(End, now, t.grid))
		}
	}
	for _, r := range t.reports {
		if r.event.Revision > 0 {
			r.event.Reason = reason
			events = append(events, r.message(End, now))
		}
	}
	t.tracks, t.cooldowns, t.reports = nil, nil, nil
	return events
}

// Open returns the events that have started and not ended, in their state after the last map.
func (t *Tracker) Open() []Event {
	var events []Event
	for _, tr := range t.tracks {
		if tr.started {
			events = append(events, tr.event)
		}
	}
	for _, r := range t.reports {
		if r.event.Revision > 0 {
			events = append(events, r.event)
		}
	}
	return events
}

// exit returns the level above which cells form regions. It is below the threshold even if the threshold is negative.
func (t *Tracker) exit(threshold float32) float32 {
	return threshold - float32(1-t.cfg.Exit)*max(threshold, -threshold)
}

func (t *Tracker) regrid(m *detector.Map) {
	grid := cell{m.Width, m.Height}
	if t.grid != grid && t.grid.x > 0 {
		for _, tr := range t.tracks {
			tr.regrid(t.grid, grid)
		}
		t.cooldowns = nil
	}
	t.grid = grid
}

// setOwner assigns a region to a track.
func (t *Tracker) setOwner(region int, tr *track) {
	if tr.region >= 0 {
		t.owners[tr.region] = nil
	}
	tr.region = region
	t.owners[region] = tr
}

// startTracks starts a track for each region without an owner.
func (t *Tracker) startTracks(m *detector.Map) {
	for i := range t.regions {
		r := &t.regions[i]
		if t.owners[i] != nil {
			continue
		}
		parent := t.fragmentOf(i)
		if parent == nil && r.peak <= m.Threshold {
			continue // only above the exit level: no new event begins there
		}
		tr := &track{
			event: Event{Camera: m.Camera, Start: m.Captured, Bundle: m.Bundle}, region: -1, lastSeen: m.Captured, parent: parent,
		}
		t.tracks = append(t.tracks, tr)
		t.setOwner(i, tr)
	}
}

// coolingDown reports whether at least half of the track's region lies in a place that is cooling down.
func (t *Tracker) coolingDown(tr *track, now time.Time) bool {
	return slices.ContainsFunc(t.cooldowns, func(g cooldown) bool {
		n := 0
		for _, c := range tr.cells {
			if g.box.contains(c) {
				n++
			}
		}
		return g.until.After(now) && 2*n >= len(tr.cells)
	})
}

// updateTracks updates every track with its region and with the fragments that broke off from it.
func (t *Tracker) updateTracks(m *detector.Map) {
	for _, tr := range t.tracks {
		if tr.region < 0 {
			tr.missedMaps++
			if !tr.started {
				tr.absent = m.Captured.Sub(tr.lastSeen)
			}
			continue
		}
		tr.separate()
		var fragments []int
		for _, o := range t.tracks {
			if o.parent == tr && o.region >= 0 {
				fragments = append(fragments, o.region)
			}
		}
		tr.update(m, t.regions, fragments)
	}
}

// messages returns the start and update messages that are due with this map.
func (t *Tracker) messages(m *detector.Map) (events []Event) {
	for _, tr := range t.tracks {
		if tr.region < 0 || t.isFragment(tr) {
			continue
		}
		switch {
		case !tr.started && tr.event.Peak <= m.Threshold: // a fragment, or a candidate of a time with a lower threshold
		case !tr.started && (t.covered() || !t.cfg.tells(&tr.event)):
		case !tr.started && tr.present >= t.cfg.MinDuration && !t.coolingDown(tr, m.Captured):
			tr.started = true
			tr.event.ID = newID(m)
			events = append(events, tr.message(Start, m.Captured, t.grid))
		case tr.started && m.Captured.Sub(tr.lastMessage) >= t.cfg.UpdateEvery:
			events = append(events, tr.message(Update, m.Captured, t.grid))
		}
	}
	return events
}

// isFragment reports whether a track still counts as part of another one. It becomes independent once it has been apart for
// long enough.
func (t *Tracker) isFragment(tr *track) bool {
	if tr.parent == nil {
		return false
	}
	if tr.present < max(t.cfg.Hold, t.cfg.MinDuration) || tr.parent.box.grown(nearCells).overlap(tr.box) > 0 {
		return true
	}
	tr.parent = nil
	return false
}

// expire removes the tracks whose region has been absent too long and returns their end messages.
func (t *Tracker) expire(m *detector.Map) (ended []Event) {
	end := func(tr *track, reason EndReason) {
		tr.dead = true
		if tr.mergedInto != nil {
			tr.event.Into = tr.mergedInto.event.ID
			tr.separate()
		}
		if tr.started {
			tr.event.Reason = reason
			ended = append(ended, tr.message(End, m.Captured, t.grid))
			t.cooldowns = append(t.cooldowns, cooldown{tr.box.grown(nearCells), m.Captured.Add(t.cfg.CoolDown)})
		}
	}
	for _, tr := range t.tracks {
		switch {
		case tr.dead || tr.region >= 0:
		case tr.mergedInto != nil:
			if m.Captured.Sub(tr.mergedAt) >= t.cfg.Hold || tr.mergedInto.dead {
				end(tr, EndMerged)
			}
		case !t.mayReturn(tr, m.Captured):
			end(tr, EndGone)
		}
	}
	t.tracks = slices.DeleteFunc(t.tracks, func(tr *track) bool { return tr.dead })
	for _, tr := range t.tracks {
		if tr.parent != nil && tr.parent.dead {
			tr.parent = nil
		}
	}
	t.cooldowns = slices.DeleteFunc(t.cooldowns, func(g cooldown) bool { return !g.until.After(m.Captured) })
	return ended
}

// mayReturn reports whether to keep a track without a region, in case its region returns. An event is kept for Hold, and for
// at least two maps where maps are rare; a candidate must also have been present for as long as it has been absent.
func (t *Tracker) mayReturn(tr *track, now time.Time) bool {
	absent := now.Sub(tr.lastSeen)
	if tr.started {
		return absent < t.cfg.Hold || tr.missedMaps < 2 && t.cfg.Hold > 0
	}
	return absent < t.cfg.Hold && tr.absent <= tr.present
}
