// Package faultlog keeps recurring faults from filling the log. A new fault is logged at once; while it recurs, it is logged
// once a minute with the number of its occurrences since the last line.
package faultlog

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"
)

const (
	interval  = time.Minute // between two lines about the same fault
	maxFaults = 64          // different faults to remember
)

// Log remembers faults by key. The zero Log is ready to use and safe for concurrent use.
type Log struct {
	mu struct {
		sync.Mutex
		seen map[string]*fault
	}
}

type fault struct {
	logged  time.Time // time of the last line
	count   int       // occurrences since the last line
	ongoing bool      // the log contains the fault but not its recovery
}

// Warn logs err with msg, or only counts it if the same fault was logged within the last minute.
func (l *Log) Warn(log *slog.Logger, msg string, err error, attrs ...any) {
	if errors.Is(err, context.Canceled) {
		return // we are ending
	}
	if n, due := l.Due(msg+": "+err.Error(), time.Now()); due {
		attrs = append(attrs, "err", err)
		if n > 1 {
			attrs = append(attrs, "times", n)
		}
		log.Warn(msg, attrs...)
	}
}

// Due counts an occurrence of the fault. It returns the number of occurrences since the last line about it, and whether the
// caller should log a line now.
func (l *Log) Due(key string, now time.Time) (count int, due bool) {
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
	f.count++
	if now.Sub(f.logged) < interval {
		return f.count, false
	}
	count, f.count, f.logged, f.ongoing = f.count, 0, now, true
	return count, true
}

// Recovered records that the fault is over. It reports whether the caller should log that, because the log contains the fault
// but not its recovery. The limit of one line a minute stays in force if the fault returns.
func (l *Log) Recovered(key string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := l.mu.seen[key]
	if f == nil {
		return false
	}
	ongoing := f.ongoing
	f.ongoing = false
	return ongoing
}

// Forget removes all faults: the next occurrence of each is logged at once.
func (l *Log) Forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.seen = nil
}
