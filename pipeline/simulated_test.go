package pipeline

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/detector/diffusion"
	"github.com/oodcast/oodcast/detector/events"
	"github.com/oodcast/oodcast/detector/ort"
	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/models"
	"github.com/oodcast/oodcast/publish/schema"
)

// machine is a simulated computer: encoding and scoring sleep for as long as they would take, on the clock of a synctest
// bubble. Everything else in these tests is the real pipeline and the real detector.
type machine struct {
	encode, step time.Duration // for a frame, and for each of its timesteps

	mu     sync.Mutex
	load   float64 // factor on all times
	random *rand.Rand
	jitter float64 // deviation of a time from its mean, as a factor
}

func newMachine(encode, step time.Duration) *machine {
	return &machine{encode: encode, step: step, load: 1, random: rand.New(rand.NewPCG(1, 2))}
}

func (m *machine) setLoad(load float64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.load = load
}

func (m *machine) work(d time.Duration) {
	m.mu.Lock()
	took := float64(d) * m.load * (1 + m.jitter*m.random.NormFloat64())
	m.mu.Unlock()
	time.Sleep(time.Duration(took))
}

const simulatedStride = 32 // pixels of a token

// Encode makes features that are zero: what is tested is when maps are made, not what they show.
func (m *machine) Encode(ctx context.Context, _ *ingest.Frame, w, h int) (*detector.Encoding, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.work(m.encode)
	w, h = w/simulatedStride, h/simulatedStride
	return &detector.Encoding{
		Width: w, Height: h, Channels: 1, LogitsWidth: w, LogitsHeight: h, Classes: 1,
		Features: make([]float32, w*h), LSE: make([]float32, w*h), Guide: make([]float32, 3*w*h),
	}, nil
}

func (m *machine) ScoreTo(dst, _ []float32, _ int, timesteps []int) error {
	m.work(time.Duration(len(timesteps)) * m.step)
	clear(dst)
	return nil
}

func (m *machine) Close() error { return nil }

// engine returns a loaded bundle that runs on the machine.
func (m *machine) engine(*models.Bundle, detector.Config) (*engine, error) {
	manifest := models.DefaultManifest()
	manifest.Name = "simulated"
	manifest.Encoder = models.EncoderSpec{
		Architecture: "simulated", Features: "none@32", Channels: 1, Stride: simulatedStride, LogitsStride: simulatedStride,
		Classes: []string{"all"}, Size: models.Size{Width: 256, Height: 128},
	}
	manifest.Diffusion.Timesteps = diffusion.Spread(100, 330, 25)
	cal := detector.Calibration{
		Format: detector.CalibrationFormat, Timesteps: manifest.Diffusion.Timesteps,
		LSE: detector.Moments{Std: 1, Min: -1, Max: 1},
	}
	for i := range cal.Timesteps {
		row := make([]float64, len(cal.Timesteps))
		row[i] = 1
		cal.Covariance = append(cal.Covariance, row)
		cal.Mean, cal.Min, cal.Max = append(cal.Mean, 0), append(cal.Min, -1), append(cal.Max, 1)
	}
	return &engine{
		bundle: manifest.Name, provider: ort.CPU, close: func() error { return nil },
		newDetector: func(cfg detector.Config) (*detector.Detector, error) {
			return detector.New(m, m, manifest, cal, "cpu", cfg)
		},
	}, nil
}

// clockwork is a camera that delivers a frame at every tick, on the simulated clock.
type clockwork struct {
	name  string
	pool  *ingest.Pool
	every time.Duration
}

func (s *clockwork) Run(ctx context.Context, sink ingest.Sink) error {
	tick := time.NewTicker(s.every)
	defer tick.Stop()
	for seq := uint64(0); ; seq++ {
		select {
		case now := <-tick.C:
			f := s.pool.TryGet(256, 128)
			if f == nil {
				continue
			}
			f.Camera, f.Seq, f.Captured = s.name, seq, now
			if err := sink(ctx, f); err != nil {
				return err
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// recorder is an outlet that keeps maps and events.
type recorder struct {
	mu     sync.Mutex
	maps   []*detector.Map
	events []events.Event
}

func (r *recorder) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

func (r *recorder) Map(m *detector.Map) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.maps = append(r.maps, m)
}

func (r *recorder) Events(seen events.Observation) []events.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, seen.Events...)
	return seen.Events
}

// of returns the maps of one camera.
func (r *recorder) of(camera string) []*detector.Map {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(r.maps), func(m *detector.Map) bool { return m.Camera != camera })
}

func (r *recorder) WaitReady(context.Context) error { return nil }
func (r *recorder) AddCamera(schema.Camera) error   { return nil }
func (r *recorder) RemoveCamera(string) error       { return nil }
func (r *recorder) StatusChanged()                  {}
func (r *recorder) Frame(f *ingest.Frame)           { f.Release() }
func (r *recorder) FramesHeld() int                 { return 0 }

// simulate runs cameras of the given intervals on a machine for a while of simulated time, and returns the pipeline after
// its end and what it told.
func simulate(
	t *testing.T, m *machine, intervals map[string]time.Duration, scoring detector.Config, length time.Duration, during func(),
) (*Pipeline, *recorder) {
	t.Helper()
	seen := &recorder{}
	cfg := Config{Site: "test", Batch: DefaultBatch()}
	for name := range intervals {
		cam := testCamera(name)
		cam.Detector = scoring
		cfg.Cameras = append(cfg.Cameras, cam)
	}
	p := newPipeline(Outlets{seen}, WithLogger(slog.New(slog.DiscardHandler)),
		WithSources(func(cfg ingest.Config, pool *ingest.Pool, _ bool) (ingest.Source, error) {
			return &clockwork{cfg.Name, pool, intervals[cfg.Name]}, nil
		}))
	p.engines = &engines{open: m.engine, log: p.log, loaded: map[string]*engine{}}
	if err := p.prepareCameras(cfg); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(t.Context(), length)
	defer stop()
	if during != nil {
		go during()
	}
	if err := p.Run(ctx); err != nil {
		t.Fatal(err)
	}
	for _, c := range p.cameras() {
		if n := c.pool.InFlight(); n != 0 {
			t.Errorf("camera %s: %d frames are still out", c.Name(), n)
		}
	}
	return p, seen
}

// The age of maps stays flat while scoring takes several times as long as the camera's interval: a frame waits for the turn
// of at most one interval, because the newest frame is scored, and then it is scored. Without dropping frames the age
// would grow with every map.
func TestLatencyStaysFlat(t *testing.T) {
	for _, slowdown := range []int{1, 2, 5, 20} {
		synctest.Test(t, func(t *testing.T) {
			const interval = 40 * time.Millisecond
			m := newMachine(20*time.Millisecond, time.Duration(slowdown)*interval-20*time.Millisecond)
			m.jitter = 0.05
			scoring := detector.DefaultConfig()
			scoring.Timesteps = 1
			p, seen := simulate(t, m, map[string]time.Duration{"clock": interval}, scoring, time.Minute, nil)
			maps := seen.of("clock")
			if want := int(time.Minute/interval) / slowdown * 8 / 10; len(maps) < want {
				t.Fatalf("slowdown %d: %d maps in a minute, want %d", slowdown, len(maps), want)
			}
			var ages, work []time.Duration
			for _, m := range maps {
				ages, work = append(ages, m.Latency.Total), append(work, m.Latency.Encode+m.Latency.Score)
			}
			p95, bar := percentile(ages, 0.95), interval*3/2+percentile(work, 0.95)
			if p95 > bar {
				t.Errorf("slowdown %d: p95 of the age is %v, more than 1.5 intervals and the scoring, %v", slowdown, p95, bar)
			}
			half := len(ages) / 2
			if first, then := percentile(ages[:half], 0.5), percentile(ages[half:], 0.5); then > first+interval/2 {
				t.Errorf("slowdown %d: the age grows from %v to %v", slowdown, first, then)
			}
			if dropped := p.cameras()[0].frames.Dropped(); slowdown > 1 && dropped < uint64(len(maps)) {
				t.Errorf("slowdown %d: %d frames were overtaken by %d maps", slowdown, dropped, len(maps))
			}
		})
	}
}

// A latency budget is met in 95 of 100 frames and |T| does not flap, while the load doubles and halves.
func TestBudgetUnderLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const budget, phase, phases = 120 * time.Millisecond, 30 * time.Second, 8
		m := newMachine(30*time.Millisecond, 5*time.Millisecond)
		m.jitter = 0.05
		scoring := detector.DefaultConfig()
		scoring.Timesteps, scoring.LatencyBudget = 0, budget
		_, seen := simulate(t, m, map[string]time.Duration{"yard": 200 * time.Millisecond}, scoring, phases*phase, func() {
			for i := range phases {
				m.setLoad(1 + float64(i%2))
				time.Sleep(phase)
			}
		})
		maps := seen.of("yard")
		met, used := 0, map[int]int{}
		var changes []time.Time
		for i, m := range maps {
			if m.Latency.Encode+m.Latency.Score <= budget {
				met++
			}
			used[len(m.Timesteps)]++
			if i > 0 && len(m.Timesteps) != len(maps[i-1].Timesteps) {
				changes = append(changes, m.Captured)
			}
		}
		t.Logf("%d of %d frames within %v, |T| %v, %d changes", met, len(maps), budget, used, len(changes))
		if 100*met < 95*len(maps) || len(maps) < 1000 {
			t.Errorf("%d of %d frames met the budget, want 95 of 100", met, len(maps))
		}
		if len(changes) < phases-1 {
			t.Errorf("|T| changed %d times, want it to follow the load", len(changes))
		}
		for i := 1; i < len(changes); i++ {
			if gap := changes[i].Sub(changes[i-1]); gap < 5*time.Second {
				t.Errorf("|T| changed twice within %v", gap)
			}
		}
	})
}

// Cameras of 100 and 200 frames a second, far more than can be scored, do not starve one of 2.
func TestFastCameraDoesNotStarveSlowOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		scoring := detector.DefaultConfig()
		scoring.Timesteps = 5
		p, seen := simulate(t, newMachine(20*time.Millisecond, 10*time.Millisecond), map[string]time.Duration{
			"fast": 10 * time.Millisecond, "faster": 5 * time.Millisecond, "slow": 500 * time.Millisecond,
		}, scoring, 30*time.Second, nil)
		for _, c := range p.cameras() {
			if lost := c.frames.Dropped(); (lost > 0) != (c.Name() != "slow") {
				t.Errorf("camera %s: %d frames were overtaken", c.Name(), lost)
			}
		}
		if n := len(seen.of("slow")); n < 58 { // of 59 that it delivers before the last tick
			t.Errorf("the slow camera has %d maps of 59 frames", n)
		}
		// The two that always have a frame waiting take turns, whatever their rates.
		if a, b := len(seen.of("fast")), len(seen.of("faster")); a-b > 2 || b-a > 2 || a < 150 {
			t.Errorf("%d and %d maps of two cameras that always have a frame", a, b)
		}
	})
}
