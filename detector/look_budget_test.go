package detector

import (
	"testing"
	"time"
)

// lookMachine is a machine with second looks at the price of the encoder and the timesteps.
func lookMachine(m *machine, b *budget, l limits, seconds float64) (looks, frames, changes int) {
	end := m.now.Add(time.Duration(seconds * float64(time.Second)))
	b.look.share = 1
	was := b.look.on
	for m.now.Before(end) {
		look := b.chooseLook(m.now, l)
		n := b.choose(m.now, l)
		encode, score := m.run(n)
		cost := lookCost{}
		if look {
			cost.encode, cost.score = m.run(n)
			encode, score = encode+cost.encode, score+cost.score
			looks++
		}
		if look != was {
			changes++
		}
		was = look
		b.record(encode, score, n, cost, l.latency)
		frames++
	}
	return looks, frames, changes
}

func TestSecondLookAndTimestepsShareTheBudget(t *testing.T) {
	m, b := newMachine(1, 0.1), newBudget()
	looks, frames, _ := lookMachine(m, b, limit200(), 60)
	// Encoding twice takes 60 ms, and a timestep of both 14.8: the rest is for about 7 of them.
	if looks < frames*9/10 || b.current < 4 || b.current > 9 {
		t.Errorf("with 200 ms: %d second looks at %d frames, |T|=%d", looks, frames, b.current)
	}
	m.load = 2.4 // one look and one timestep fit, two do not
	lookMachine(m, b, limit200(), 60)
	looks, frames, changes := lookMachine(m, b, limit200(), 120)
	if looks > frames/10 || changes > 4 {
		t.Errorf("under load: %d second looks at %d frames, %d changes", looks, frames, changes)
	}
	m.load = 1
	lookMachine(m, b, limit200(), 120)
	if looks, frames, _ := lookMachine(m, b, limit200(), 30); looks < frames*9/10 {
		t.Errorf("afterwards: %d second looks at %d frames", looks, frames)
	}
}

func TestSecondLookKeepsUpWithACamera(t *testing.T) {
	for _, tt := range []struct {
		interval time.Duration
		want     bool
	}{{0, true}, {300 * time.Millisecond, true}, {90 * time.Millisecond, false}} {
		m, b := newMachine(1, 0.1), newBudget()
		l := limits{interval: tt.interval, min: 5, max: 5} // |T|=5 takes 69 ms, twice that with a second look
		looks, frames, changes := lookMachine(m, b, l, 30)
		if tt.want && looks < frames*9/10 || !tt.want && looks > frames/10 || changes > 2 {
			t.Errorf("a frame each %v: %d second looks at %d frames, %d changes", tt.interval, looks, frames, changes)
		}
	}
}
