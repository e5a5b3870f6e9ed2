package publish

import (
	"log/slog"
	"sync"
	"time"
)

// faultEvery is how often the same fault may be logged again.
const faultEvery = time.Minute

// maxFaults bounds how many different faults are remembered.
const maxFaults = 64

// faultLog keeps what happens with every message from being logged with every message: a fault is logged when it is
// new, and then once a minute with how often it came. It is safe for concurrent use.
type faultLog struct {
	mu struct {
		sync.Mutex
		seen map[string]*fault
	}
}

type fault struct {
	logged time.Time
	since  int // how often it came since it was logged
}

// warn logs err under msg, or counts it.
func (l *faultLog) warn(log *slog.Logger, msg string, err error, attrs ...any) {
	if n, ok := l.due(msg+": "+err.Error(), time.Now()); ok {
		attrs = append(attrs, "err", err)
		if n > 1 {
			attrs = append(attrs, "times", n)
		}
		log.Warn(msg, attrs...)
	}
}

// due counts a fault and tells whether it is to be logged, and how often it came since it was.
func (l *faultLog) due(key string, now time.Time) (n int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := l.mu.seen[key]
	if f == nil {
		if l.mu.seen == nil || len(l.mu.seen) >= maxFaults {
			l.mu.seen = map[string]*fault{}
		}
		f = &fault{}
		l.mu.seen[key] = f
	}
	f.since++
	if now.Sub(f.logged) < faultEvery {
		return f.since, false
	}
	n, f.since, f.logged = f.since, 0, now
	return n, true
}

// forget makes every fault new again, after a time in which all was well.
func (l *faultLog) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.seen = nil
}
