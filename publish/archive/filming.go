package archive

import (
	"context"
	"path"
	"time"
)

// record compresses frames for films until ctx is done; then films end with what there is.
func (a *Archive) record(ctx context.Context) error {
	defer close(a.films)
	tick := time.NewTicker(time.Second / 2)
	defer tick.Stop()
	for {
		select {
		case f := <-a.frames:
			s, err := newStill(f, a.cfg.Clip.Width)
			c := a.recorder(f.Camera)
			f.Release()
			if err != nil {
				a.outcome("still", err)
				continue
			}
			c.add(s)
			a.finish(c, false)
		case <-tick.C:
			for _, c := range a.allRecorders() {
				a.finish(c, false)
			}
		case <-ctx.Done():
			for len(a.frames) > 0 {
				(<-a.frames).Release()
			}
			for _, c := range a.allRecorders() {
				a.finish(c, true)
			}
			return nil
		}
	}
}

// finish passes on the films that have all they need.
func (a *Archive) finish(c *recorder, all bool) {
	for _, film := range c.ready(time.Now(), all) {
		select {
		case a.films <- film:
		default:
			a.metrics.dropped.WithLabelValues("film").Inc()
			a.forget(film.r)
		}
	}
}

// develop makes and writes films until there are no more.
func (a *Archive) develop(ctx context.Context) error {
	for f := range a.films {
		if ctx.Err() != nil || len(f.stills) == 0 || f.r.lost.Load() {
			a.metrics.dropped.WithLabelValues("film").Inc()
		} else {
			data, err := film(f.stills)
			a.outcome("film", err)
			if err == nil {
				a.put(ctx, path.Join(f.r.folder, FileClip), data)
			}
		}
		a.forget(f.r)
	}
	return nil
}
