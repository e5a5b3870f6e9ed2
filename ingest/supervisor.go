package ingest

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"sync"
	"time"
)

// State is the state of a supervised stream.
type State string

// The states of a stream. Connecting and Down alternate while the stream is away. Ended is final.
const (
	Connecting State = "connecting" // opening, no frame yet
	Live       State = "live"       // delivering
	Stalled    State = "stalled"    // open, but no frame for Reconnect.Stalled
	Down       State = "down"       // broken, pausing before the next try
	Ended      State = "ended"      // end of stream, stopped, or a permanent error
)

// Status describes a supervised stream.
type Status struct {
	State State
	// Since is when the stream entered the state.
	Since time.Time
	// Err is why the stream is down or has ended, or what an open stream without frames waits for; nil otherwise. It contains
	// no credentials.
	Err error
	// Retry is the pause before the next try; 0 unless State is Down.
	Retry time.Duration
	// Failures counts the failed tries since the stream was last stable.
	Failures uint64
	// LastFrame is when the last frame came, zero before the first frame.
	LastFrame time.Time
}

// Supervisor runs a Source again and again until it ends. It is a Source itself.
type Supervisor struct {
	src    Source
	cfg    Reconnect
	notify func(Status)
	random *rand.Rand

	order sync.Mutex // held from a change of the status until notify has returned
	mu    struct {
		sync.Mutex
		status     Status
		reconnects map[string]uint64
		inSink     bool
		idleSince  time.Time
	}
}

// NewSupervisor returns a supervisor of src. Run's goroutines call notify, which may be nil, at every change of the status,
// one call at a time; it must not block. seed makes the jitter repeatable.
func NewSupervisor(src Source, cfg Reconnect, notify func(Status), seed uint64) *Supervisor {
	if notify == nil {
		notify = func(Status) {}
	}
	s := &Supervisor{src: src, cfg: cfg, notify: notify, random: rand.New(rand.NewPCG(seed, 0x6f6f64))}
	s.mu.status = Status{State: Connecting}
	s.mu.reconnects = map[string]uint64{reasonTimeout: 0, reasonBroke: 0, reasonConnect: 0, reasonOther: 0}
	return s
}

// Status returns the current status. It may be called at any time.
func (s *Supervisor) Status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.status
}

// The reasons for opening a stream again, as metrics name them.
const (
	reasonTimeout = "timed_out"
	reasonBroke   = "broke_off"
	reasonConnect = "no_connection"
	reasonOther   = "other"
)

func reasonOf(err error) string {
	switch {
	case errors.Is(err, ErrTimeout):
		return reasonTimeout
	case errors.Is(err, ErrDisconnected):
		return reasonBroke
	case errors.Is(err, ErrConnect):
		return reasonConnect
	}
	return reasonOther
}

// Reconnects counts the tries to open the stream after the first, by their reason: timed_out, broke_off, no_connection or
// other.
func (s *Supervisor) Reconnects() map[string]uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.mu.reconnects)
}

// Stats returns the counts of the source, or zeros when the source does not count.
func (s *Supervisor) Stats() Stats {
	if c, ok := s.src.(Counter); ok {
		return c.Stats()
	}
	return Stats{}
}

// waiting is what the source waits for; nil when it does not say.
func (s *Supervisor) waiting() error {
	if w, ok := s.src.(Waiter); ok {
		return w.Waiting()
	}
	return nil
}

// Run delivers the frames of the source, over as many connections as it takes. It returns nil at the end of the stream or
// when ctx is done, the sink's error when the sink fails, and the source's error when that is Permanent.
func (s *Supervisor) Run(ctx context.Context, sink Sink) error {
	pause := s.cfg.Min
	for {
		s.change(func(st *Status) { st.State, st.Err, st.Retry = Connecting, nil, 0 })
		stable, sinkFailed, err := s.once(ctx, sink)
		if err == nil || ctx.Err() != nil || sinkFailed || Permanent(err) {
			if ctx.Err() != nil {
				err = nil
			}
			return s.finish(err)
		}
		if stable {
			pause = s.cfg.Min
		}
		wait := pause - time.Duration(s.cfg.Jitter*s.random.Float64()*float64(pause))
		s.change(func(st *Status) {
			st.State, st.Err, st.Retry = Down, err, wait
			if stable {
				st.Failures = 0
			}
			st.Failures++
		})
		pause = min(2*pause, s.cfg.Max)
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return s.finish(nil)
		}
		s.mu.Lock()
		s.mu.reconnects[reasonOf(err)]++
		s.mu.Unlock()
	}
}

func (s *Supervisor) finish(err error) error {
	s.change(func(st *Status) { st.State, st.Err, st.Retry = Ended, err, 0 })
	return err
}

// once runs the source once. stable reports whether the source delivered for at least Reconnect.Stable.
func (s *Supervisor) once(ctx context.Context, sink Sink) (stable, sinkFailed bool, err error) {
	var first, last time.Time
	watchCtx, stop := context.WithCancel(ctx)
	var watch sync.WaitGroup
	watch.Go(func() { s.watchStall(watchCtx) })
	err = s.src.Run(ctx, func(ctx context.Context, f *Frame) error {
		last = time.Now()
		if first.IsZero() {
			first = last
		}
		s.begin(last)
		defer s.end()
		err := sink(ctx, f)
		sinkFailed = err != nil
		return err
	})
	stop()
	watch.Wait()
	return !first.IsZero() && last.Sub(first) >= s.cfg.Stable, sinkFailed, err
}

// begin records that a frame came.
func (s *Supervisor) begin(at time.Time) {
	s.mu.Lock()
	s.mu.status.LastFrame, s.mu.inSink = at, true
	state := s.mu.status.State
	s.mu.Unlock()
	if state != Live {
		s.change(func(st *Status) { st.State, st.Err = Live, nil })
	}
}

// end records that the sink returned: a slow sink does not make a stream stalled.
func (s *Supervisor) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.idleSince, s.mu.inSink = time.Now(), false
}

// watchStall marks a live stream as stalled when it delivers nothing, and tells what an open stream without frames waits for.
func (s *Supervisor) watchStall(ctx context.Context) {
	timer := time.NewTimer(s.cfg.Stalled)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-ctx.Done():
			return
		}
		s.mu.Lock()
		idle := time.Since(s.mu.idleSince)
		silent := s.mu.status.State == Live && !s.mu.inSink
		s.mu.Unlock()
		if silent && idle >= s.cfg.Stalled {
			s.changeIf(Live, func(st *Status) { st.State = Stalled })
		}
		s.tellWaiting()
		if idle >= s.cfg.Stalled || !silent {
			idle = 0
		}
		timer.Reset(s.cfg.Stalled - idle)
	}
}

// tellWaiting adds to the status what a stream that is not live waits for.
func (s *Supervisor) tellWaiting() {
	err := s.waiting()
	if st := s.Status(); err != nil && (st.State == Connecting || st.State == Stalled) && !errors.Is(st.Err, err) {
		s.changeIf(st.State, func(st *Status) { st.Err = err })
	}
}

func (s *Supervisor) change(edit func(*Status)) { s.changeIf("", edit) }

// changeIf edits the status, if the state is from or from is "", and notifies.
func (s *Supervisor) changeIf(from State, edit func(*Status)) {
	s.order.Lock() // notifications must come in the order of the changes
	defer s.order.Unlock()
	s.mu.Lock()
	before := s.mu.status.State
	if from != "" && before != from {
		s.mu.Unlock()
		return
	}
	edit(&s.mu.status)
	if s.mu.status.State != before || s.mu.status.Since.IsZero() {
		s.mu.status.Since = time.Now()
	}
	now := s.mu.status
	s.mu.Unlock()
	s.notify(now)
}

var (
	_ Source  = (*Supervisor)(nil)
	_ Counter = (*Supervisor)(nil)
)
