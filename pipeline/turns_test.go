package pipeline

import (
	"context"
	"math"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/ingest"
)

// entered are cameras of one engine that have no frames: what is tested is who is scored with whom, and when.
type entered struct {
	turns *turns
	e     *engine
	begin time.Time
	wg    sync.WaitGroup

	mu    sync.Mutex
	taken map[string]time.Duration // when each was asked for its frame
}

func enter(cfg Batch, cameras int) *entered {
	a := &entered{turns: newTurns(cfg, prometheus.NewHistogram(prometheus.HistogramOpts{Name: "frames"})), e: &engine{}, begin: time.Now(), taken: map[string]time.Duration{}}
	for range cameras {
		a.turns.enter(a.e)
	}
	return a
}

// score begins a camera's turn.
func (a *entered) score(ctx context.Context, name string, e *engine) {
	a.wg.Go(func() {
		r := a.turns.score(ctx, &camera{engine: e}, func() *ingest.Frame {
			a.mu.Lock()
			defer a.mu.Unlock()
			a.taken[name] = time.Since(a.begin)
			return nil
		})
		if r != (result{}) {
			panic("a result without a frame")
		}
	})
	synctest.Wait() // whoever comes next is second
}

// want waits for the turns that have begun and compares when they came.
func (a *entered) want(t *testing.T, want map[string]time.Duration) {
	t.Helper()
	a.wg.Wait()
	if len(a.taken) != len(want) {
		t.Errorf("%v were asked, want %v", a.taken, want)
	}
	for name, at := range want {
		if got, ok := a.taken[name]; !ok || got != at {
			t.Errorf("%s was asked after %v (%t), want %v", name, got, ok, at)
		}
	}
}

func TestTurns(t *testing.T) {
	const wait = 20 * time.Millisecond
	for name, test := range map[string]func(*testing.T){
		"without batches nobody waits": func(t *testing.T) {
			a := enter(Batch{Frames: 1, Wait: wait}, 2)
			a.score(t.Context(), "a", a.e)
			a.want(t, map[string]time.Duration{"a": 0})
		},
		"the deadline counts from the first": func(t *testing.T) {
			a := enter(Batch{Frames: 3, Wait: wait}, 3)
			a.score(t.Context(), "a", a.e)
			time.Sleep(15 * time.Millisecond)
			a.score(t.Context(), "b", a.e)
			a.want(t, map[string]time.Duration{"a": wait, "b": wait})
		},
		"a full batch does not wait": func(t *testing.T) {
			a := enter(Batch{Frames: 2, Wait: wait}, 3)
			a.score(t.Context(), "a", a.e)
			time.Sleep(5 * time.Millisecond)
			a.score(t.Context(), "b", a.e)
			a.score(t.Context(), "c", a.e) // begins the next one
			a.want(t, map[string]time.Duration{"a": 5 * time.Millisecond, "b": 5 * time.Millisecond, "c": 25 * time.Millisecond})
		},
		"all there are is full": func(t *testing.T) {
			a := enter(Batch{Frames: 32, Wait: wait}, 2)
			a.score(t.Context(), "a", a.e)
			a.score(t.Context(), "b", a.e)
			a.want(t, map[string]time.Duration{"a": 0, "b": 0})
		},
		"engines have batches of their own": func(t *testing.T) {
			a := enter(Batch{Frames: 2, Wait: wait}, 2)
			other := &engine{key: "other"}
			a.turns.enter(other)
			a.score(t.Context(), "a", a.e)
			a.score(t.Context(), "b", other)
			a.want(t, map[string]time.Duration{"a": wait, "b": 0})
		},
		"a batch that waits for its turn may still be joined": func(t *testing.T) {
			a := enter(Batch{Frames: 3, Wait: wait}, 3)
			if err := a.turns.turn.Acquire(t.Context(), 1); err != nil {
				t.Fatal(err)
			}
			a.score(t.Context(), "a", a.e)
			time.Sleep(2 * wait)
			a.score(t.Context(), "b", a.e)
			time.Sleep(wait)
			a.turns.turn.Release(1)
			a.want(t, map[string]time.Duration{"a": 3 * wait, "b": 3 * wait})
		},
		"who is stopped lets nobody down": func(t *testing.T) {
			a := enter(Batch{Frames: 3, Wait: time.Second}, 3)
			ctx, cancel := context.WithCancel(t.Context())
			a.score(ctx, "a", a.e) // has the work
			a.score(t.Context(), "b", a.e)
			time.Sleep(wait)
			cancel()
			a.want(t, map[string]time.Duration{"a": wait, "b": wait})
		},
		"a new setting holds for the next batch": func(t *testing.T) {
			a := enter(Batch{Frames: 2, Wait: wait}, 2)
			a.score(t.Context(), "a", a.e)
			a.turns.configure(Batch{Frames: 1, Wait: wait})
			a.score(t.Context(), "b", a.e) // completes the one that is open
			a.score(t.Context(), "c", a.e)
			a.want(t, map[string]time.Duration{"a": 0, "b": 0, "c": 0})
		},
	} {
		t.Run(name, func(t *testing.T) { synctest.Test(t, test) })
	}
}

// batches returns how many batches there were, and how many frames in all of them.
func batches(t *testing.T, p *Pipeline) (count, frames uint64) {
	t.Helper()
	reg := prometheus.NewRegistry()
	reg.MustRegister(p.metrics.batches)
	all, err := reg.Gather()
	if err != nil || len(all) != 1 {
		t.Fatalf("%d metrics, %v", len(all), err)
	}
	h := all[0].GetMetric()[0].GetHistogram()
	return h.GetSampleCount(), uint64(h.GetSampleSum())
}

// lastMaps runs cameras with settings of their own over real footage and returns the map of each one's last frame, on
// which all frames before have a bearing where frames accumulate or maps are carried.
func lastMaps(t *testing.T, batch Batch, frames uint64) (map[string]*detector.Map, uint64) {
	t.Helper()
	cfg := Config{Batch: batch}
	for name, edit := range map[string]func(*detector.Config){
		"plain": func(*detector.Config) {},
		"alike": func(*detector.Config) {},
		"region": func(c *detector.Config) {
			c.ROI.Include = []detector.Polygon{{{0.1, 0.2}, {0.9, 0.2}, {0.9, 0.9}, {0.1, 0.9}}}
		},
		"more":   func(c *detector.Config) { c.Timesteps = 9 },
		"held":   func(c *detector.Config) { c.Timesteps, c.Accumulate = 3, 3 },
		"moving": func(c *detector.Config) { c.Carry = 400 * time.Millisecond },
		"unsure": func(c *detector.Config) { c.Part = detector.PartLSE },
		"small":  func(c *detector.Config) { c.Width, c.Height = 160, 96 },
	} {
		cam := testCamera(name)
		cam.Source.URI = demoClip(t)
		cam.Detector.Timesteps, cam.Detector.Width, cam.Detector.Height = 4, 256, 192
		edit(&cam.Detector)
		cfg.Cameras = append(cfg.Cameras, cam)
	}
	p := prepared(t, cfg, nil, WithMaxMaps(frames))
	stop := running(t, p)
	maps := map[string]*detector.Map{}
	for _, c := range p.cameras() {
		select {
		case <-c.done:
		case <-time.After(2 * time.Minute):
			t.Fatalf("camera %s has %d maps", c.Name(), c.progress.scored.Load())
		}
		maps[c.Name()] = c.progress.newest()
	}
	stop()
	count, scored := batches(t, p)
	if scored != frames*uint64(len(cfg.Cameras)) {
		t.Errorf("%d frames in %d batches, want %d of each camera", scored, count, frames)
	}
	return maps, count
}

// demoClip is Debian's vtest.avi: a fixed camera over a pavement, 768×576, 10 frames a second, 795 frames.
func demoClip(t *testing.T) string {
	t.Helper()
	for _, path := range []string{
		os.Getenv("OODCAST_DEMO_CLIP"), "/usr/share/doc/opencv-doc/examples/data/vtest.avi",
	} {
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	t.Fatal("vtest.avi is missing: make deps installs it")
	return ""
}

// Maps do not depend on what they are made together with, whatever is set for a camera.
func TestBatchesChangeNoMap(t *testing.T) {
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) })
	const frames = 5
	want, single := lastMaps(t, Batch{Frames: 1}, frames)
	got, count := lastMaps(t, Batch{Frames: 4, Wait: 10 * time.Second}, frames)
	if n := uint64(frames * len(want)); single != n || count >= n/2 {
		t.Errorf("%d batches of %d frames, %d where each has one to itself", count, n, single)
	}
	for name, w := range want {
		g := got[name]
		if g.FrameSeq != w.FrameSeq || g.Seq != w.Seq || len(g.Timesteps) != len(w.Timesteps) || len(g.Values) != len(w.Values) ||
			g.Scored != w.Scored || g.JudgedCells() != w.JudgedCells() || g.Threshold != w.Threshold {
			t.Errorf("%s: frame %d at %v, alone frame %d at %v", name, g.FrameSeq, g.Timesteps, w.FrameSeq, w.Timesteps)
			continue
		}
		// Sums of float32 in another order; values are standard deviations of normal footage.
		worst := math.Abs(float64(g.Peak - w.Peak))
		for i, v := range g.Values {
			worst = max(worst, math.Abs(float64(v-w.Values[i])))
		}
		t.Logf("%s: worst difference %.1e, peak %.2f", name, worst, w.Peak)
		if worst > 1e-3 {
			t.Errorf("%s: values differ by %v", name, worst)
		}
		l := g.Latency
		if l.Wait < 0 || l.Encode <= 0 || l.Total < l.Wait+l.Encode || l.Total > l.Wait+l.Encode+l.Score+time.Millisecond {
			t.Errorf("%s: latencies %+v do not add up", name, l)
		}
	}
}

// asked is a source that delivers a picture whenever the one before is scored, n in all, and then waits for its end. It
// begins when there are so many cameras to be scored with.
type asked struct {
	camera  *camera
	n       uint64
	turns   *turns
	cameras int
}

// wanted reports that picture seq is the next.
func (s *asked) wanted(seq uint64) bool {
	s.turns.mu.Lock()
	defer s.turns.mu.Unlock()
	return s.camera.progress.scored.Load() >= seq && s.turns.mu.cameras[s.camera.engine] == s.cameras
}

func (s *asked) Run(ctx context.Context, sink ingest.Sink) error {
	for seq := range s.n {
		for !s.wanted(seq) {
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(time.Millisecond):
			}
		}
		f, err := s.camera.pool.Get(ctx, 256, 128)
		if err != nil {
			return nil
		}
		clear(f.Pix)
		f.Camera, f.Seq, f.Captured = s.camera.Name(), seq, time.Now()
		if err := sink(ctx, f); err != nil {
			return err
		}
	}
	<-ctx.Done()
	return nil
}

// A camera whose companion delivers nothing is scored when the deadline has passed, and its maps say that it has waited.
func TestBatchWaitsForItsDeadline(t *testing.T) {
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) })
	const wait, frames = 60 * time.Millisecond, 4
	cfg := Config{Batch: Batch{Frames: 2, Wait: wait}}
	for _, name := range []string{"gives", "silent"} {
		cam := testCamera(name)
		cam.Detector.Timesteps, cam.Detector.Width, cam.Detector.Height = 1, 256, 128
		cfg.Cameras = append(cfg.Cameras, cam)
	}
	p := prepared(t, cfg, nil)
	gives, silent := p.cameras()[0], p.cameras()[1]
	gives.source = ingest.NewSupervisor(&asked{gives, frames, p.turns, 2}, gives.cfg.Source.Reconnect, nil, 1)
	silent.source = ingest.NewSupervisor(&asked{silent, 0, p.turns, 2}, silent.cfg.Source.Reconnect, nil, 1)
	stop := running(t, p)
	for deadline := time.Now().Add(60 * time.Second); gives.progress.scored.Load() < frames; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d maps in a minute", gives.progress.scored.Load())
		}
		m := gives.progress.newest()
		if m != nil && (m.Latency.Wait < wait || m.Latency.Total < wait+m.Latency.Encode) {
			t.Fatalf("map %d has latencies %+v, but waited for %v", m.Seq, m.Latency, wait)
		}
	}
	stop()
	if count, n := batches(t, p); count != frames || n != frames {
		t.Errorf("%d frames in %d batches, want one in each of %d", n, count, frames)
	}
}
