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
	seen    time.Time // last map with the region
	told    time.Time // last message
	missed  int       // maps without the region since then
	there   time.Duration
	away    time.Duration // of a candidate

	region int    // in the current map, -1 without
	body   []cell // the region in the last map that had it
	box    rect
	solo   motion // without what merged with it

	parent *track // the track that a part broke off from, while it counts as part of it
	into   *track // the track whose region swallowed this one's, while it may come out again
	merged time.Time
	parts  int // tracks with into == this one
	dead   bool
}

// motion is where a region was when it was last by itself, and how fast it went.
type motion struct {
	cells  []cell
	x, y   float64 // centre
	vx, vy float64 // cells a second
	at     time.Time
}

const (
	motionMemory = 0.4         // share of a new measurement in the velocity
	maxCoast     = time.Second // a region that is away is not expected any further than it went in this time
)

// shift is how many cells the region should have moved by now.
func (o *motion) shift(now time.Time) (dx, dy int) {
	dt := min(now.Sub(o.at), maxCoast).Seconds()
	return int(math.Round(o.vx * dt)), int(math.Round(o.vy * dt))
}

// closeness is 1 where a region's centre is where the track's should be by now, and 1/2 as far away as the track is large.
func (o *motion) closeness(r *region, now time.Time) float64 {
	dx, dy := o.shift(now)
	x, y := r.centre()
	return 1 / (1 + math.Hypot(x-o.x-float64(dx), y-o.y-float64(dy))/math.Sqrt(float64(len(o.cells))))
}

// moved notes a new place.
func (o *motion) moved(r *region, now time.Time) {
	x, y := r.centre()
	if dt := now.Sub(o.at).Seconds(); len(o.cells) > 0 && dt > 0 && dt < 2 {
		o.vx += motionMemory * ((x-o.x)/dt - o.vx)
		o.vy += motionMemory * ((y-o.y)/dt - o.vy)
	}
	o.cells, o.x, o.y, o.at = append(o.cells[:0], r.cells...), x, y, now
}

// senior says which of two tracks lives when their regions merge: events before candidates, then the older.
func (tr *track) senior(o *track) bool {
	if tr.started != o.started {
		return tr.started
	}
	if (tr.parent == nil) != (o.parent == nil) {
		return tr.parent == nil
	}
	return tr.event.Start.Before(o.event.Start)
}

// way is where the track may be now: from where it was, within what swallowed it, to where it should be by now.
func (tr *track) way(now time.Time) rect {
	dx, dy := tr.solo.shift(now)
	b := tr.box
	w := b.union(rect{b.x0 + dx, b.y0 + dy, b.x1 + dx, b.y1 + dy})
	if tr.into != nil {
		w = w.union(tr.into.box)
	}
	return w.grown(nearCells)
}

// comeOut ends that a track's region is part of another one's.
func (tr *track) comeOut() {
	if tr.into != nil {
		tr.into.parts--
		tr.into = nil
	}
}

// take makes regions the track's own: its region, and those of parts that broke off.
func (tr *track) take(m *detector.Map, regions []region, parts []int) {
	own := &regions[tr.region]
	if dt := m.Captured.Sub(tr.seen); tr.missed == 0 {
		tr.there += dt
	}
	tr.seen, tr.missed = m.Captured, 0
	tr.body, tr.box = append(tr.body[:0], own.cells...), own.box
	if tr.parts == 0 {
		tr.solo.moved(own, m.Captured)
	}
	box, count, sum, peak := own.box, len(own.cells), own.sum, own.peak
	for _, i := range parts {
		r := &regions[i]
		box, count, sum, peak = box.union(r.box), count+len(r.cells), sum+r.sum, max(peak, r.peak)
	}
	w, h := float64(m.Width), float64(m.Height)
	e := &tr.event
	e.Box = Box{
		X: float64(box.x0) / w, Y: float64(box.y0) / h, Width: float64(box.x1-box.x0) / w, Height: float64(box.y1-box.y0) / h,
	}
	if peak > e.Peak || e.PeakTime.IsZero() {
		e.Peak, e.PeakTime = peak, m.Captured
	}
	e.Mean = float32(sum / float64(count))
	e.Area = float64(count) / (w * h)
	e.Duration = tr.seen.Sub(e.Start)
	e.Threshold, e.Timesteps = m.Threshold, m.Timesteps
}

// message is what to tell about the event.
func (tr *track) message(kind Type, now time.Time, grid cell) Event {
	e := &tr.event
	e.Revision++
	e.Type, e.Time = kind, now
	e.Polygon = outline(tr.body, grid.x, grid.y)
	tr.told = now
	return *e
}

// regrid carries what the track knows of the grid over to another one, roughly: a camera has changed its size.
func (tr *track) regrid(from, to cell) {
	scale := func(c cell) cell { return cell{c.x * to.x / from.x, c.y * to.y / from.y} }
	for _, cells := range []*[]cell{&tr.body, &tr.solo.cells} {
		for i, c := range *cells {
			(*cells)[i] = scale(c)
		}
		slices.SortFunc(*cells, func(a, b cell) int { return (a.y-b.y)*to.x + a.x - b.x })
		*cells = slices.Compact(*cells)
	}
	a, b := scale(cell{tr.box.x0, tr.box.y0}), scale(cell{tr.box.x1, tr.box.y1})
	tr.box = rect{a.x, a.y, max(b.x, a.x+1), max(b.y, a.y+1)}
	tr.solo.vx, tr.solo.vy, tr.solo.at = 0, 0, time.Time{}
}
