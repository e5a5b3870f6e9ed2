package source

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/oodcast/oodcast/ingest"
)

// stopGrace is how long Run waits at its end for the running read before it abandons the capture.
const stopGrace = 1500 * time.Millisecond

// Settings are what the program decides about a source; ingest.Config holds the operator's choices.
type Settings struct {
	// MayWait lets the source wait for a free frame when its pool is empty. Otherwise it drops the new picture and counts it.
	MayWait bool
	// Tap receives what a camera sends as H.264, before it is decoded. nil: nobody does.
	Tap ingest.Tap
	// Log is told what was left out and which of several tracks is read. nil: nobody is told.
	Log *slog.Logger
}

// source implements ingest.Source, ingest.Counter and ingest.Waiter.
type source struct {
	cfg     ingest.Config
	uri     ingest.URI
	pool    *ingest.Pool
	mayWait bool
	tapped  ingest.Tap
	log     *slog.Logger
	told    map[string]bool // the unreadable pictures that have been logged; the capture's

	first time.Time     // when the first frame of a live source came
	seq   uint64        // of the next frame
	pts   time.Duration // of the last frame

	waiting atomic.Pointer[error] // what the open stream waits for; nil: nothing to tell

	read, delivered, droppedPool, droppedRate, unreadable, opens, abandoned atomic.Uint64
	hanging                                                                 atomic.Int64
	units                                                                   atomic.Uint64 // handed to tapped
}

// New returns the source that cfg describes; it opens nothing yet. Its frames come from pool. The source is an
// ingest.Counter.
func New(cfg ingest.Config, pool *ingest.Pool, settings Settings) (ingest.Source, error) {
	uri, err := ingest.ParseURI(cfg.URI)
	if err != nil {
		return nil, err
	}
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("source %q: %w", ingest.RedactURI(cfg.URI), err)
	}
	log := settings.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &source{
		cfg: cfg, uri: uri, pool: pool, mayWait: settings.MayWait, tapped: settings.Tap, log: log.With("camera", cfg.Name), told: map[string]bool{},
	}, nil
}

// Stats implements ingest.Counter.
func (s *source) Stats() ingest.Stats {
	return ingest.Stats{
		Read: s.read.Load(), Delivered: s.delivered.Load(),
		DroppedPool: s.droppedPool.Load(), DroppedRate: s.droppedRate.Load(),
		Unreadable: s.unreadable.Load(), Opens: s.opens.Load(), Abandoned: s.abandoned.Load(), Hanging: uint64(max(s.hanging.Load(), 0)),
	}
}

// Waiting implements ingest.Waiter.
func (s *source) Waiting() error {
	if err := s.waiting.Load(); err != nil {
		return *err
	}
	return nil
}

// Run implements ingest.Source.
func (s *source) Run(ctx context.Context, sink ingest.Sink) error {
	t := s.newTap()
	defer t.close()
	r, err := s.newReader(t)
	if err != nil {
		return err
	}
	c := newCapture(s, r)
	captureCtx, stop := context.WithCancel(ctx)
	defer stop()
	s.waiting.Store(nil)
	defer s.waiting.Store(nil)
	go c.run(captureCtx)
	err = s.deliver(ctx, c, sink)
	stop()
	grace := time.NewTimer(stopGrace)
	defer grace.Stop()
	select {
	case <-c.ended:
	case <-grace.C:
		c.abandon()
	}
	return err
}

// deliver passes frames from the capture to sink until one of the two ends, and watches for a call of the capture that
// hangs.
func (s *source) deliver(ctx context.Context, c *capture, sink ingest.Sink) error {
	tick := time.NewTicker(max(min(s.cfg.OpenTimeout, s.cfg.ReadTimeout)/8, 10*time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case f := <-c.frames:
			if ctx.Err() != nil {
				f.Release()
				return nil
			}
			if err := sink(ctx, f); err != nil {
				if ctx.Err() != nil {
					return nil
				}
				return fmt.Errorf("source %q: %w", ingest.RedactURI(s.cfg.URI), err)
			}
			s.delivered.Add(1)
		case <-c.ended:
			return c.err
		case <-ctx.Done():
			return nil
		case <-tick.C:
			if call, limit := c.overdue(); limit > 0 {
				return fmt.Errorf("%s %q: %w after %v", call, ingest.RedactURI(s.cfg.URI), ingest.ErrTimeout, limit)
			}
			if _, keyless := c.awaits(); keyless {
				err := ingest.ErrNoKeyFrame
				s.waiting.Store(&err)
			}
		}
	}
}

var (
	_ ingest.Source  = (*source)(nil)
	_ ingest.Counter = (*source)(nil)
	_ ingest.Waiter  = (*source)(nil)
)
