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
		stills []*still
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
func (c *recorder) add(s *still) {
	c.mu.Lock()
	defer c.mu.Unlock()
	clip := c.cfg.Load().Clip
	c.mu.stills = append(c.mu.stills, s)
	c.mu.bytes += s.bytes()
	first := s.at.Add(-clip.Before)
	for _, w := range c.mu.films {
		if w.from.Before(first) {
			first = w.from
		}
	}
	n := 0
	for n < len(c.mu.stills)-1 && c.mu.stills[n].at.Before(first) {
		n++
	}
	n = c.keyBefore(n)
	for most := clip.MemoryMB * 1e6; n < len(c.mu.stills)-1 && c.mu.bytes-size(c.mu.stills[:n]) > most; {
		n++
	}
	for n < len(c.mu.stills)-1 && c.mu.stills[n].vp8 != nil && !c.mu.stills[n].key { // nothing that it needs is left
		n++
	}
	for _, s := range c.mu.stills[:n] {
		c.mu.bytes -= s.bytes()
		s.gone = true
	}
	c.mu.stills = slices.Delete(c.mu.stills, 0, n)
}

func size(list []*still) (n int) {
	for _, s := range list {
		n += s.bytes()
	}
	return n
}

// keyBefore returns the index of the key picture that still i needs. A still that is not encoded needs none.
func (c *recorder) keyBefore(i int) int {
	for i > 0 && c.mu.stills[i].vp8 != nil && !c.mu.stills[i].key {
		i--
	}
	return i
}

// pending returns a group of stills that open films need and that are not encoded yet, if there are enough of them.
func (c *recorder) pending() []*still {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.mu.films) == 0 {
		return nil
	}
	first := c.mu.films[0].from
	for _, w := range c.mu.films {
		if w.from.Before(first) {
			first = w.from
		}
	}
	i := slices.IndexFunc(c.mu.stills, func(s *still) bool { return s.vp8 == nil && !s.at.Before(first) })
	if i < 0 {
		return nil
	}
	rest := c.mu.stills[i:]
	g := group(rest)
	if len(g) == len(rest) && len(g) < gop { // more are to come
		return nil
	}
	return slices.Clone(g)
}

// put replaces the JPEG of a still by its picture in films.
func (c *recorder) put(s *still, vp8 []byte, key bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := s.bytes()
	s.jpeg, s.vp8, s.key = nil, vp8, key
	if !s.gone {
		c.mu.bytes += s.bytes() - before
	}
}

// drop removes a still that cannot be decoded.
func (c *recorder) drop(s *still) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if i := slices.Index(c.mu.stills, s); i >= 0 {
		c.mu.bytes -= s.bytes()
		c.mu.stills = slices.Delete(c.mu.stills, i, i+1)
	}
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

// footage holds the frames of a film, and those before it that they may need.
type footage struct {
	r      *record
	camera *recorder
	from   time.Time
	stills []*still
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
		done = append(done, footage{w.r, c, w.from, c.between(w.from, to)})
		return true
	})
	if !cfg.films() && len(c.mu.films) == 0 {
		c.mu.stills, c.mu.bytes = nil, 0
	}
	return done
}

// between returns the stills of a span of time, ends included, and those before it from which a group may begin.
func (c *recorder) between(from, to time.Time) []*still {
	first := slices.IndexFunc(c.mu.stills, func(s *still) bool { return !s.at.Before(from) })
	if first < 0 {
		return nil
	}
	last := first
	for last < len(c.mu.stills) && !c.mu.stills[last].at.After(to) {
		last++
	}
	if last == first {
		return nil
	}
	return slices.Clone(c.mu.stills[max(0, first-gop+1):last])
}
