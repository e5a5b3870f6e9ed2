package publish

import (
	"context"
	"time"

	"github.com/oodcast/oodcast/detector/events"
	"github.com/oodcast/oodcast/ingest"
)

// remoteWait is how long a start waits for a NATS server that is not ours. Maps are dropped and events are spooled until it
// answers.
const remoteWait = time.Second

// WaitReady waits until the control service answers, but for a server elsewhere no longer than a second.
func (p *Publisher) WaitReady(ctx context.Context) error {
	var enough <-chan time.Time
	if !p.cfg.Embedded() {
		timer := time.NewTimer(remoteWait)
		defer timer.Stop()
		enough = timer.C
	}
	select {
	case <-p.ready:
	case <-enough:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// Frame releases the frame: pictures travel on NATS only when somebody asks for a snapshot.
func (p *Publisher) Frame(f *ingest.Frame) { f.Release() }

// Events takes over events, see Event.
func (p *Publisher) Events(seen events.Observation) []events.Event {
	for _, e := range seen.Events {
		p.Event(e)
	}
	return seen.Events
}

// FramesHeld is 0.
func (p *Publisher) FramesHeld() int { return 0 }
