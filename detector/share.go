package detector

import (
	"maps"
	"math"
	"sync"
	"time"
)

// Share is an engine whose time several detectors use up. Each tells it how long it worked, and may ask how much is left.
// It is safe for concurrent use; the zero value is ready.
type Share struct {
	mu struct {
		sync.Mutex
		work map[*Detector]work
	}
}

// work is the time that a detector used, of which the older counts less.
type work struct {
	seconds float64
	at      time.Time
}

const (
	shareMemory = 3 * time.Second  // time constant with which work is forgotten
	shareIdle   = 0.01             // a detector that uses less of the engine's time is not there
	shareGone   = 10 * shareMemory // a detector that has not worked for so long was replaced, or its camera is down
)

// used returns the part of the engine's time that the work took lately.
func (w work) used(now time.Time) float64 { return w.faded(now) / shareMemory.Seconds() }

func (w work) faded(now time.Time) float64 {
	return w.seconds * math.Exp(-max(0, now.Sub(w.at).Seconds())/shareMemory.Seconds())
}

// worked notes that a detector used the engine for d until now.
func (s *Share) worked(det *Detector, now time.Time, d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.work == nil {
		s.mu.work = map[*Detector]work{}
	}
	w := s.mu.work[det]
	s.mu.work[det] = work{w.faded(now) + d.Seconds(), now}
	maps.DeleteFunc(s.mu.work, func(_ *Detector, w work) bool { return now.Sub(w.at) > shareGone }) // keeps none alive
}

// left returns the part of the engine's time that a detector may use: what the others leave, and no less than if all got
// the same.
func (s *Share) left(det *Detector, now time.Time) float64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	left, users := 1.0, 1
	for other, w := range s.mu.work {
		used := w.used(now)
		switch {
		case used < shareIdle:
			delete(s.mu.work, other)
		case other != det:
			left -= used
			users++
		}
	}
	return max(left, 1/float64(users))
}
