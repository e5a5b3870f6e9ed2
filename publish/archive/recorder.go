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
		due    time.Time // of the next frame
		stills []still
		bytes  int
		films  []*filmRequest
	}
}

// filmRequest is a film whose frames are still arriving.
type filmRequest struct {
	r        *record
	from, to time.Time // to is zero while the event is open
	endedAt  time.Time // when we heard of the end, on our clock
}

// accepts reports whether a frame is to be kept, at the frame rate of films.
func (c *recorder) accepts(f *ingest.Frame) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	fps := c.cfg.Load().Clip.FPS
	if fps == 0 || f.Captured.Before(c.mu.due) {
		return false
	}
	every := time.Duration(float64(time.Second) / fps)
	c.mu.due = c.mu.due.Add(every)
	if c.mu.due.Before(f.Captured) { // after a pause, or for the first frame
		c.mu.due = f.Captured.Add(every * 9 / 10) // cameras are not exact
	}
	return true
}

// add keeps a still. It drops stills that no film needs any more, and the oldest ones above the memory bound.
func (c *recorder) add(s still) {
	c.mu.Lock()
	defer c.mu.Unlock()
	clip := c.cfg.Load().Clip
	c.mu.stills = append(c.mu.stills, s)
	c.mu.bytes += len(s.jpeg)
	first := s.at.Add(-clip.Before)
	for _, w := range c.mu.films {
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

// start begins the film of an event.
func (c *recorder) start(r *record, at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mu.films = append(c.mu.films, &filmRequest{r: r, from: at.Add(-c.cfg.Load().Clip.Before)})
}

// end notes the end of an event.
func (c *recorder) end(r *record, at, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, w := range c.mu.films {
		if w.r == r {
			w.to, w.endedAt = at.Add(c.cfg.Load().Clip.After), now
		}
	}
}

// footage holds the frames of a film.
type footage struct {
	r      *record
	stills []still
}

// stop notes that there are no more frames.
func (c *recorder) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mu.gone = true
}

// deleteIdle deletes the recorders that have no film to finish.
func deleteIdle(list []*recorder) []*recorder {
	return slices.DeleteFunc(list, func(c *recorder) bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return len(c.mu.films) == 0
	})
}

// ready returns the films that are complete, at most room of them: the time after the event has passed, or the film has
// its maximum length. Films also end when the camera has stopped delivering, when it was removed, and when films are
// switched off.
func (c *recorder) ready(now time.Time, room int) (done []footage) {
	c.mu.Lock()
	defer c.mu.Unlock()
	cfg := c.cfg.Load()
	clip := cfg.Clip
	newest := time.Time{}
	if n := len(c.mu.stills); n > 0 {
		newest = c.mu.stills[n-1].at
	}
	c.mu.films = slices.DeleteFunc(c.mu.films, func(w *filmRequest) bool {
		most := w.from.Add(clip.Max)
		over := !w.to.IsZero() && (!newest.Before(w.to) || now.Sub(w.endedAt) > clip.After+2*time.Second)
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
	if !cfg.films() && len(c.mu.films) == 0 {
		c.mu.stills, c.mu.bytes = nil, 0
	}
	return done
}

// between returns the stills of a span of time, ends included.
func (c *recorder) between(from, to time.Time) (list []still) {
	for _, s := range c.mu.stills {
		if !s.at.Before(from) && !s.at.After(to) {
			list = append(list, s)
		}
	}
	return list
}
