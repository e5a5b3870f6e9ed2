package ort

import (
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/models"
)

// engine opens the default bundle.
func engine(t testing.TB, cfg detector.Config) *Engine {
	t.Helper()
	b, err := models.Open(models.Embedded)
	if err != nil {
		t.Fatal(err)
	}
	e, err := OpenEngine(b, cfg, Options{Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Errorf("Close() = %v", err)
		}
	})
	return e
}

// noise returns a picture that looks like no road.
func noise(seed uint64, width, height int) *ingest.Frame {
	r := rand.New(rand.NewPCG(seed, 1))
	f := ingest.NewFrame(width, height)
	for i := range f.Pix {
		f.Pix[i] = byte(r.Uint32())
	}
	f.Camera, f.Seq = "yard", seed
	return f
}

// The controller runs on the real engine while other work keeps every core busy. No assertion depends on the machine's
// speed.
func TestBudgetOnTheRealEngine(t *testing.T) {
	stop := make(chan struct{})
	var load sync.WaitGroup
	defer load.Wait()
	defer close(stop)
	for range runtime.GOMAXPROCS(0) {
		load.Go(func() {
			for x := 1.0; ; x *= 1.0000001 {
				select {
				case <-stop:
					return
				default:
				}
			}
		})
	}
	cfg := detector.DefaultConfig()
	cfg.Timesteps, cfg.LatencyBudget, cfg.Max = 0, time.Hour, 12
	d := engine(t, cfg).Detector
	score := func(n int) (m *detector.Map) {
		t.Helper()
		for i := range n {
			var err error
			if m, err = d.Score(t.Context(), noise(uint64(i), 256, 128)); err != nil {
				t.Fatal(err)
			}
		}
		return m
	}
	first, last := score(1), score(8)
	if len(first.Timesteps) != 1 || first.Choice.Reason != detector.ReasonMeasuring {
		t.Errorf("starts with |T| = %d (%s), want 1 (measuring)", len(first.Timesteps), first.Choice.Reason)
	}
	if len(last.Timesteps) != 12 || last.Choice.Reason != detector.ReasonCeiling || last.Choice.Missed {
		t.Errorf("with an hour for each frame: |T| = %d, %+v, want 12 (ceiling)", len(last.Timesteps), last.Choice)
	}
	if got := d.ChoiceCounts(); got.Misses != 0 || got.Changes != 1 {
		t.Errorf("%+v, want one change and no miss", got)
	}
	knob := d.Control().Get()
	knob.Budget, knob.Min = time.Nanosecond, 2
	if err := d.Control().Set(knob); err != nil {
		t.Fatal(err)
	}
	last = score(10)
	if len(last.Timesteps) != 2 || !last.Choice.Missed || d.ChoiceCounts().Misses != 10 {
		t.Errorf("with a nanosecond: |T| = %d, %+v, %d misses, want 2 and 10 misses", len(last.Timesteps), last.Choice, d.ChoiceCounts().Misses)
	}
	if err := d.Control().Set(detector.Knob{Timesteps: 3}); err != nil {
		t.Fatal(err)
	}
	if m := score(1); m.Choice != nil || len(m.Timesteps) != 3 || d.ChoiceCounts().Misses != 10 {
		t.Errorf("set by hand: |T| = %d, choice %+v", len(m.Timesteps), m.Choice)
	}
}
