package ort_test

import (
	"context"
	"testing"
	"time"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/detector/ort"
	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/models"
)

// What a detector reports about its choices of |T| is what has happened, while a second detector, which always has a frame,
// comes and goes.
func TestBudgetUnderARealLoad(t *testing.T) {
	b := underLoad(t, 2, time.Second)
	if got := b.det.ChoiceCounts(); got.Changes != uint64(b.changes) || got.Misses != uint64(b.frames-b.met) {
		t.Errorf("ChoiceCounts() = %+v, want %d changes and %d misses", got, b.changes, b.frames-b.met)
	}
}

// BenchmarkBudgetUnderARealLoad takes six minutes: the load of this machine doubles and halves eight times. It prints the
// share of the frames that met the budget, and the shortest time between two changes of |T| at constant load. Package
// pipeline asserts both on a simulated clock.
func BenchmarkBudgetUnderARealLoad(b *testing.B) {
	for b.Loop() {
		run := underLoad(b, 8, 45*time.Second)
		b.ReportMetric(100*float64(run.met)/float64(run.frames), "%met")
		b.ReportMetric(float64(run.changes), "changes")
		b.ReportMetric(run.closest.Seconds(), "s-closest")
	}
}

// underLoad lets a detector choose |T| for a camera, with a rival in every second phase.
func underLoad(t testing.TB, phases int, length time.Duration) *budgetRun {
	t.Helper()
	frames := thinned(t, demoClip(t), 40)
	b := newBudgetRun(t, frames)
	rival := budgetDetector(t, detector.Config{Timesteps: 5, Part: detector.PartCompound, SecondLook: detector.LookOff, Width: 768, Height: 576})
	for i := range phases {
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		if i%2 == 1 {
			go func() { done <- busy(ctx, rival, frames) }()
		} else {
			done <- nil
		}
		b.phase(i%2 == 1, length)
		stop()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("budget %v met in %.2f %% of %d frames; %d changes of |T|, closest at constant load %v",
		b.budget, 100*float64(b.met)/float64(b.frames), b.frames, b.changes, b.closest)
	return b
}

// budgetDetector is a detector with an engine of its own.
func budgetDetector(t testing.TB, cfg detector.Config) *detector.Detector {
	t.Helper()
	bundle, err := models.Open(models.Embedded)
	if err != nil {
		t.Fatal(err)
	}
	engine, err := ort.OpenEngine(bundle, cfg, ort.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := engine.Close(); err != nil {
			t.Error(err)
		}
	})
	return engine.Detector
}

// busy scores frames one after the other until ctx ends.
func busy(ctx context.Context, det *detector.Detector, frames []*ingest.Frame) error {
	for i := 0; ctx.Err() == nil; i++ {
		if _, err := det.Score(context.WithoutCancel(ctx), copied(frames[i%len(frames)])); err != nil {
			return err
		}
	}
	return nil
}

// budgetRun is a camera that delivers at a steady rate, before a detector that chooses |T|.
type budgetRun struct {
	t        testing.TB
	det      *detector.Detector
	clip     []*ingest.Frame
	budget   time.Duration
	interval time.Duration

	frames, met, changes, last int
	closest                    time.Duration // between two changes in one phase
}

func newBudgetRun(t testing.TB, frames []*ingest.Frame) *budgetRun {
	t.Helper()
	cfg := detector.DefaultConfig()
	cfg.Timesteps, cfg.LatencyBudget, cfg.Width, cfg.Height = 0, time.Hour, 768, 576
	b := &budgetRun{t: t, det: budgetDetector(t, cfg), clip: frames, closest: time.Hour}
	var one []time.Duration // what a frame costs at |T|=1 on this machine
	for i := range 12 {
		knob := detector.Knob{Timesteps: 1}
		if err := b.det.Control().Set(knob); err != nil {
			t.Fatal(err)
		}
		m := b.score(i)
		one = append(one, m.Latency.Encode+m.Latency.Score)
	}
	// Room for some timesteps beside a rival that takes half of the machine.
	b.budget = (percentile(one[2:], 0.5) * 7 / 2).Round(time.Millisecond)
	b.interval = b.budget * 3 / 2
	if err := b.det.Control().Set(detector.Knob{Budget: b.budget}); err != nil {
		t.Fatal(err)
	}
	b.det.SetInterval(b.interval)
	return b
}

// score makes the map of a frame of the clip.
func (b *budgetRun) score(i int) *detector.Map {
	b.t.Helper()
	f := copied(b.clip[i%len(b.clip)])
	f.Captured = time.Now()
	m, err := b.det.Score(b.t.Context(), f)
	if err != nil {
		b.t.Fatal(err)
	}
	return m
}

// phase scores frames for a while under one load.
func (b *budgetRun) phase(rival bool, length time.Duration) {
	b.t.Helper()
	tick := time.NewTicker(b.interval)
	defer tick.Stop()
	begin, frames, met, changes, sum := time.Now(), b.frames, b.met, b.changes, 0
	var steps []time.Duration
	var changed time.Time
	var why detector.Reason
	for time.Since(begin) < length || b.frames < frames+12 {
		<-tick.C
		m := b.score(b.frames)
		n, took := len(m.Timesteps), m.Latency.Encode+m.Latency.Score
		if m.Choice == nil || m.Choice.Missed != (took > b.budget) {
			b.t.Fatalf("a frame of %v for %v: %+v", took, b.budget, m.Choice)
		}
		b.frames++
		if !m.Choice.Missed {
			b.met++
		}
		if b.last > 0 && n != b.last {
			b.changes++
			if !changed.IsZero() {
				b.closest = min(b.closest, time.Since(changed))
			}
			changed = time.Now()
		}
		b.last, why = n, m.Choice.Reason
		sum += n
		steps = append(steps, took/time.Duration(n+3))
	}
	n := b.frames - frames
	b.t.Logf("rival %-5v %3d frames, %5.1f %% within %v, mean |T| %4.1f (%s at last), %d changes, %v a timestep", rival, n,
		100*float64(b.met-met)/float64(n), b.budget, float64(sum)/float64(n), why, b.changes-changes,
		percentile(steps, 0.5).Round(100*time.Microsecond))
}

// copied returns a frame of its own: the detector keeps none.
func copied(f *ingest.Frame) *ingest.Frame {
	out := ingest.NewFrame(f.Width, f.Height)
	copy(out.Pix, f.Pix)
	return out
}
