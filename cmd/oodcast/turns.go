package main

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/semaphore"

	"github.com/oodcast/oodcast/configs"
	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/ingest"
)

// turns lets one batch be scored at a time: all of them share the cores, or the GPU. Which waits longest is next, and each
// camera has one seat at most, so that all get their turn one after the other, however fast they deliver.
//
// A batch holds the cameras of one engine. It is complete when it has as many as are wanted, or all there are, or when its
// first one has waited for long enough; who comes while it waits for its turn may still join. Without batches each camera
// has one to itself.
type turns struct {
	turn  *semaphore.Weighted
	pulse pulse
	sizes prometheus.Histogram

	mu struct {
		sync.Mutex
		cfg     configs.Batch
		open    map[*engine]*batch // that may be joined
		cameras map[*engine]int    // that are running
	}
}

// batch are cameras that are scored together. The first one has the work.
type batch struct {
	engine *engine
	seats  []*seat
	full   chan struct{} // closed when it is complete
}

// seat is a camera's place in a batch.
type seat struct {
	camera *camera
	take   func() *ingest.Frame // the frame that is the right one in the camera's turn; nil: none
	frame  *ingest.Frame
	result chan result
}

// result is what comes of a turn. The frame belongs to who receives it; nil: there was none to score.
type result struct {
	frame *ingest.Frame
	m     *detector.Map
	err   error
}

func newTurns(cfg configs.Batch) *turns {
	t := &turns{
		turn: semaphore.NewWeighted(1),
		sizes: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "oodcast_detector_batch_frames", Help: "Frames that were scored together.",
			Buckets: []float64{1, 2, 4, 8, 16, 32},
		}),
	}
	t.mu.cfg, t.mu.open, t.mu.cameras = cfg, map[*engine]*batch{}, map[*engine]int{}
	return t
}

// configure sets the size and the deadline of the batches that begin from now on.
func (t *turns) configure(cfg configs.Batch) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.mu.cfg = cfg
}

// attend says that a camera scores with e until leave is called.
func (t *turns) attend(e *engine) (leave func()) {
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

// score returns what comes of the camera's turn. It returns when that is over: a camera that is stopped meanwhile has
// nothing to take, and holds up nobody.
func (t *turns) score(ctx context.Context, c *camera, take func() *ingest.Frame) result {
	s := &seat{camera: c, take: take, result: make(chan result, 1)}
	if b, wait := t.join(s); b != nil {
		t.lead(ctx, b, wait)
	}
	return <-s.result
}

// join takes a seat in the batch of the camera's engine. Whose seat is the first gets the batch, and how long it may wait.
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

// lead waits until the batch is complete and has its turn, and scores it. That the leader's camera is stopped is no reason
// to let the others down.
func (t *turns) lead(ctx context.Context, b *batch, wait time.Duration) {
	deadline := time.NewTimer(wait)
	defer deadline.Stop()
	select {
	case <-b.full:
	case <-deadline.C:
	case <-ctx.Done():
	}
	ctx = context.WithoutCancel(ctx)
	_ = t.turn.Acquire(ctx, 1) // it fails when ctx is done, and never is
	defer t.turn.Release(1)
	t.run(ctx, t.complete(b))
}

// complete lets nobody join the batch any more.
func (t *turns) complete(b *batch) []*seat {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.mu.open[b.engine] == b {
		delete(t.mu.open, b.engine)
	}
	return b.seats
}

// run scores the frames of those who have one.
func (t *turns) run(ctx context.Context, seats []*seat) {
	var jobs []detector.Job
	seats = slices.DeleteFunc(seats, func(s *seat) bool {
		f := s.take()
		if f == nil {
			s.result <- result{}
			return true
		}
		// Our reference is for pictures of what begins with the frame.
		jobs = append(jobs, detector.Job{Detector: s.camera.detector(), Frame: f.Retain()})
		s.frame = f
		return false
	})
	if len(jobs) == 0 {
		return
	}
	t.sizes.Observe(float64(len(jobs)))
	t.pulse.begin(len(jobs))
	defer t.pulse.end()
	detector.ScoreAll(ctx, jobs, func(i int, m *detector.Map, err error) {
		seats[i].result <- result{frame: seats[i].frame, m: m, err: err}
	})
}
