package archive

import (
	"context"
	"math"
	"time"

	"github.com/oodcast/oodcast/ingest"
)

// compress compresses frames for films until ctx is done. Then all films end with the frames that they have.
func (a *Archive) compress(ctx context.Context) error {
	defer close(a.films)
	tick := time.NewTicker(time.Second / 2)
	defer tick.Stop()
	for {
		select {
		case f := <-a.frames:
			a.keep(f)
		case <-tick.C:
			for _, c := range a.allRecorders() {
				a.collect(c)
			}
		case <-ctx.Done():
			for len(a.frames) > 0 {
				a.keep(<-a.frames)
			}
			for _, c := range a.allRecorders() {
				c.stop()
				for _, f := range c.ready(time.Now(), math.MaxInt) {
					a.films <- f // makeFilms accepts all of them, since none takes longer than its share of the time
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
		return // the camera was removed
	}
	s, err := newStill(f, a.cfg.Load().Clip.Width)
	if err != nil {
		a.report("still", err)
		return
	}
	c.add(s)
	a.collect(c)
}

// collect queues the films of a camera that are complete, as far as there is room. Only compress queues films, so the room
// cannot shrink meanwhile.
func (a *Archive) collect(c *recorder) {
	for _, film := range c.ready(time.Now(), cap(a.films)-len(a.films)) {
		a.films <- film
	}
}

// makeFilms makes films until there are no more. Films that are left when rest is done are lost.
func (a *Archive) makeFilms(rest context.Context) error {
	defer close(a.filmed)
	for f := range a.films {
		data, whole, err := []byte(nil), true, rest.Err()
		if err == nil {
			data, whole, err = film(f.stills, a.timeShare())
		}
		if err != nil && len(f.stills) > 0 && rest.Err() == nil {
			a.report("film", err)
		}
		switch {
		case err != nil:
			a.metrics.dropped.WithLabelValues("film").Inc()
		case !whole:
			a.metrics.dropped.WithLabelValues("film_end").Inc()
		}
		a.filmed <- job{r: f.r, film: data, last: true}
		a.filmsPending.Add(-1)
	}
	return nil
}

// timeShare returns a function that reports whether a film has used up its share of the time left at the end of Run.
// Before the end it reports false.
func (a *Archive) timeShare() (over func() bool) {
	var until time.Time
	return func() bool {
		end := a.filmsDue.Load()
		if end == nil {
			return false
		}
		if now := time.Now(); until.IsZero() {
			until = now.Add(end.Sub(now) / time.Duration(max(a.filmsPending.Load(), 1)))
		}
		return time.Now().After(until)
	}
}
