package pipeline

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/detector/events"
	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/models"
)

// testCamera is a camera that nobody reads: tests replace its source.
func testCamera(name string) CameraConfig {
	cam := CameraConfig{
		Source: ingest.DefaultConfig(), Queue: DefaultQueueConfig(), Bundle: models.Embedded,
		Detector: detector.DefaultConfig(), Events: events.DefaultConfig(),
	}
	cam.Source.Name, cam.Source.URI = name, "camera:0"
	return cam
}

// prepared makes a pipeline of cameras with the built-in bundle. The caller runs it.
func prepared(t *testing.T, cfg Config, outlets Outlets, options ...Option) *Pipeline {
	t.Helper()
	if cfg.Batch.Frames == 0 {
		cfg.Batch = DefaultBatch()
	}
	p, err := New(cfg, outlets, append(options, WithLogger(slog.New(slog.DiscardHandler)))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// running runs the pipeline until stop, which returns when it has ended.
func running(t *testing.T, p *Pipeline) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
		for _, c := range p.cameras() {
			if n := c.pool.InFlight(); n != 0 {
				t.Errorf("camera %s: %d frames are still out", c.Name(), n)
			}
		}
	})
	t.Cleanup(stop)
	return stop
}

// percentile is the smallest value that p of all do not exceed.
func percentile[T cmp.Ordered](v []T, p float64) T {
	sorted := slices.Sorted(slices.Values(v))
	return sorted[min(int(p*float64(len(sorted))), len(sorted)-1)]
}

// The watchdog measures on the monotonic clock: a wall clock that is set hides no hang and feigns none.
func TestWatchdog(t *testing.T) {
	var w watchdog
	if err := w.check(); err != nil {
		t.Errorf("idle: %v", err)
	}
	const frames = 3
	w.begin(frames)
	if err := w.check(); err != nil {
		t.Errorf("just begun: %v", err)
	}
	now := w.turn.Load()
	if !strings.Contains(now.began.String(), " m=") {
		t.Errorf("%v has no monotonic part", now.began)
	}
	now.began = now.began.Add(-2 * scoreLimit)
	if err := w.check(); err != nil {
		t.Errorf("%d frames may take longer than one: %v", frames, err)
	}
	now.began = now.began.Add(-2 * scoreLimit)
	if w.check() == nil {
		t.Error("frames that hang are not noticed")
	}
	w.end()
	if err := w.check(); err != nil {
		t.Errorf("done: %v", err)
	}
}

// resizer is a camera that changes the size of its pictures when an event has begun.
type resizer struct {
	pool *ingest.Pool
	c    *camera
}

func (s *resizer) Run(ctx context.Context, sink ingest.Sink) error {
	for seq := uint64(0); ctx.Err() == nil; seq++ {
		width, height := 256, 128
		if s.c.progress.events.Load() > 0 {
			width, height = 64, 64
		}
		f, err := s.pool.Get(ctx, width, height)
		if err != nil {
			return nil
		}
		clear(f.Pix)
		f.Camera, f.Seq, f.Captured = s.c.Name(), seq, time.Now()
		if err := sink(ctx, f); err != nil {
			return err
		}
	}
	return nil
}

// When a camera cannot be scored any more, its events end: nobody would hear of them again.
func TestEventsEndWhenScoringFails(t *testing.T) {
	cam := testCamera("front")
	cam.Queue.Overflow = "wait"
	cam.Detector.Timesteps, cam.Detector.Threshold, cam.Events.MinDuration = 1, -100, 0
	// One cell of the large picture, none of the small one.
	cam.Detector.ROI = detector.ROI{Include: []detector.Polygon{{{0.005, 0.005}, {0.04, 0.005}, {0.04, 0.05}, {0.005, 0.05}}}}
	seen := &recorder{}
	p := prepared(t, Config{Cameras: []CameraConfig{cam}}, Outlets{seen})
	c := p.cameras()[0]
	c.source = ingest.NewSupervisor(&resizer{c.pool, c}, c.cfg.Source.Reconnect, nil, 1)
	err := p.Run(t.Context()) // ends by itself: its only camera has failed
	if !errors.Is(err, detector.ErrSetting) {
		t.Errorf("run: %v, want that no cell is left of the region of interest", err)
	}
	for _, kind := range []events.Type{events.Start, events.End} {
		if n := len(slices.DeleteFunc(slices.Clone(seen.events), func(e events.Event) bool { return e.Type != kind })); n != 1 {
			t.Errorf("%d events of type %s, want 1", n, kind)
		}
	}
}
