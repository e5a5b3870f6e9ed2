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

// record is what is known of the evidence of one event.
type record struct {
	id     string
	folder string
	filmed bool         // a film is made of it
	holds  atomic.Int32 // the event, until its end is written, and its film: then it is forgotten
	lost   atomic.Bool  // its evidence could not be written

	// Of Observe, which is one goroutine for each camera.
	peak  float32 // of the newest picture
	still bool    // there is a picture of the start
	high  bool    // there is one of the peak

	// Of the writer.
	doc document
}

// document is event.json.
type document struct {
	Format string       `json:"format"`
	Event  schema.Event `json:"event"` // the newest message
	Maps   []MapScale   `json:"maps"`
}

// job is something to write.
type job struct {
	r     *record
	event schema.Event
	shot  *shot  // nil: no pictures
	high  bool   // the shot is of the peak
	film  []byte // nil: no film
	last  bool   // of the event, or of its film
}

// shot is a frame and its map. Several events may share one.
type shot struct {
	frame *ingest.Frame // a copy of ours
	m     *detector.Map
}

// peakStep is by which part a peak must exceed the one before to be worth another picture: there are few, however slowly
// it climbs.
const peakStep = 0.05

// Observe hands over what the tracker said about a map: the events to tell, and all that are open. It returns the events
// to tell with references to their evidence. f is the frame of the map, a reference of the caller's that stays the
// caller's; both are nil when events end without a map.
func (a *Archive) Observe(f *ingest.Frame, m *detector.Map, told, open []events.Event) []events.Event {
	if a.cfg.Load().Off() && !a.hasOpen() {
		return told
	}
	told = slices.Clone(told)
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
	for i := range told {
		a.observeTold(&told[i], take)
	}
	if m != nil {
		for _, e := range open {
			a.observePeak(e, m, take)
		}
	}
	return told
}

// observeTold notes a message about an event and adds the references to it.
func (a *Archive) observeTold(e *events.Event, take func() *shot) {
	a.mu.Lock()
	r := a.mu.records[e.ID]
	a.mu.Unlock()
	if r == nil {
		if e.Type != events.Start {
			return // it began before we did
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
		r.peak, r.still = e.Peak, j.shot != nil
	}
	if r.still && !r.lost.Load() {
		e.Snapshot = path.Join(r.folder, FileOverlay)
		if r.high {
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
		r.still, e.Snapshot = false, ""
	}
}

func (a *Archive) begin(e events.Event) *record {
	in, err := folder(a.site, e.ID)
	if err != nil {
		a.outcome("id", err)
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
		a.unmade.Add(1)
		a.recorder(e.Camera, true).start(r, e.Start)
	}
	return r
}

// release takes away one of the holds of a record. With the last it is forgotten: all that there is to write is written.
func (a *Archive) release(r *record) {
	if r.holds.Add(-1) > 0 {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.mu.records, r.id)
}

// observePeak takes a picture of an event that is clearly higher than at its last picture.
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
		r.peak, r.high, r.still = e.Peak, true, true
	}
}

// submit queues a job, if there is room.
func (a *Archive) submit(j job) bool {
	size := int64(0)
	what := "event"
	if j.shot != nil {
		size, what = int64(len(j.shot.frame.Pix)), "picture"
	}
	if a.pending.Add(size) <= a.room {
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
