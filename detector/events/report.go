package events

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/detector/scene"
	"github.com/oodcast/oodcast/ingest"
)

// report is a finding of package scene that lasts: an event from its first frame on.
type report struct {
	event    Event
	cells    []cell
	grid     cell
	lastSeen time.Time // capture time of the last frame with the finding
	sent     time.Time // capture time of the last message
	silent   bool      // the configuration wants no events of the category there
}

// Observe is Update for a map and the frame behind it, in which it also looks for what happens to the camera and for what
// is left or taken.
func (t *Tracker) Observe(f *ingest.Frame, m *detector.Map) []Event {
	if t.scene == nil {
		t.scene = scene.New(t.cfg.scene())
	}
	happened := t.find(m, t.scene.Update(f))
	return append(happened, t.Update(m)...)
}

// covered reports whether the camera sees nothing of its place, so that strange regions mean nothing.
func (t *Tracker) covered() bool {
	return slices.ContainsFunc(t.reports, func(r *report) bool { return r.event.Category == Covered && !r.silent })
}

// find turns the findings of a frame into messages.
func (t *Tracker) find(m *detector.Map, findings []scene.Finding) (happened []Event) {
	for _, f := range findings {
		category, box, cells := Category(f.Category), boxOf(f), cellsOf(f)
		if !judged(m, box) || t.explains(category, box) {
			continue
		}
		r := t.reportOf(category, box)
		if r == nil {
			r = &report{event: Event{Camera: m.Camera, Category: category, Start: m.Captured, Bundle: m.Bundle}}
			t.reports = append(t.reports, r)
		}
		r.update(m, box, cells, cell{f.Width, f.Height})
		switch {
		case r.event.Revision > 0 && m.Captured.Sub(r.sent) >= t.cfg.UpdateEvery:
			happened = append(happened, r.message(Update, m.Captured))
		case r.event.Revision == 0:
			if r.silent = !t.cfg.tells(&r.event); !r.silent {
				r.event.ID = newID(m)
				happened = append(happened, r.message(Start, m.Captured))
			}
		}
	}
	t.reports = slices.DeleteFunc(t.reports, func(r *report) bool {
		if m.Captured.Sub(r.lastSeen) < max(t.cfg.Hold, time.Nanosecond) {
			return false
		}
		if r.event.Revision > 0 {
			r.event.Reason = EndGone
			happened = append(happened, r.message(End, m.Captured))
		}
		return true
	})
	return happened
}

// newID returns the ID of an event that starts with a map.
func newID(m *detector.Map) string {
	return fmt.Sprintf("%s-%d-%08x", m.Camera, m.Captured.UnixMilli(), rand.Uint32())
}

// explains reports whether the finding is at the place of a strange region that is an event already, which then has its category.
func (t *Tracker) explains(category Category, box Box) bool {
	if wholePicture(category) {
		return false
	}
	for _, tr := range t.tracks {
		if tr.started && 2*tr.event.Box.common(box) >= min(tr.event.Box.area(), box.area()) {
			tr.event.Category = category
			return true
		}
	}
	return false
}

// reportOf returns the report that a finding continues, or nil. A thing that was left stays left, even if passers-by hide
// what tells it from something taken.
func (t *Tracker) reportOf(category Category, box Box) *report {
	for _, r := range t.reports {
		if wholePicture(category) != wholePicture(r.event.Category) || wholePicture(category) && category != r.event.Category {
			continue
		}
		if wholePicture(category) || r.event.Box.common(box) > 0 {
			return r
		}
	}
	return nil
}

// update moves the report to where the thing is in the frame behind the map.
func (r *report) update(m *detector.Map, box Box, cells []cell, grid cell) {
	r.cells, r.grid, r.lastSeen = cells, grid, m.Captured
	e := &r.event
	e.Box, e.Area = box, box.area()
	if len(cells) > 0 {
		e.Area = float64(len(cells)) / float64(grid.x*grid.y)
	}
	e.Duration = m.Captured.Sub(e.Start)
	e.Threshold, e.Timesteps = m.Threshold, m.Timesteps
	peak, mean, at := within(m, box)
	e.Mean = mean
	if e.PeakTime.IsZero() || peak > e.Peak {
		e.Peak, e.PeakTime = peak, m.Captured
		if !wholePicture(e.Category) {
			e.SeenAs = m.SeenAs(at)
		}
	}
}

// message returns the next message about the report.
func (r *report) message(category Type, now time.Time) Event {
	e := &r.event
	e.Revision++
	e.Type, e.Time = category, now
	e.Polygon = outline(r.cells, r.grid.x, r.grid.y)
	r.sent = now
	return *e
}

// within returns the highest value of the map in the box, where it is, and the mean of the values there.
func within(m *detector.Map, b Box) (peak, mean float32, at int) {
	x0, y0 := min(m.Width-1, int(b.X*float64(m.Width))), min(m.Height-1, int(b.Y*float64(m.Height)))
	x1, y1 := max(x0+1, int((b.X+b.Width)*float64(m.Width))), max(y0+1, int((b.Y+b.Height)*float64(m.Height)))
	sum, n := 0.0, 0
	for y := y0; y < min(y1, m.Height); y++ {
		for x := x0; x < min(x1, m.Width); x++ {
			i := y*m.Width + x
			if v := m.Values[i]; n == 0 || v > peak {
				peak, at = v, i
			}
			sum += float64(m.Values[i])
			n++
		}
	}
	return peak, float32(sum / float64(max(1, n))), at
}

// judged reports whether the middle of the box lies in the region of interest.
func judged(m *detector.Map, b Box) bool {
	x, y := int((b.X+b.Width/2)*float64(m.Width)), int((b.Y+b.Height/2)*float64(m.Height))
	return b.Width == 1 && b.Height == 1 || m.Judged(min(y, m.Height-1)*m.Width+min(x, m.Width-1))
}

func (b Box) area() float64 { return b.Width * b.Height }

// common returns the area that two boxes share.
func (b Box) common(o Box) float64 {
	w := min(b.X+b.Width, o.X+o.Width) - max(b.X, o.X)
	h := min(b.Y+b.Height, o.Y+o.Height) - max(b.Y, o.Y)
	return max(0, w) * max(0, h)
}

// boxOf returns the box around a finding.
func boxOf(f scene.Finding) Box {
	if len(f.Cells) == 0 {
		return Box{Width: 1, Height: 1}
	}
	r := rect{f.Width, f.Height, 0, 0}
	for _, c := range cellsOf(f) {
		r = r.union(rect{c.x, c.y, c.x + 1, c.y + 1})
	}
	w, h := float64(f.Width), float64(f.Height)
	return Box{X: float64(r.x0) / w, Y: float64(r.y0) / h, Width: float64(r.x1-r.x0) / w, Height: float64(r.y1-r.y0) / h}
}

// cellsOf returns the cells of a finding by column and row.
func cellsOf(f scene.Finding) []cell {
	cells := make([]cell, len(f.Cells))
	for n, i := range f.Cells {
		cells[n] = cell{i % f.Width, i / f.Width}
	}
	return cells
}
