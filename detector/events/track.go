package events

import (
	"math"
	"slices"
	"time"

	"github.com/oodcast/oodcast/detector"
)

// track is a region in time: a candidate until it has lasted long enough, then an event.
type track struct {
	event   Event
	started bool

	lastSeen    time.Time     // capture time of the last map with the region
	lastMessage time.Time     // capture time of the map behind the last message
	missedMaps  int           // maps without the region since lastSeen
	present     time.Duration // how long the region has been there in total
	absent      time.Duration // length of the current absence of a candidate's region

	region int    // index in the current map; -1: none
	cells  []cell // the region in the last map that had it
	box    rect   // of cells
	alone  motion // of the region while no other region was merged with it

	parent     *track // the track that this fragment broke off from, while it counts as part of it
	mergedInto *track // the track whose region absorbed this one's, while they may still separate
	mergedAt   time.Time
	absorbed   int // tracks whose mergedInto is this one
	dead       bool
}

// motion is where a region was when it was last separate from others, and its velocity.
type motion struct {
	cells  []cell
	x, y   float64 // centre
	vx, vy float64 // cells per second
	at     time.Time
}

const (
	motionMemory = 0.4         // share of a new measurement in the velocity
	maxCoast     = time.Second // the position of an absent region is extrapolated for no longer than this
)

// shift predicts how many cells the region has moved by now.
func (o *motion) shift(now time.Time) (dx, dy int) {
	dt := min(now.Sub(o.at), maxCoast).Seconds()
	return int(math.Round(o.vx * dt)), int(math.Round(o.vy * dt))
}

// closeness is 1 if a region's centre is at the predicted centre of the track, and 1/2 at a distance of the track's size.
func (o *motion) closeness(r *region, now time.Time) float64 {
	dx, dy := o.shift(now)
	x, y := r.centre()
	return 1 / (1 + math.Hypot(x-o.x-float64(dx), y-o.y-float64(dy))/math.Sqrt(float64(len(o.cells))))
}

// moved records a new position.
func (o *motion) moved(r *region, now time.Time) {
	x, y := r.centre()
	if dt := now.Sub(o.at).Seconds(); len(o.cells) > 0 && dt > 0 && dt < 2 {
		o.vx += motionMemory * ((x-o.x)/dt - o.vx)
		o.vy += motionMemory * ((y-o.y)/dt - o.vy)
	}
	o.cells, o.x, o.y, o.at = append(o.cells[:0], r.cells...), x, y, now
}

// outranks reports whether the track survives o when their regions merge: events outrank candidates, independent tracks
// outrank fragments, and older tracks outrank younger ones.
func (tr *track) outranks(o *track) bool {
	if tr.started != o.started {
		return tr.started
	}
	if (tr.parent == nil) != (o.parent == nil) {
		return tr.parent == nil
	}
	return tr.event.Start.Before(o.event.Start)
}

// searchBox is where the track may be now: it spans the last position, the predicted one, and the region that absorbed the
// track.
func (tr *track) searchBox(now time.Time) rect {
	dx, dy := tr.alone.shift(now)
	b := tr.box
	w := b.union(rect{b.x0 + dx, b.y0 + dy, b.x1 + dx, b.y1 + dy})
	if tr.mergedInto != nil {
		w = w.union(tr.mergedInto.box)
	}
	return w.grown(nearCells)
}

// separate ends the state in which another track's region has absorbed this one's.
func (tr *track) separate() {
	if tr.mergedInto != nil {
		tr.mergedInto.absorbed--
		tr.mergedInto = nil
	}
}

// update moves the track to its region in the map. The event also covers the regions of fragments that broke off.
func (tr *track) update(m *detector.Map, regions []region, fragments []int) {
	own := &regions[tr.region]
	if dt := m.Captured.Sub(tr.lastSeen); tr.missedMaps == 0 {
		tr.present += dt
	}
	tr.lastSeen, tr.missedMaps = m.Captured, 0
	tr.cells, tr.box = append(tr.cells[:0], own.cells...), own.box
	if tr.absorbed == 0 {
		tr.alone.moved(own, m.Captured)
	}
	box, count, sum, peak, at := own.box, len(own.cells), own.sum, own.peak, own.at
	for _, i := range fragments {
		r := &regions[i]
		box, count, sum = box.union(r.box), count+len(r.cells), sum+r.sum
		if r.peak > peak {
			peak, at = r.peak, r.at
		}
	}
	w, h := float64(m.Width), float64(m.Height)
	e := &tr.event
	e.Box = Box{
		X: float64(box.x0) / w, Y: float64(box.y0) / h, Width: float64(box.x1-box.x0) / w, Height: float64(box.y1-box.y0) / h,
	}
	if peak > e.Peak || e.PeakTime.IsZero() {
		e.Peak, e.PeakTime, e.Voice, e.SeenAs = peak, m.Captured, "", m.SeenAs(at)
		if m.Voices != nil {
			e.Voice = m.Voices[at].String()
		}
	}
	e.Mean = float32(sum / float64(count))
	e.Area = float64(count) / (w * h)
	switch {
	case e.Category == Left || e.Category == Taken: // told by the picture
	case e.Area >= crowdArea:
		e.Category = Crowd
	case e.Voice == detector.VoiceMotion.String():
		e.Category = Motion
	default:
		e.Category = Strange
	}
	e.Duration = tr.lastSeen.Sub(e.Start)
	e.Threshold, e.Timesteps = m.Threshold, m.Timesteps
}

// message returns the next message about the event.
func (tr *track) message(kind Type, now time.Time, grid cell) Event {
	e := &tr.event
	e.Revision++
	e.Type, e.Time = kind, now
	e.Polygon = outline(tr.cells, grid.x, grid.y)
	tr.lastMessage = now
	return *e
}

// regrid transfers the track to another grid, approximately, after the camera has changed its picture size.
func (tr *track) regrid(from, to cell) {
	scale := func(c cell) cell { return cell{c.x * to.x / from.x, c.y * to.y / from.y} }
	for _, cells := range []*[]cell{&tr.cells, &tr.alone.cells} {
		for i, c := range *cells {
			(*cells)[i] = scale(c)
		}
		slices.SortFunc(*cells, func(a, b cell) int { return (a.y-b.y)*to.x + a.x - b.x })
		*cells = slices.Compact(*cells)
	}
	a, b := scale(cell{tr.box.x0, tr.box.y0}), scale(cell{tr.box.x1, tr.box.y1})
	tr.box = rect{a.x, a.y, max(b.x, a.x+1), max(b.y, a.y+1)}
	tr.alone.vx, tr.alone.vy, tr.alone.at = 0, 0, time.Time{}
}
