package pipeline

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/semaphore"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/ingest"
)

// turns lets one batch be scored at a time, because all batches share the cores or the GPU. The batch that has waited
// longest is next, and a camera has one seat at most, so all cameras get their turn one after the other, however fast they
// deliver.
//
// A batch holds cameras of one engine. It is complete when it has as many cameras as configured, or all that use the engine,
// or when its first camera has waited long enough; cameras may still join a batch that is waiting for its turn. Without
// batches each camera has a batch to itself.
type turns struct {
	turn     *semaphore.Weighted
	watchdog watchdog
	sizes    prometheus.Observer // of the batches, in frames

	mu struct {
		sync.Mutex
		cfg     Batch
		open    map[*engine]*batch // that may be joined
		cameras map[*engine]int    // that are running
	}
}

// batch is a group of cameras that are scored together. The goroutine of the first one, the leader, does the work.
type batch struct {
	engine *engine
	seats  []*seat
	full   chan struct{} // closed when the batch is complete
}

// seat is the place of a camera in a batch.
type seat struct {
	camera *camera
	take   func() *ingest.Frame // returns the frame to score, once it is the camera's turn; nil if there is none
	frame  *ingest.Frame
	result chan result
}

// result is the outcome of a turn. The receiver owns the frame, which is nil if there was none to score.
type result struct {
	frame *ingest.Frame
	m     *detector.Map
	err   error
}

func newTurns(cfg Batch, sizes prometheus.Observer) *turns {
	t := &turns{turn: semaphore.NewWeighted(1), sizes: sizes}
	t.mu.cfg, t.mu.open, t.mu.cameras = cfg, map[*engine]*batch{}, map[*engine]int{}
	return t
}

// configure sets the size and the deadline of batches that begin from now on.
func (t *turns) configure(cfg Batch) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.mu.cfg = cfg
}

// enter counts a camera as one that scores with e, until leave is called.
func (t *turns) enter(e *engine) (leave func()) {
	count := func(by int) {
		t.mu.Lock()
		defer t.mu.Unlock()
		if t.mu.cameras[e] += by; t.mu.cameras[e] == 0 {
			delete(t.mu.cameras, e)
		}
	}
	count(1)
	return func() { count(-1) }
}

// score waits for the camera's turn and returns its outcome. A camera that is stopped while it waits has nothing to take
// then, and holds up no other.
func (t *turns) score(ctx context.Context, c *camera, take func() *ingest.Frame) result {
	s := &seat{camera: c, take: take, result: make(chan result, 1)}
	if b, wait := t.join(s); b != nil {
		t.lead(ctx, b, wait)
	}
	return <-s.result
}

// join takes a seat in the open batch of the camera's engine. If the seat is the batch's first, join returns the batch,
// which the caller leads, and how long it may wait for others.
func (t *turns) join(s *seat) (*batch, time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := s.camera.engine
	b := t.mu.open[e]
	leads := b == nil
	if leads {
		b = &batch{engine: e, full: make(chan struct{})}
		t.mu.open[e] = b
	}
	b.seats = append(b.seats, s)
	if len(b.seats) >= min(t.mu.cfg.Frames, t.mu.cameras[e]) {
		close(b.full)
		delete(t.mu.open, e)
	}
	if leads {
		return b, t.mu.cfg.Wait
	}
	return nil, 0
}

// lead waits until the batch is complete and it is its turn, and scores it. The other cameras of the batch are scored even
// if the leader's camera is stopped.
func (t *turns) lead(ctx context.Context, b *batch, wait time.Duration) {
	deadline := time.NewTimer(wait)
	defer deadline.Stop()
	select {
	case <-b.full:
	case <-deadline.C:
	case <-ctx.Done():
	}
	ctx = context.WithoutCancel(ctx)
	_ = t.turn.Acquire(ctx, 1) // it fails only when ctx is done
	defer t.turn.Release(1)
	t.run(ctx, t.complete(b))
}

// complete closes the batch to further cameras.
func (t *turns) complete(b *batch) []*seat {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.mu.open[b.engine] == b {
		delete(t.mu.open, b.engine)
	}
	return b.seats
}

// run scores the cameras that have a frame.
func (t *turns) run(ctx context.Context, seats []*seat) {
	var jobs []detector.Job
	seats = slices.DeleteFunc(seats, func(s *seat) bool {
		f := s.take()
		if f == nil {
			s.result <- result{}
			return true
		}
		// The seat keeps a reference, because events that begin with this frame may want its picture.
		jobs = append(jobs, detector.Job{Detector: s.camera.detector(), Frame: f.Retain()})
		s.frame = f
		return false
	})
	if len(jobs) == 0 {
		return
	}
	t.sizes.Observe(float64(len(jobs)))
	t.watchdog.begin(len(jobs))
	defer t.watchdog.end()
	detector.ScoreAll(ctx, jobs, func(i int, m *detector.Map, err error) {
		seats[i].result <- result{frame: seats[i].frame, m: m, err: err}
	})
}
