package archive

import (
	"context"
	"errors"
	"slices"
	"time"
)

// Evidence is looked through when an hour has passed, or a minute in which something was written.
const (
	sweepEvery = time.Minute
	sweepIdle  = time.Hour
)

// sweep removes the oldest events of a place until the rest is young and small enough, and returns what is left. Events
// that are open stay.
func (a *Archive) sweep(ctx context.Context, p place, now time.Time) (left int64, err error) {
	all, err := p.list(ctx)
	if err != nil {
		return 0, err
	}
	slices.SortFunc(all, func(x, y kept) int { return x.at.Compare(y.at) })
	for _, k := range all {
		left += k.bytes
	}
	limit := int64(a.cfg.MaxMB) * 1e6
	var errs []error
	for _, k := range all {
		tooOld := a.cfg.MaxAge > 0 && now.Sub(k.at) > a.cfg.MaxAge
		tooMuch := limit > 0 && left > limit
		if !tooOld && !tooMuch || a.isOpen(k.id) {
			continue
		}
		switch err := p.remove(ctx, k); {
		case errors.Is(err, errForeign):
			left -= k.bytes // it is not evidence
		case err != nil:
			errs = append(errs, err)
		default:
			left -= k.bytes
			a.metrics.removed.Inc()
		}
	}
	return left, errors.Join(errs...)
}

// keepHouse sweeps at the start and then every now and then, until ctx is done.
func (a *Archive) keepHouse(ctx context.Context) error {
	every := time.NewTicker(sweepEvery)
	defer every.Stop()
	last, seen := time.Time{}, uint64(0)
	for {
		if n := a.writes.Load(); last.IsZero() || n != seen || time.Since(last) >= sweepIdle {
			last, seen = time.Now(), n
			for _, p := range a.places {
				left, err := a.sweep(ctx, p.place, last)
				if ctx.Err() != nil {
					return nil
				}
				a.outcome(p.name+" retention", err)
				if err == nil {
					a.metrics.bytes.WithLabelValues(p.name).Set(float64(left))
				}
			}
		}
		select {
		case <-every.C:
		case <-ctx.Done():
			return nil
		}
	}
}
