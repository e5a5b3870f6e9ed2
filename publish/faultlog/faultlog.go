// Package faultlog keeps a fault that recurs with every message or file from filling the log: a new fault is logged at
// once, and then once a minute with the number of times that it has occurred.
package faultlog

import (
	"log/slog"
	"sync"
	"time"
)

const (
	every     = time.Minute // how often the same fault may be logged
	maxFaults = 64          // how many different faults are remembered
)

// Log remembers faults by key. The zero Log is ready to use and safe for concurrent use.
type Log struct {
	mu struct {
		sync.Mutex
		seen map[string]*fault
	}
}

type fault struct {
	logged time.Time
	times  int  // occurrences since it was logged
	told   bool // the log says that it persists
}

// Warn logs err under msg, or only counts it when the same fault was logged within the last minute.
func (l *Log) Warn(log *slog.Logger, msg string, err error, attrs ...any) {
	if n, ok := l.Due(msg+": "+err.Error(), time.Now()); ok {
		attrs = append(attrs, "err", err)
		if n > 1 {
			attrs = append(attrs, "times", n)
		}
		log.Warn(msg, attrs...)
	}
}

// Due counts an occurrence of the fault and reports whether it should be logged now, and how often it has occurred since
// it last was.
func (l *Log) Due(key string, now time.Time) (times int, due bool) {
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
	f.times++
	if now.Sub(f.logged) < every {
		return f.times, false
	}
	times, f.times, f.logged, f.told = f.times, 0, now, true
	return times, true
}

// Recovered reports whether the log says that the fault persists although it is over, which is worth one line. It stays
// limited to one line a minute if it comes back.
func (l *Log) Recovered(key string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := l.mu.seen[key]
	if f == nil {
		return false
	}
	told := f.told
	f.told = false
	return told
}

// Forget makes every fault new again, after a time without any.
func (l *Log) Forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.seen = nil
}
