package archive

import (
	"sync"
	"time"
)

// faultEvery is the shortest time between two log lines about the same place or step.
const faultEvery = time.Minute

// faults counts failures by place or step, so that one that comes with every file is not logged with every file.
type faults struct {
	mu struct {
		sync.Mutex
		of map[string]*fault
	}
}

type fault struct {
	logged time.Time
	times  int  // failures since then
	told   bool // the log reports a failure that is not over
}

// note records the outcome of an attempt and returns what to log: the number of failures since the last line, or that
// it works again.
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

// report counts an error of a place or step and logs it once a minute at most; nil is a success.
func (a *Archive) report(what string, err error) {
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
