package archive

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/oodcast/oodcast/ingest"
)

// recorder keeps the last frames of one camera, compressed, for the films of its events.
type recorder struct {
	cfg *atomic.Pointer[Config]
	mu  struct {
		sync.Mutex
		gone   bool      // there are no more frames
		due    time.Time // no frame before
		stills []still
		bytes  int
		wants  []*want
	}
}

// want is a film that is being gathered.
type want struct {
	r        *record
	from, to time.Time // to is zero while the event is open
	heard    time.Time // on our clock: when the event ended
}

// takes says whether a frame is one of those that are kept.
func (c *recorder) takes(f *ingest.Frame) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	fps := c.cfg.Load().Clip.FPS
	if fps == 0 || f.Captured.Before(c.mu.due) {
		return false
	}
	every := time.Duration(float64(time.Second) / fps)
	c.mu.due = c.mu.due.Add(every)
	if c.mu.due.Before(f.Captured) { // after a pause, or at the start
		c.mu.due = f.Captured.Add(every * 9 / 10) // cameras are not exact
	}
	return true
}

// add keeps a still and drops what no film needs any more, and the oldest when there is too much.
func (c *recorder) add(s still) {
	c.mu.Lock()
	defer c.mu.Unlock()
	clip := c.cfg.Load().Clip
	c.mu.stills = append(c.mu.stills, s)
	c.mu.bytes += len(s.jpeg)
	first := s.at.Add(-clip.Before)
	for _, w := range c.mu.wants {
		if w.from.Before(first) {
			first = w.from
		}
	}
	n := 0
	for n < len(c.mu.stills)-1 && (c.mu.stills[n].at.Before(first) || c.mu.bytes > clip.MemoryMB*1e6) {
		c.mu.bytes -= len(c.mu.stills[n].jpeg)
		n++
	}
	c.mu.stills = slices.Delete(c.mu.stills, 0, n)
}

// start begins to gather the film of an event.
func (c *recorder) start(r *record, at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mu.wants = append(c.mu.wants, &want{r: r, from: at.Add(-c.cfg.Load().Clip.Before)})
}

// end says that an event is over.
func (c *recorder) end(r *record, at, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, w := range c.mu.wants {
		if w.r == r {
			w.to, w.heard = at.Add(c.cfg.Load().Clip.After), now
		}
	}
}

// footage is what there is for the film of an event.
type footage struct {
	r      *record
	stills []still
}

// leave says that there are no more frames.
func (c *recorder) leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mu.gone = true
}

// deleteIdle deletes the recorders that have no film to finish.
func deleteIdle(list []*recorder) []*recorder {
	return slices.DeleteFunc(list, func(c *recorder) bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return len(c.mu.wants) == 0
	})
}

// ready returns the films for which all is there, room of them at most: the time after the event has passed, or they are
// as long as they may be. A camera that delivers nothing any more is not waited for; nor is one that is gone, or when there
// shall be no films any more.
func (c *recorder) ready(now time.Time, room int) (done []footage) {
	c.mu.Lock()
	defer c.mu.Unlock()
	cfg := c.cfg.Load()
	clip := cfg.Clip
	newest := time.Time{}
	if n := len(c.mu.stills); n > 0 {
		newest = c.mu.stills[n-1].at
	}
	c.mu.wants = slices.DeleteFunc(c.mu.wants, func(w *want) bool {
		most := w.from.Add(clip.Max)
		over := !w.to.IsZero() && (!newest.Before(w.to) || now.Sub(w.heard) > clip.After+2*time.Second)
		if len(done) >= room || !over && newest.Before(most) && !c.mu.gone && cfg.films() {
			return false
		}
		to := most
		if !w.to.IsZero() && w.to.Before(most) {
			to = w.to
		}
		done = append(done, footage{w.r, c.between(w.from, to)})
		return true
	})
	if !cfg.films() && len(c.mu.wants) == 0 {
		c.mu.stills, c.mu.bytes = nil, 0
	}
	return done
}

func (c *recorder) between(from, to time.Time) (list []still) {
	for _, s := range c.mu.stills {
		if !s.at.Before(from) && !s.at.After(to) {
			list = append(list, s)
		}
	}
	return list
}
