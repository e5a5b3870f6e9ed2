package archive

import (
	"path"
	"slices"
	"sync/atomic"
	"time"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/detector/events"
	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/publish/message"
	"github.com/oodcast/oodcast/publish/schema"
)

// record is the evidence of one event.
type record struct {
	id     string
	folder string
	filmed bool         // a film is made of the event
	holds  atomic.Int32 // by the event, until its end is written, and by its film; without any the record is forgotten
	lost   atomic.Bool  // the last write of its files failed

	// Used by Observe alone, which runs in one goroutine per camera.
	peak         float32 // of the newest picture
	pictured     bool    // there is a picture of the start or the peak
	peakPictured bool    // there is a picture of the peak

	// Used by the writer alone.
	doc document
}

// document is event.json.
type document struct {
	Format string       `json:"format"`
	Event  schema.Event `json:"event"` // the newest message
	Maps   []MapScale   `json:"maps"`
}

// job is a unit of work for the writer.
type job struct {
	r     *record
	event schema.Event
	shot  *shot  // nil: no pictures
	high  bool   // the shot is of the peak
	film  []byte // nil: no film
	last  bool   // the end of the event, or its film
}

// shot is a frame and its map. Several events may share one.
type shot struct {
	frame *ingest.Frame // our own copy
	m     *detector.Map
}

// peakStep is the fraction by which a peak must exceed the last one for another picture. It keeps pictures few, however
// slowly the peak climbs.
const peakStep = 0.05

// Observe hands over the tracker's result for a map: the events that changed, and all open events. It returns the changed
// events with references to their evidence. f is the frame of the map; the caller keeps its reference. f and m are nil
// when events end without a map.
func (a *Archive) Observe(f *ingest.Frame, m *detector.Map, changed, open []events.Event) []events.Event {
	if a.cfg.Load().Off() && !a.hasOpen() {
		return changed
	}
	changed = slices.Clone(changed)
	var now *shot
	take := func() *shot {
		if now == nil && f != nil && m != nil {
			c := ingest.NewFrame(f.Width, f.Height)
			copy(c.Pix, f.Pix)
			c.Camera, c.Seq, c.Captured = f.Camera, f.Seq, f.Captured
			now = &shot{c, m}
		}
		return now
	}
	for i := range changed {
		a.observeChange(&changed[i], take)
	}
	if m != nil {
		for _, e := range open {
			a.observePeak(e, m, take)
		}
	}
	return changed
}

// observeChange queues the evidence of an event that changed, and adds the references to the event.
func (a *Archive) observeChange(e *events.Event, take func() *shot) {
	a.mu.Lock()
	r := a.mu.records[e.ID]
	a.mu.Unlock()
	if r == nil {
		if e.Type != events.Start {
			return // it started before we did
		}
		if a.cfg.Load().Off() {
			return
		}
		if r = a.begin(*e); r == nil {
			return
		}
	}
	j := job{r: r, last: e.Type == events.End}
	if e.Type == events.Start {
		j.shot = take()
		r.peak, r.pictured = e.Peak, j.shot != nil
	}
	if r.pictured && !r.lost.Load() {
		e.Snapshot = path.Join(r.folder, FileOverlay)
		if r.peakPictured {
			e.Snapshot = path.Join(r.folder, FilePeakOverlay)
		}
		if j.last && r.filmed {
			e.Clip = path.Join(r.folder, FileClip)
		}
	}
	j.event = message.Event(a.site, *e)
	if c := a.recorder(e.Camera, false); j.last && c != nil {
		c.end(r, e.Start.Add(e.Duration), time.Now())
	}
	if !a.submit(j) && j.shot != nil {
		r.pictured, e.Snapshot = false, ""
	}
}

// begin returns the record of a new event; nil when its id is not the tracker's.
func (a *Archive) begin(e events.Event) *record {
	in, err := folder(a.site, e.ID)
	if err != nil {
		a.report("id", err)
		return nil
	}
	r := &record{
		id: e.ID, folder: in, filmed: a.cfg.Load().films(), doc: document{Format: marker, Maps: []MapScale{}},
	}
	r.holds.Store(1)
	a.mu.Lock()
	a.mu.records[e.ID] = r
	a.mu.Unlock()
	if r.filmed {
		r.holds.Add(1)
		a.filmsPending.Add(1)
		a.recorder(e.Camera, true).start(r, e.Start)
	}
	return r
}

// release removes one hold of a record. Without holds everything is written, and the record is forgotten.
func (a *Archive) release(r *record) {
	if r.holds.Add(-1) > 0 {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.mu.records, r.id)
}

// observePeak takes a picture of an event whose score is clearly higher than at its last picture.
func (a *Archive) observePeak(e events.Event, m *detector.Map, take func() *shot) {
	a.mu.Lock()
	r := a.mu.records[e.ID]
	a.mu.Unlock()
	if r == nil || !e.PeakTime.Equal(m.Captured) || e.Peak < r.peak+peakStep*max(r.peak, -r.peak) {
		return
	}
	s := take()
	if s == nil {
		return
	}
	if a.submit(job{r: r, event: message.Event(a.site, e), shot: s, high: true}) {
		r.peak, r.peakPictured, r.pictured = e.Peak, true, true
	}
}

// submit queues a job, or drops it and returns false when there is no room.
func (a *Archive) submit(j job) bool {
	size := int64(0)
	what := "event"
	if j.shot != nil {
		size, what = int64(len(j.shot.frame.Pix)), "picture"
	}
	if a.pending.Add(size) <= a.maxPending {
		select {
		case a.jobs <- j:
			return true
		default:
		}
	}
	a.pending.Add(-size)
	a.metrics.dropped.WithLabelValues(what).Inc()
	if j.last {
		a.release(j.r)
	}
	return false
}
