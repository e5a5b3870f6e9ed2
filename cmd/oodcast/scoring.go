package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/oodcast/oodcast/configs"
	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/detector/events"
	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/pipeline/queue"
	"github.com/oodcast/oodcast/publish/archive"
)

// Frames that a camera may hold besides those that wait: in the source, being scored, being shown, being filmed.
const framesBeside = 5 + archive.FramesHeld

// newCamera prepares a camera as the configuration has it.
func (s *service) newCamera(cfg *configs.Config, cam configs.Camera) (_ *camera, err error) {
	scoring := cfg.DetectorOf(cam)
	policy, err := queue.ParseOverflow(cam.Policy())
	if err != nil {
		return nil, err
	}
	engine, err := s.engines.acquire(cfg.BundleOf(cam), scoring)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.engines.release(engine))
		}
	}()
	memory := cam.MemoryMB << 20
	c := &camera{
		cfg: cam.Config, site: cfg.Publish.Site, engine: engine, fault: s.fault, scoring: scoring,
		tracking: cfg.EventsOf(cam), tracker: events.NewTracker(cfg.EventsOf(cam)), started: time.Now(), live: policy != queue.Wait,
		pool: ingest.NewBoundedPool(cam.QueueFrames+framesBeside, memory), done: make(chan struct{}),
	}
	// What waits gets no more than half of the memory: there must be room to read and to score.
	c.frames = queue.New(cam.QueueFrames, policy, (*ingest.Frame).Release,
		queue.Bytes(memory/2, func(f *ingest.Frame) int { return len(f.Pix) }))
	source, err := s.open(cam.Config, c.pool)
	if err != nil {
		return nil, err
	}
	c.source = ingest.NewSupervisor(source, cam.Reconnect, func(st ingest.Status) { s.sourceChanged(c, st) },
		uint64(time.Now().UnixNano()))
	det, err := s.newDetector(engine, scoring)
	if err != nil {
		return nil, fmt.Errorf("camera %s: %w", cam.Name, err)
	}
	if note := det.Note(); note != "" {
		s.out.Log.Warn("threshold", "camera", cam.Name, "note", note)
	}
	c.det.Store(det)
	return c, nil
}

// newDetector returns a detector that shares the machine with the others.
func (s *service) newDetector(e *engine, cfg detector.Config) (*detector.Detector, error) {
	det, err := e.NewDetector(cfg)
	if err == nil {
		det.ShareWith(&s.share)
	}
	return det, err
}

// sourceChanged tells the world that a stream came, broke off or ended.
func (s *service) sourceChanged(c *camera, st ingest.Status) {
	if det := c.det.Load(); det != nil && st.State == ingest.Connecting {
		det.Forget() // the next frames are of another stream
	}
	attrs := []any{"camera", c.cfg.Name, "state", st.State}
	if st.Err != nil {
		attrs = append(attrs, "error", st.Err)
	}
	if st.Retry > 0 {
		attrs = append(attrs, "retry_in", st.Retry.Round(time.Millisecond))
	}
	s.out.Log.Info("camera", attrs...)
	s.publisher.StatusChanged()
}

// start runs a camera until its stream ends or srcCtx is done. ctx ends the scoring at once.
func (s *service) start(ctx, srcCtx context.Context, c *camera) {
	srcCtx, c.stop = context.WithCancel(srcCtx)
	read := make(chan struct{})
	go func() {
		defer close(read)
		defer c.frames.Close()
		if err := c.source.Run(srcCtx, s.capture(c)); err != nil {
			c.failed(err)
		}
	}()
	go func() {
		if err := s.scoreAll(ctx, c); err != nil {
			s.out.Log.Error("scoring", "camera", c.cfg.Name, "error", err)
			c.failed(err)
		}
		c.stop()
		c.frames.Drain()
		<-read
		close(c.done)
		select {
		case s.ended <- struct{}{}:
		default:
		}
	}()
}

// capture hands a frame to the preview and to the scoring. It owns the frame.
func (s *service) capture(c *camera) ingest.Sink {
	return func(ctx context.Context, f *ingest.Frame) error {
		c.saw(f)
		s.preview.Frame(f.Retain())
		s.evidence.Frame(f.Retain())
		if err := c.frames.Put(ctx, f); !errors.Is(err, queue.ErrClosed) {
			return err
		}
		return nil // the scoring has all it wanted and is about to stop the source
	}
}

// scoreAll scores what the source delivers until it ends.
func (s *service) scoreAll(ctx context.Context, c *camera) error {
	defer s.turns.attend(c.engine)()
	for {
		if err := s.next(ctx, c); err != nil { // closed and empty, or stopped
			s.announce(c, nil, nil, c.tracker.End(time.Now(), events.EndStream))
			return nil
		}
		if cfg := c.retrack.Swap(nil); cfg != nil {
			c.tracker.Configure(*cfg)
		}
		m, err := s.scoreNext(ctx, c)
		if err != nil { // the events that are open end like those of a stream that breaks off for good
			s.announce(c, nil, nil, c.tracker.End(time.Now(), events.EndStream))
			return fmt.Errorf("camera %s: %w", c.cfg.Name, err)
		}
		if m == nil {
			if c.paused.Load() {
				s.announce(c, nil, nil, c.tracker.End(time.Now(), events.EndPaused))
			}
			continue
		}
		if s.maxFrames > 0 && c.scored.Load() >= s.maxFrames {
			s.announce(c, nil, nil, c.tracker.End(m.Captured, events.EndStream))
			return nil
		}
	}
}

// scoreNext scores a frame in the camera's turn and tells everybody. No map and no error: there was none to make.
func (s *service) scoreNext(ctx context.Context, c *camera) (*detector.Map, error) {
	f, m, err := s.inTurn(ctx, c)
	if f != nil {
		defer f.Release()
	}
	if m != nil {
		s.publisher.Map(m)
		s.preview.Map(m)
		s.drifted(c, m.Drift)
		s.announce(c, f, m, c.tracker.Update(m))
	}
	return m, err
}

// drifted logs when the picture begins or ends to drift.
func (s *service) drifted(c *camera, d detector.Drift) {
	before := c.drift
	c.drift = d.State
	switch {
	case d.State == before:
	case d.State == detector.DriftDrifting:
		s.out.Log.Warn("drift", "camera", c.cfg.Name, "level", d.Level, "layout", d.Layout, "hint", d.Hint)
	case before == detector.DriftDrifting:
		s.out.Log.Info("drift is over", "camera", c.cfg.Name)
	}
	if d.State != before {
		s.publisher.StatusChanged()
	}
}

// inTurn waits for the camera's turn and returns what came of the frame that was the right one then: while others are
// scored, a newer one may replace what waits. The caller owns the frame.
func (s *service) inTurn(ctx context.Context, c *camera) (*ingest.Frame, *detector.Map, error) {
	r := s.turns.score(ctx, c, func() *ingest.Frame { return c.take(ctx) })
	m, err := c.settle(r.m, r.err)
	return r.frame, m, err
}

// silence is how long a camera may deliver nothing before its events end.
const silence = 5 * time.Second

// next waits for a frame. When none comes for a while, the events that are open end first: nobody knows how they go on.
func (s *service) next(ctx context.Context, c *camera) error {
	if err := ctx.Err(); err != nil { // also with a frame waiting: it would never be taken
		return err
	}
	if len(c.tracker.Open()) > 0 {
		soon, cancel := context.WithTimeout(ctx, silence+c.tracker.Config().Hold)
		err := c.frames.Ready(soon)
		cancel()
		if err == nil || !errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil {
			return err
		}
		s.announce(c, nil, nil, c.tracker.End(time.Now(), events.EndNoSignal))
	}
	return c.frames.Ready(ctx)
}

// announce keeps evidence of events, publishes them, and prints a line for each that starts or ends. f and m are the frame
// and the map behind them; nil where events end without one.
func (s *service) announce(c *camera, f *ingest.Frame, m *detector.Map, told []events.Event) {
	for _, ev := range s.evidence.Observe(f, m, told, c.tracker.Open()) {
		s.publisher.Event(ev)
		s.preview.Event(ev)
		if ev.Type == events.Update {
			continue
		}
		if ev.Type == events.Start {
			c.events.Add(1)
		}
		fmt.Fprintf(s.out.Stdout, "%s  %-10s event %-5s  peak %.1f  area %.2f %%  at %.0f%%,%.0f%%  %s\n",
			ev.Time.Format("15:04:05.000"), ev.Camera, ev.Type, ev.Peak, 100*ev.Area,
			100*(ev.Box.X+ev.Box.Width/2), 100*(ev.Box.Y+ev.Box.Height/2), ev.ID)
	}
}
