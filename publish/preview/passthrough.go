package preview

import (
	"bytes"
	"net/http"
	"sync"
	"time"

	"github.com/oodcast/oodcast/ingest"
)

// Coding implements ingest.Tap.
func (s *Server) Coding(c ingest.Coding) {
	st := s.cams.get(c.Camera)
	if st == nil || s.cfg.Off() || s.cfg.Passthrough == passthroughOff {
		return
	}
	switch {
	case c.Unfit != "":
		st.log.Info("the camera's H.264 is not passed on", "reason", c.Unfit)
	case c.Fit() && !passableProfile(c):
		st.log.Info("the camera's H.264 is not passed on", "reason", "its profile is none that viewers take", "profile", c.Profile)
	case c.Fit():
		st.log.Debug("the camera's H.264 is passed on to viewers who take it", "profile", c.Profile, "level", c.Level)
	}
	st.relays.set(c)
}

// Listening implements ingest.Tap.
func (s *Server) Listening(camera string) bool {
	st := s.cams.get(camera)
	return st != nil && st.relays.any()
}

// AccessUnit implements ingest.Tap.
func (s *Server) AccessUnit(u *ingest.AccessUnit) {
	if st := s.cams.get(u.Camera); st != nil {
		st.relays.pass(u)
	}
}

// passable returns what a viewer who takes H.264 may get of a camera. A viewer that wants the overlay gets VP8.
func (s *Server) passable(r *http.Request, st *stream) ingest.Coding {
	if r.URL.Query().Get("overlay") == "1" {
		return ingest.Coding{}
	}
	return st.relays.current()
}

// relays are the viewers of one camera who may get what it sends.
type relays struct {
	mu struct {
		sync.Mutex
		coding ingest.Coding // what the camera sends
		last   time.Time     // of the last access unit
		all    map[*relay]struct{}
	}
}

func (r *relays) current() ingest.Coding {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.mu.coding
}

func (r *relays) any() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.mu.all) > 0
}

// joined counts a viewer that has connected; its relay is nil if it gets VP8 only.
func (s *stream) joined(v *relay) {
	if v == nil {
		s.encoded.Add(1)
		s.keyframe()
	} else if !s.relays.add(v) {
		v.end()
	}
}

// left counts a viewer that has joined, or is about to.
func (s *stream) left(v *relay) {
	if v == nil {
		s.encoded.Add(-1)
	} else {
		s.relays.remove(v)
	}
}

// add adds a viewer and reports whether there is something that it takes.
func (r *relays) add(v *relay) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if v.gone {
		return true
	}
	if r.mu.all == nil {
		r.mu.all = map[*relay]struct{}{}
	}
	r.mu.all[v] = struct{}{}
	if r.suits(v) || !v.vp8 {
		v.passing, v.since = true, time.Now()
		v.count(1)
	} else {
		v.s.encoded.Add(1)
		v.s.keyframe()
	}
	return !v.passing || r.suits(v) || r.mu.coding.Profile == 0
}

// remove removes a viewer, whether it was added or will be.
func (r *relays) remove(v *relay) {
	r.mu.Lock()
	defer r.mu.Unlock()
	v.gone = true
	if _, ok := r.mu.all[v]; !ok {
		return
	}
	delete(r.mu.all, v)
	if v.passing {
		v.count(-1)
	} else {
		v.s.encoded.Add(-1)
	}
}

// suits reports whether a viewer takes what the camera sends. The caller holds the lock.
func (r *relays) suits(v *relay) bool { return takenAs(v.fmtp, r.mu.coding) != noProfile }

// pass switches a viewer between H.264 and VP8. The caller holds the lock of relays.
func (v *relay) pass(on bool, now time.Time) {
	if v.passing == on {
		return
	}
	v.passing, v.since, v.asked = on, now, false
	if on {
		v.count(1)
		v.s.encoded.Add(-1)
	} else {
		v.count(-1)
		v.s.encoded.Add(1)
		v.s.keyframe()
	}
}

func (v *relay) count(n float64) { v.s.metrics.passed.WithLabelValues(v.s.cam.Name()).Add(n) }

// set notes what the camera sends from now on. Viewers whom that does not suit get VP8; those who take none are sent away.
func (r *relays) set(c ingest.Coding) {
	var ends []func()
	r.mu.Lock()
	r.mu.coding = c
	for v := range r.mu.all {
		switch {
		case r.suits(v):
		case v.vp8:
			v.pass(false, time.Time{})
		case c.Profile != 0: // otherwise the camera is away, and may come back as it was
			ends = append(ends, v.end)
		}
	}
	r.mu.Unlock()
	for _, end := range ends {
		end()
	}
}

// pass hands an access unit to the viewers who get H.264. The others join them at a key frame.
func (r *relays) pass(u *ingest.AccessUnit) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.last = u.Read
	for v := range r.mu.all {
		if u.Key && !v.passing && !v.givenUp && r.suits(v) {
			v.pass(true, u.Read)
		}
		if u.Key && v.passing {
			v.tried(u.Read)
		}
		if v.passing {
			v.put(unit{h264: true, key: u.Key, seq: u.Seq, time: u.Time, read: u.Read, data: u.Data})
		}
	}
}

// encoded hands a picture of VP8 to the viewers who get that instead of H.264.
func (r *relays) encoded(u unit) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var data []byte
	for v := range r.mu.all {
		if v.passing {
			continue
		}
		if data == nil {
			data = bytes.Clone(u.data) // the encoder uses its memory again
		}
		u.data = data
		v.put(u)
	}
}

// check gives VP8, which says what is wrong, to viewers of a camera that has stopped sending.
func (r *relays) check(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for v := range r.mu.all {
		if v.passing && v.vp8 && now.Sub(later(v.since, r.mu.last)) > staleAfter {
			v.pass(false, now)
		}
	}
}

// A viewer who asks for another key frame after so many in a row, and for so long, gets VP8 for good: its line is too slow for the
// camera's stream, or it cannot decode it.
const (
	mostUnlucky    = 3
	longestUnlucky = 10 * time.Second
)

// wantsKey takes note that a viewer asks for a key frame. A camera cannot be asked for one.
func (s *stream) wantsKey(v *relay) {
	if v == nil {
		s.keyframe()
		return
	}
	s.relays.mu.Lock()
	defer s.relays.mu.Unlock()
	if v.passing {
		v.asked = true
	} else {
		s.keyframe()
	}
}

// tried counts the key frames that did not help. The caller holds the lock of relays.
func (v *relay) tried(now time.Time) {
	if !v.asked {
		v.unlucky, v.givenUp = 0, false
		return
	}
	v.asked = false
	if v.unlucky == 0 {
		v.struggling = now
	}
	v.unlucky++
	if v.givenUp = v.unlucky >= mostUnlucky && now.Sub(v.struggling) >= longestUnlucky && v.vp8; v.givenUp {
		v.s.log.Info("viewer gets VP8: it loses too much of the camera's H.264, or cannot decode it")
		v.pass(false, time.Time{})
	}
}

var _ ingest.Tap = (*Server)(nil)
