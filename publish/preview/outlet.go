package preview

import (
	"context"

	"github.com/oodcast/oodcast/detector/events"
)

// WaitReady waits until the server accepts connections.
func (s *Server) WaitReady(ctx context.Context) error {
	select {
	case <-s.ready:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// StatusChanged does nothing: the page asks for the status of cameras by itself.
func (s *Server) StatusChanged() {}

// Events adds events to the list that the page shows.
func (s *Server) Events(seen events.Observation) []events.Event {
	for _, e := range seen.Events {
		s.Event(e)
	}
	return seen.Events
}

// FramesHeld is 2: the newest frame, and the one that is being encoded.
func (s *Server) FramesHeld() int { return 2 }
