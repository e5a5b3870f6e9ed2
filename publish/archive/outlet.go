package archive

import (
	"context"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/detector/events"
	"github.com/oodcast/oodcast/publish/schema"
)

// WaitReady does not wait: evidence is queued until it is written.
func (a *Archive) WaitReady(context.Context) error { return nil }

// AddCamera does nothing: a camera is recorded from its first event on.
func (a *Archive) AddCamera(schema.Camera) error { return nil }

// RemoveCamera finishes the films of a camera and forgets it.
func (a *Archive) RemoveCamera(name string) error {
	a.Forget(name)
	return nil
}

// StatusChanged does nothing.
func (a *Archive) StatusChanged() {}

// Map does nothing: evidence is kept of events.
func (a *Archive) Map(*detector.Map) {}

// Events keeps evidence of events and returns them with references to it.
func (a *Archive) Events(seen events.Observation) []events.Event {
	return a.Observe(seen.Frame, seen.Map, seen.Events, seen.Open)
}

// FramesHeld is the number of frames that wait to be compressed for films.
func (a *Archive) FramesHeld() int { return FramesHeld }
