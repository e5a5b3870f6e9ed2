package publish

import (
	"context"
	"fmt"
	"time"

	"github.com/oodcast/oodcast/detector/events"
	"github.com/oodcast/oodcast/ingest"
)

// externalWait is how long a start waits for an external NATS server. Until the server answers, maps are dropped and events
// are spooled.
const externalWait = time.Second

// WaitReady waits until the control service answers, but no longer than a second for an external server.
func (p *Publisher) WaitReady(ctx context.Context) error {
	var timeout <-chan time.Time
	if !p.cfg.Embedded() {
		timer := time.NewTimer(externalWait)
		defer timer.Stop()
		timeout = timer.C
	}
	select {
	case <-p.ready:
	case <-timeout:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// Check returns why the newest event was lost, why events are in memory only, or why the server that is connected cannot store events. Events that wait on
// the disk for a server that is away are neither.
func (p *Publisher) Check() error {
	if err := p.loss.Load(); err != nil {
		return fmt.Errorf("events are being lost: %w", *err)
	}
	if err := p.spool.holding(); err != nil {
		return fmt.Errorf("events are in memory only: %w", err)
	}
	if !p.online.Load() {
		return nil
	}
	return p.storage.check(time.Now())
}

// Frame releases the frame: the publisher sends a picture only as a snapshot, which it gets from the camera.
func (p *Publisher) Frame(f *ingest.Frame) { f.Release() }

// Events hands over all events of an observation; see Event.
func (p *Publisher) Events(seen events.Observation) []events.Event {
	for _, e := range seen.Events {
		p.Event(e)
	}
	return seen.Events
}

// FramesHeld returns 0.
func (p *Publisher) FramesHeld() int { return 0 }
