package archive

import (
	"context"
	"math"
	"time"

	"github.com/oodcast/oodcast/ingest"
)

// record compresses frames for films until ctx is done; then films end with what there is.
func (a *Archive) record(ctx context.Context) error {
	defer close(a.films)
	tick := time.NewTicker(time.Second / 2)
	defer tick.Stop()
	for {
		select {
		case f := <-a.frames:
			a.keep(f)
		case <-tick.C:
			for _, c := range a.allRecorders() {
				a.finish(c)
			}
		case <-ctx.Done():
			for len(a.frames) > 0 {
				a.keep(<-a.frames)
			}
			for _, c := range a.allRecorders() {
				c.leave()
				for _, f := range c.ready(time.Now(), math.MaxInt) {
					a.films <- f // develop takes all of them: none takes longer than its share of the time
				}
			}
			return nil
		}
	}
}

// keep compresses a frame and releases it.
func (a *Archive) keep(f *ingest.Frame) {
	defer f.Release()
	c := a.recorder(f.Camera, false)
	if c == nil {
		return // its camera is gone
	}
	s, err := newStill(f, a.cfg.Load().Clip.Width)
	if err != nil {
		a.outcome("still", err)
		return
	}
	c.add(s)
	a.finish(c)
}

// finish passes on the films that have all they need, as far as there is room: the others wait. Only record sends.
func (a *Archive) finish(c *recorder) {
	for _, film := range c.ready(time.Now(), cap(a.films)-len(a.films)) {
		a.films <- film
	}
}

// develop makes films until there are no more. Those for which there is no time at all, when rest is done, are lost.
func (a *Archive) develop(rest context.Context) error {
	defer close(a.filmed)
	for f := range a.films {
		data, whole, err := []byte(nil), true, rest.Err()
		if err == nil {
			data, whole, err = film(f.stills, a.share())
		}
		if err != nil && len(f.stills) > 0 && rest.Err() == nil {
			a.outcome("film", err)
		}
		switch {
		case err != nil:
			a.metrics.dropped.WithLabelValues("film").Inc()
		case !whole:
			a.metrics.dropped.WithLabelValues("film_end").Inc()
		}
		a.filmed <- job{r: f.r, film: data, last: true}
		a.unmade.Add(-1)
	}
	return nil
}

// share says when a film has taken its share of the time that is left at the end of Run; before that there is no hurry.
func (a *Archive) share() (over func() bool) {
	var until time.Time
	return func() bool {
		end := a.hurry.Load()
		if end == nil {
			return false
		}
		if now := time.Now(); until.IsZero() {
			until = now.Add(end.Sub(now) / time.Duration(max(a.unmade.Load(), 1)))
		}
		return time.Now().After(until)
	}
}
