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
	signal(a.stills)
}

// collect queues the films of a camera that are complete, as far as there is room. Only compress queues films, so the room
// cannot shrink meanwhile.
func (a *Archive) collect(c *recorder) {
	for _, film := range c.ready(time.Now(), cap(a.films)-len(a.films)) {
		a.films <- film
	}
}

// makeFilms makes films until there are no more, and meanwhile encodes what films that are still open will need. Films that
// are left when rest is done are lost.
func (a *Archive) makeFilms(rest context.Context) error {
	defer close(a.filmed)
	var enc filmEncoder
	defer enc.close()
	for {
		select {
		case f, ok := <-a.films:
			if !ok {
				return nil
			}
			a.makeFilm(rest, &enc, f)
			continue
		default:
		}
		if a.encodeAhead(&enc) {
			continue
		}
		if a.filmsPending.Load() == 0 {
			enc.close()
		}
		select {
		case f, ok := <-a.films:
			if !ok {
				return nil
			}
			a.makeFilm(rest, &enc, f)
		case <-a.stills:
		}
	}
}

// makeFilm makes a film and hands it to the writer.
func (a *Archive) makeFilm(rest context.Context, enc *filmEncoder, f footage) {
	var data []byte
	whole, err := true, rest.Err()
	if err == nil {
		if whole, err = a.encodeRest(enc, f); err == nil {
			data, err = film(f.stills, f.from)
		}
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

// encodeRest encodes what is not encoded yet of a film. It reports false when the time was over before that: the film ends
// with what it has.
func (a *Archive) encodeRest(enc *filmEncoder, f footage) (whole bool, err error) {
	over := a.timeShare()
	begun := false
	for i := 0; i < len(f.stills); {
		s := f.stills[i]
		if s.vp8 != nil || s.at.Before(f.from) {
			begun = begun || s.vp8 != nil && !s.at.Before(f.from)
			i++
			continue
		}
		if begun && over() {
			return false, nil
		}
		g := group(f.stills[i:])
		n, err := enc.encode(g, over, f.camera.put)
		if err != nil {
			return false, err
		}
		if begun = true; n < len(g) {
			return false, nil
		}
		i += n
	}
	return true, nil
}

// encodeAhead encodes a group of stills that open films need, and reports whether there was one. Thus a film is nearly done
// when its event ends: what is left takes a fraction of a second, however many events end at once.
func (a *Archive) encodeAhead(enc *filmEncoder) bool {
	if a.filmsDue.Load() != nil {
		return false // the films themselves are coming
	}
	for _, c := range a.allRecorders() {
		g := c.pending()
		if len(g) == 0 {
			continue
		}
		n, err := enc.encode(g, func() bool { return a.filmsDue.Load() != nil }, c.put)
		if err != nil {
			a.report("film", err)
			c.drop(g[n])
		}
		return true
	}
	return false
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
