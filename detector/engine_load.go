package detector

import (
	"maps"
	"math"
	"sync"
	"time"
)

// EngineLoad measures how much of an engine's time each of several detectors uses. Detectors record their work and can ask
// how much time is available to them. EngineLoad is safe for concurrent use; its zero value is ready to use.
type EngineLoad struct {
	mu struct {
		sync.Mutex
		usage map[*Detector]usage
	}
}

// usage is the engine time that a detector has used; older work counts less.
type usage struct {
	seconds float64
	at      time.Time
}

const (
	loadMemory = 3 * time.Second // time constant of the decay
	loadIdle   = 0.01            // a detector that uses a smaller share of the engine's time is ignored
	loadGone   = 10 * loadMemory // a detector without work for this long was replaced, or its camera is down
)

// used returns the share of the engine's time that the detector has used lately.
func (u usage) used(now time.Time) float64 { return u.faded(now) / loadMemory.Seconds() }

func (u usage) faded(now time.Time) float64 {
	return u.seconds * math.Exp(-max(0, now.Sub(u.at).Seconds())/loadMemory.Seconds())
}

// add records that a detector used the engine for d until now.
func (l *EngineLoad) add(det *Detector, now time.Time, d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mu.usage == nil {
		l.mu.usage = map[*Detector]usage{}
	}
	u := l.mu.usage[det]
	l.mu.usage[det] = usage{u.faded(now) + d.Seconds(), now}
	maps.DeleteFunc(l.mu.usage, func(_ *Detector, u usage) bool { return now.Sub(u.at) > loadGone }) // lets them be freed
}

// available returns the share of the engine's time that a detector may use: the share that the others leave, but at least
// an equal share.
func (l *EngineLoad) available(det *Detector, now time.Time) float64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	left, users := 1.0, 1
	for other, u := range l.mu.usage {
		used := u.used(now)
		switch {
		case used < loadIdle:
			delete(l.mu.usage, other)
		case other != det:
			left -= used
			users++
		}
	}
	return max(left, 1/float64(users))
}
