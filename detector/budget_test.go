package detector

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// machine is a simulated machine with its own clock. Every frame takes load · (encode + fixed + |T|·step) with log-normal
// deviations and occasional outliers, like real measurements.
type machine struct {
	random *rand.Rand
	now    time.Time
	load   float64
	jitter float64 // deviation of the logarithm of a frame's cost
}

const (
	simEncode = 30e-3
	simFixed  = 2e-3
	simStep   = 7.4e-3
)

func newMachine(seed uint64, jitter float64) *machine {
	return &machine{random: rand.New(rand.NewPCG(seed, 5)), now: time.Unix(1000, 0), load: 1, jitter: jitter}
}

// run simulates scoring a frame with n timesteps and returns the times for encoding and scoring.
func (m *machine) run(n int) (encode, score time.Duration) {
	stray := m.load * math.Exp(m.jitter*m.random.NormFloat64())
	if m.random.Float64() < 0.005 {
		stray *= 3
	}
	own := func() float64 { return stray * math.Exp(m.jitter/3*m.random.NormFloat64()) }
	encode = time.Duration(own() * simEncode * float64(time.Second))
	score = time.Duration(own() * (simFixed + float64(n)*simStep) * float64(time.Second))
	m.now = m.now.Add(encode + score)
	return encode, score
}

// ideal returns the largest |T| that meets the budget in 97 of 100 frames if the load and the spread are known.
func (m *machine) ideal(limit time.Duration) int {
	tail := math.Exp(1.88 * m.jitter * math.Hypot(1, 1./3))
	return min(25, max(1, int((limit.Seconds()/tail/m.load-simEncode-simFixed)/simStep)))
}

// limit200 returns limits with a budget of 200 ms and no wanted rate.
func limit200() limits { return limits{latency: 200 * time.Millisecond, min: 1, max: 25} }

// simulation holds the results of a run.
type simulation struct {
	frames, met int         // frames, and frames within the budget
	changes     []time.Time // changes of |T|
	used, ideal float64     // sums of |T|
}

// drive runs a controller for the given time with a camera that delivers a frame per interval.
func drive(m *machine, b *budget, l limits, every, length time.Duration, sim *simulation) {
	for end := m.now.Add(length); m.now.Before(end); {
		begin, before := m.now, b.current
		n := b.choose(m.now, l)
		if before > 0 && n != before {
			sim.changes = append(sim.changes, m.now)
		}
		encode, score := m.run(n)
		b.record(encode, score, n, lookCost{}, l.latency)
		sim.frames++
		if encode+score <= l.latency {
			sim.met++
		}
		sim.used += float64(n)
		sim.ideal += float64(m.ideal(l.latency))
		if next := begin.Add(every); m.now.Before(next) {
			m.now = next
		}
	}
}

func TestBudgetIsMetWhileTheLoadDoublesAndHalves(t *testing.T) {
	for _, jitter := range []float64{0.05, 0.15, 0.25} {
		for seed := range uint64(8) {
			t.Run(fmt.Sprintf("jitter=%v/seed=%d", jitter, seed), func(t *testing.T) {
				m, b := newMachine(seed, jitter), newBudget()
				var all simulation
				for i := range 10 {
					m.load = 1 + float64(i%2)
					sim := simulation{}
					drive(m, b, limit200(), 100*time.Millisecond, 30*time.Second, &sim)
					all.frames, all.met = all.frames+sim.frames, all.met+sim.met
					all.used, all.ideal = all.used+sim.used, all.ideal+sim.ideal
				}
				met, used := float64(all.met)/float64(all.frames), all.used/all.ideal
				t.Logf("%.1f %% of %d frames met the budget, |T| was %.0f %% of the ideal", 100*met, all.frames, 100*used)
				if met < 0.95 {
					t.Errorf("%.1f %% of the frames met the budget, want 95 %%", 100*met)
				}
				if used < 0.4 {
					t.Errorf("|T| was %.0f %% of the ideal, want 40 %%", 100*used)
				}
			})
		}
	}
}

func TestBudgetDoesNotFlap(t *testing.T) {
	for _, jitter := range []float64{0.05, 0.15, 0.25} {
		for _, load := range []float64{0.5, 1, 2} {
			for seed := range uint64(8) {
				m, b, sim := newMachine(seed, jitter), newBudget(), simulation{}
				m.load = load
				drive(m, b, limit200(), 100*time.Millisecond, 10*time.Minute, &sim)
				closest := time.Hour
				for i := 1; i < len(sim.changes); i++ {
					closest = min(closest, sim.changes[i].Sub(sim.changes[i-1]))
				}
				t.Logf("jitter %v, load %v, seed %d: %d changes in 10 min, closest %v, %.1f %% met",
					jitter, load, seed, len(sim.changes), closest, 100*float64(sim.met)/float64(sim.frames))
				if closest < 5*time.Second {
					t.Errorf("jitter %v, load %v, seed %d: changed twice within %v", jitter, load, seed, closest)
				}
			}
		}
	}
}

// The controller reacts to a rising load within a few frames and to a falling one after some time.
func TestBudgetIsQuickDownAndSlowUp(t *testing.T) {
	m, b := newMachine(1, 0.1), newBudget()
	var sim simulation
	drive(m, b, limit200(), 100*time.Millisecond, 30*time.Second, &sim)
	before := b.current
	m.load = 2.5
	sim = simulation{}
	drive(m, b, limit200(), 100*time.Millisecond, 2*time.Second, &sim)
	if b.current >= before*2/3 || b.reason != ReasonLoad {
		t.Errorf("|T| = %d (%s) 2 s after the load rose, was %d", b.current, b.reason, before)
	}
	low := b.current
	m.load = 1
	drive(m, b, limit200(), 100*time.Millisecond, 2*time.Second, &sim)
	if b.current > low {
		t.Errorf("|T| rose to %d within 2 s, want patience", b.current)
	}
	drive(m, b, limit200(), 100*time.Millisecond, 28*time.Second, &sim)
	if b.current < before-2 || b.reason != ReasonBudget {
		t.Errorf("|T| = %d (%s) half a minute after the load fell, was %d", b.current, b.reason, before)
	}
}

func TestBudgetReasonsAndBounds(t *testing.T) {
	for _, tt := range []struct {
		name  string
		edit  func(*limits)
		least int
		most  int
		want  Reason
	}{
		{"budget", func(*limits) {}, 15, 19, ReasonBudget}, // (200/1.2 - 32) / 7.4 = 18.2
		{"ceiling", func(l *limits) { l.max = 6 }, 6, 6, ReasonCeiling},
		{"all", func(l *limits) { l.latency = time.Second }, 25, 25, ReasonCeiling},
		{"floor", func(l *limits) { l.latency, l.min = 40*time.Millisecond, 3 }, 3, 3, ReasonFloor},
		{"rate", func(l *limits) { l.interval = 100 * time.Millisecond }, 7, 9, ReasonRate}, // (100 - 32) / 7.4 = 9.2
		{"nothing left", func(l *limits) { l.interval = time.Millisecond }, 1, 1, ReasonFloor},
	} {
		m, b, l := newMachine(3, 0.02), newBudget(), limit200()
		tt.edit(&l)
		if n := b.choose(m.now, l); n != l.min || b.reason != ReasonMeasuring {
			t.Errorf("%s: starts with |T| = %d (%s), want %d (%s)", tt.name, n, b.reason, l.min, ReasonMeasuring)
		}
		drive(m, b, l, 100*time.Millisecond, 30*time.Second, &simulation{})
		if b.current < tt.least || b.current > tt.most || b.reason != tt.want {
			t.Errorf("%s: |T| = %d (%s), want %d … %d (%s)", tt.name, b.current, b.reason, tt.least, tt.most, tt.want)
		}
	}
}

// On a machine where |T| above 8 costs disproportionately more, the controller must not keep trying to rise.
func TestBudgetLearnsPatience(t *testing.T) {
	m, b, rises, last := newMachine(2, 0.05), newBudget(), 0, 0
	for end := m.now.Add(5 * time.Minute); m.now.Before(end); {
		n := b.choose(m.now, limit200())
		if n > last && last > 0 {
			rises++
		}
		last = n
		encode, score := m.run(n)
		if n > 8 {
			score *= 3
			m.now = m.now.Add(score * 2 / 3)
		}
		b.record(encode, score, n, lookCost{}, 200*time.Millisecond)
	}
	if rises > 15 {
		t.Errorf("|T| rose %d times in 5 min, want at most 15, with growing pauses", rises)
	}
}

func TestWindow(t *testing.T) {
	w := newWindow(5)
	if w.quantile(0.5) != 0 || w.mean() != 0 {
		t.Error("an empty window has a quantile or mean other than 0")
	}
	for i := range 8 { // 3 … 7 remain
		w.add(float64(i))
	}
	if w.len() != 5 || w.quantile(0) != 3 || w.quantile(0.5) != 5 || w.quantile(1) != 7 || w.mean() != 5 {
		t.Errorf("window %v: quantiles %v, %v, %v, mean %v", w.values, w.quantile(0), w.quantile(0.5), w.quantile(1), w.mean())
	}
	w.keep(2)
	w.add(1)
	if w.len() != 3 || w.quantile(0) != 1 || w.quantile(0.5) != 6 || w.quantile(0.99) != 7 {
		t.Errorf("after keep(2) and add(1): %v", w.sorted)
	}
}

// Two detectors share an engine: each may use the time that the other leaves, and at least half.
func TestEngineLoad(t *testing.T) {
	var s EngineLoad
	a, b := &Detector{}, &Detector{}
	now := time.Unix(1000, 0)
	if got := s.available(a, now); got != 1 {
		t.Errorf("alone: %v available, want 1", got)
	}
	for range 300 { // 30 s; a works 20 % of the time, b 70 %
		now = now.Add(100 * time.Millisecond)
		s.add(a, now, 20*time.Millisecond)
		s.add(b, now, 70*time.Millisecond)
	}
	if got := s.available(b, now); got < 0.77 || got > 0.83 {
		t.Errorf("b: %v available, want 0.8", got)
	}
	if got := s.available(a, now); got != 0.5 {
		t.Errorf("a: %v available, want half, because b used more than its share", got)
	}
	now = now.Add(time.Minute) // b no longer works
	s.add(a, now, 200*time.Millisecond)
	if len(s.mu.usage) != 1 { // even if available is never called because |T| is fixed
		t.Errorf("%d detectors are kept, want 1", len(s.mu.usage))
	}
	if got := s.available(a, now); got != 1 {
		t.Errorf("a: %v available, want 1", got)
	}
}
