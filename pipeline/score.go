package pipeline

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/detector/events"
	"github.com/oodcast/oodcast/ingest"
)

// silence is how long a camera may deliver nothing before its events end, on top of the time that events outlive their
// region.
const silence = 5 * time.Second

// scoreAll scores what the source delivers until it ends.
func (p *Pipeline) scoreAll(ctx context.Context, c *camera) error {
	defer p.turns.enter(c.engine)()
	for {
		if err := p.waitForFrame(ctx, c); err != nil { // the stream has ended and all is scored, or we are to stop
			p.endEvents(c, time.Now(), events.EndStream)
			return nil
		}
		if cfg := c.settings.tracking.Swap(nil); cfg != nil {
			c.scoring.tracker.Configure(*cfg)
		}
		m, err := p.scoreNext(ctx, c)
		if err != nil { // open events end as if the stream had broken off for good
			p.endEvents(c, time.Now(), events.EndStream)
			return fmt.Errorf("camera %s: %w", c.Name(), err)
		}
		if m == nil {
			if c.settings.paused.Load() {
				p.endEvents(c, time.Now(), events.EndPaused)
			}
			continue
		}
		if p.maxMaps > 0 && c.progress.scored.Load() >= p.maxMaps {
			p.endEvents(c, m.Captured, events.EndStream)
			return nil
		}
	}
}

// waitForFrame waits until a frame is queued. If none comes for a while, open events end first: nobody knows how they go on.
func (p *Pipeline) waitForFrame(ctx context.Context, c *camera) error {
	if err := ctx.Err(); err != nil { // also with a frame queued: it would never be taken
		return err
	}
	if tracker := c.scoring.tracker; len(tracker.Open()) > 0 {
		soon, cancel := context.WithTimeout(ctx, silence+tracker.Config().Hold)
		err := c.frames.Ready(soon)
		cancel()
		if err == nil || !errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil {
			return err
		}
		p.endEvents(c, time.Now(), events.EndNoSignal)
	}
	return c.frames.Ready(ctx)
}

// scoreNext scores one frame in the camera's turn and hands the outcome to the outlets. It returns no map and no error when
// there was no frame to score, or its map is not finite.
func (p *Pipeline) scoreNext(ctx context.Context, c *camera) (*detector.Map, error) {
	// The frame is taken when the turn comes: while other cameras are scored, a newer one may replace it in the queue.
	turn := p.turns.score(ctx, c, func() *ingest.Frame { return c.take(ctx) })
	if turn.frame != nil {
		defer turn.frame.Release()
	}
	switch {
	case errors.Is(turn.err, detector.ErrNotFinite): // counted, never published
		c.progress.failed.Add(1)
		return nil, nil
	case turn.m == nil:
		return nil, turn.err
	}
	m := turn.m
	if m.Note != "" {
		p.log.Info("second look", "camera", c.Name(), "note", m.Note)
	}
	m.Seq = c.scoring.seq // detectors are replaced, but the camera's maps are numbered throughout
	c.scoring.seq++
	c.progress.mapped(m)
	p.outlets.Map(m)
	p.noteDrift(c, m.Drift)
	happened := c.scoring.tracker.Observe(turn.frame, m)
	c.lessons.note(m, c.settings.detector.Load(), c.scoring.tracker.Open())
	p.announce(c, turn.frame, m, happened)
	return m, turn.err
}

// noteDrift logs when the picture begins or ceases to drift.
func (p *Pipeline) noteDrift(c *camera, d detector.Drift) {
	before := c.scoring.drift
	c.scoring.drift = d.State
	switch {
	case d.State == before:
		return
	case d.State == detector.DriftDrifting:
		p.log.Warn("drift", "camera", c.Name(), "level", d.Level, "layout", d.Layout, "hint", d.Hint)
	case before == detector.DriftDrifting:
		p.log.Info("drift is over", "camera", c.Name())
	}
	p.outlets.StatusChanged()
}

// endEvents ends all events of a camera without a further map.
func (p *Pipeline) endEvents(c *camera, at time.Time, reason events.EndReason) {
	p.announce(c, nil, nil, c.scoring.tracker.End(at, reason))
}

// announce hands events to the outlets. f and m are the frame and the map behind them, nil where events end without one.
func (p *Pipeline) announce(c *camera, f *ingest.Frame, m *detector.Map, happened []events.Event) {
	for _, ev := range happened {
		if ev.Type == events.Start {
			c.progress.events.Add(1)
		}
	}
	p.outlets.Events(events.Observation{Frame: f, Map: m, Events: happened, Open: c.scoring.tracker.Open()})
}
