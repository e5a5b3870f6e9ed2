package archive

import (
	"context"
	"errors"
	"slices"
	"time"
)

// The directory is swept every hour, and every minute in which something was written.
const (
	sweepEvery = time.Minute
	sweepIdle  = time.Hour
)

// sweep removes the oldest events of a shelf until the rest is young enough and within limit bytes (0: no bound), and
// returns the size of the rest. Open events stay.
func (a *Archive) sweep(ctx context.Context, s shelf, limit int64) (left int64, err error) {
	all, err := s.list(ctx)
	if err != nil {
		return 0, err
	}
	slices.SortFunc(all, func(x, y kept) int { return x.at.Compare(y.at) })
	for _, k := range all {
		left += k.bytes
	}
	maxAge, now := a.cfg.Load().MaxAge, time.Now()
	var errs []error
	for _, k := range all {
		tooOld := maxAge > 0 && now.Sub(k.at) > maxAge
		tooMuch := limit > 0 && left > limit
		if !tooOld && !tooMuch || a.isOpen(k.id) {
			continue
		}
		switch err := s.remove(ctx, k); {
		case errors.Is(err, errForeign):
			left -= k.bytes // not evidence
		case err != nil:
			errs = append(errs, err)
		default:
			left -= k.bytes
			a.metrics.removed.Inc()
		}
	}
	a.metrics.bytes.WithLabelValues(s.name()).Set(float64(left))
	return left, errors.Join(errs...)
}

// runRetention sweeps the directory at the start, after a change of the settings, and at intervals, until ctx is done.
func (a *Archive) runRetention(ctx context.Context) error {
	if a.dir == nil {
		return nil
	}
	every := time.NewTicker(sweepEvery)
	defer every.Stop()
	last, seen := time.Time{}, uint64(0)
	for {
		select {
		case <-a.changed: // New counts as a change
			last = time.Time{}
		case <-every.C:
		case <-ctx.Done():
			return nil
		}
		n := a.writes.Load()
		if n == seen && time.Since(last) < sweepIdle {
			continue
		}
		last, seen = time.Now(), n
		if _, err := a.sweep(ctx, a.dir, a.cfg.Load().maxBytes()); ctx.Err() == nil {
			a.report(a.dir.name()+" retention", err)
		}
	}
}
