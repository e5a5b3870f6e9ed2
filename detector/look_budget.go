package detector

import "time"

// lookBudget decides whether there is time for second looks. They come before timesteps: |T| takes what they leave.
type lookBudget struct {
	encode, step *window // seconds of the latest second looks
	share        float64 // pixels of a second look, as a multiple of those of the first: its price until it is measured
	on           bool
	changed      time.Time
	patience     time.Duration
}

func newLookBudget() lookBudget {
	return lookBudget{encode: newWindow(budgetCostFrames), step: newWindow(budgetCostFrames), patience: budgetPatience}
}

// lookCost is what the second look took of a frame's encoding and scoring.
type lookCost struct{ encode, score time.Duration }

// lookPrice returns the median cost of a second look with n timesteps, in seconds.
func (b *budget) lookPrice(n int) float64 {
	if b.look.encode.len() < budgetMinFrames {
		return b.look.share * b.wholeCost(n)
	}
	return b.look.encode.quantile(0.5) + float64(n)*b.look.step.quantile(0.5)
}

// chooseLook returns whether there is time for a second look at the next frame, with the fewest timesteps. Without limits
// there always is. Changes are as slow as those of |T|.
func (b *budget) chooseLook(now time.Time, l limits) bool {
	look, early := &b.look, now.Sub(b.look.changed) < b.look.patience
	switch {
	case l.latency <= 0 && l.interval <= 0:
		look.on = true
	case look.on && !early && !b.lookFits(l, budgetLowerAbove), look.on && b.overruns >= budgetEarlyOverruns && b.current <= l.min:
		if now.Sub(look.changed) < 2*look.patience { // it was a mistake
			look.patience = min(2*look.patience, budgetMaxPatience)
		}
		look.on, look.changed = false, now
	case !look.on && !early && b.measured() && b.lookFits(l, budgetRaiseBelow):
		if now.Sub(look.changed) > 2*look.patience {
			look.patience = budgetPatience
		}
		look.on, look.changed = true, now
	}
	return look.on
}

// lookFits reports whether a frame with a second look and the fewest timesteps stays within a share of the limits.
func (b *budget) lookFits(l limits, share float64) bool {
	latency, interval := b.bounds(l, share)
	c := b.wholeCost(l.min) + b.lookPrice(l.min)
	return (l.latency <= 0 || c <= latency) && (l.interval <= 0 || c <= interval)
}
