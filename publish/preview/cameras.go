package preview

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/oodcast/oodcast/publish/schema"
)

// cameras are the streams that the server shows, in the order of their addition. Cameras may come and go while it runs.
type cameras struct {
	mu struct {
		sync.RWMutex
		streams map[string]*stream
		order   []*stream
		launch  func(*stream) // starts a stream; nil while Run does not run
	}
}

// AddCamera shows another camera.
func (s *Server) AddCamera(c schema.Camera) error {
	if err := schema.CheckName(c.Name()); err != nil {
		return fmt.Errorf("preview: camera %w", err)
	}
	st, err := newStream(c, s.cfg, s.log, s.metrics)
	if err != nil {
		return fmt.Errorf("preview of %s: %w", c.Name(), err)
	}
	return s.cams.add(st)
}

// RemoveCamera stops showing a camera. It ends the sessions of the camera's viewers and removes its metrics.
func (s *Server) RemoveCamera(name string) error {
	st := s.cams.remove(name)
	if st == nil {
		return fmt.Errorf("preview: no camera is named %q", name)
	}
	close(st.gone)
	if sessions := s.sessions(); sessions != nil {
		sessions.leaveStream(st)
	}
	if st.stop != nil {
		st.stop()
		<-st.ended
	}
	st.close()
	s.metrics.forget(name)
	return nil
}

func (c *cameras) add(st *stream) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	name := st.cam.Name()
	if c.mu.streams[name] != nil {
		return fmt.Errorf("preview: two cameras are named %q", name)
	}
	if c.mu.streams == nil {
		c.mu.streams = map[string]*stream{}
	}
	c.mu.streams[name] = st
	c.mu.order = append(c.mu.order, st)
	if c.mu.launch != nil {
		c.mu.launch(st)
	}
	return nil
}

// remove removes a stream and returns it; nil when there is none of that name.
func (c *cameras) remove(name string) *stream {
	c.mu.Lock()
	defer c.mu.Unlock()
	st := c.mu.streams[name]
	delete(c.mu.streams, name)
	c.mu.order = slices.DeleteFunc(c.mu.order, func(o *stream) bool { return o == st })
	return st
}

// get returns the stream of a camera; nil when there is none.
func (c *cameras) get(name string) *stream {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.mu.streams[name]
}

// all returns the present streams.
func (c *cameras) all() []*stream {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return slices.Clone(c.mu.order)
}

// run runs the streams in g until ctx is done, including those that are added later.
func (c *cameras) run(ctx context.Context, g *errgroup.Group) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mu.launch = func(st *stream) {
		ctx, stop := context.WithCancel(ctx)
		st.stop = stop
		g.Go(func() error {
			defer close(st.ended)
			defer stop()
			return st.run(ctx)
		})
	}
	for _, st := range c.mu.order {
		c.mu.launch(st)
	}
	g.Go(func() error { // keeps g open for streams that are added later
		<-ctx.Done()
		c.mu.Lock()
		defer c.mu.Unlock()
		c.mu.launch = nil
		return nil
	})
}

// forget removes the metrics of a camera.
func (m *metrics) forget(camera string) {
	about := prometheus.Labels{"camera": camera}
	for _, v := range []interface {
		DeletePartialMatch(prometheus.Labels) int
	}{m.frames, m.bytes, m.keys, m.encode, m.age, m.bitrate, m.viewers, m.passed, m.pictures} {
		v.DeletePartialMatch(about)
	}
}
