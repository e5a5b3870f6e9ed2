package archive

import (
	"sync"
	"time"
)

// faultEvery is how often a fault of the same place or step may be logged.
const faultEvery = time.Minute

// faults are what went wrong, by place or step. What fails with every file must not be logged with every file.
type faults struct {
	mu struct {
		sync.Mutex
		of map[string]*fault
	}
}

type fault struct {
	logged time.Time
	times  int  // since it was logged
	told   bool // the log says that it fails
}

// note takes the outcome of an attempt and says what to log: that it fails, and how often since the last time, or that it
// works again.
func (f *faults) note(what string, err error, now time.Time) (times int, again bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	one := f.mu.of[what]
	switch {
	case one == nil && err == nil:
		return 0, false
	case one == nil:
		if f.mu.of == nil {
			f.mu.of = map[string]*fault{}
		}
		one = &fault{}
		f.mu.of[what] = one
	}
	if err == nil {
		again, one.told = one.told, false
		return 0, again
	}
	one.times++
	if now.Sub(one.logged) < faultEvery {
		return 0, false
	}
	times, one.times, one.logged, one.told = one.times, 0, now, true
	return times, false
}

// outcome counts an error of a place or step, and logs it now and then; nil: it went well.
func (a *Archive) outcome(what string, err error) {
	if err != nil {
		a.metrics.errors.WithLabelValues(what).Inc()
	}
	switch times, again := a.faults.note(what, err, time.Now()); {
	case again:
		a.log.Info("archive works again", "place", what)
	case times > 0:
		a.log.Warn("archive does not work", "place", what, "error", err, "times", times)
	}
}
