package detector

import (
	"sync/atomic"
	"time"
)

// budget chooses |T| from measured costs, t(|T|) = encode + |T|·step: the largest whose frames meet the latency budget 97
// times in 100, and that leaves time for the wanted rate. Costs scatter and machines are shared, so it works with the median
// of the latest frames and with how far frames stray from it, not with means.
//
// It goes down as soon as three frames in a row were over the budget. Otherwise it changes |T| at most once in patience:
// down when costs have crept up, up when there is room to spare. A rise that proves wrong doubles the patience.
type budget struct {
	encode, step *window // seconds, of the latest frames
	stray        *window // measured cost in parts of the expected
	current      int
	reason       Reason
	changed      time.Time
	rose         bool // the last change went up
	patience     time.Duration
	over         int // frames in a row over the budget
	misses       atomic.Uint64
	changes      atomic.Uint64
}

// Reason says why |T| is what it is when the detector chooses it.
type Reason string

// The reasons.
const (
	ReasonMeasuring Reason = "measuring" // too few frames yet
	ReasonBudget    Reason = "budget"    // one timestep more would not meet the latency budget
	ReasonRate      Reason = "rate"      // one timestep more would not keep up with the wanted frame rate
	ReasonLoad      Reason = "load"      // frames were over the budget: lowered at once
	ReasonFloor     Reason = "floor"     // the smallest allowed, although it is over the budget
	ReasonCeiling   Reason = "ceiling"   // the largest allowed
)

const (
	budgetFrames   = 32   // frames behind the medians
	budgetFewest   = 5    // frames before |T| is chosen
	budgetStrays   = 256  // frames behind the tail
	budgetMet      = 0.97 // share of frames that shall meet the budget
	budgetTail     = 1.2  // smallest allowance for stray frames
	budgetRoom     = 0.88 // share of the limits up to which |T| may rise
	budgetSlack    = 1.08 // share of the limits beyond which it goes down
	budgetOver     = 3    // frames over the budget, in a row, that are no accident
	budgetSoon     = 5    // the same, when |T| has changed just now
	budgetPatience = 5 * time.Second
	budgetMost     = 80 * time.Second // of patience
)

func newBudget() *budget {
	return &budget{
		encode: newWindow(budgetFrames), step: newWindow(budgetFrames), stray: newWindow(budgetStrays), patience: budgetPatience,
	}
}

// limits are what |T| has to meet.
type limits struct {
	latency  time.Duration // of encoding and scoring
	interval time.Duration // the engine's time for one frame at the wanted rate; 0: any
	min, max int           // of |T|
}

// measured notes what a frame cost, of which n timesteps were scored.
func (b *budget) measured(encode, score time.Duration, n int, latency time.Duration) {
	total := encode + score
	if b.encode.len() >= budgetFewest {
		b.stray.add(total.Seconds() / b.cost(n))
	}
	b.encode.add(encode.Seconds())
	b.step.add(score.Seconds() / float64(max(1, n)))
	if latency <= 0 || total <= latency {
		b.over = 0
		return
	}
	b.over++
	b.misses.Add(1)
}

// cost is what a frame with n timesteps takes, in seconds: as many take more as take less.
func (b *budget) cost(n int) float64 { return b.encode.quantile(0.5) + float64(n)*b.step.quantile(0.5) }

// choose returns |T| for the next frame.
func (b *budget) choose(now time.Time, l limits) int {
	switch {
	case b.current < l.min || b.current > l.max:
		b.set(now, min(max(b.current, l.min), l.max), ReasonMeasuring)
	case b.overloaded(now) && b.current > l.min:
		b.encode.keep(b.over) // the load is another one: forget what was before
		b.step.keep(b.over)
		b.over = 0
		n, _ := b.fits(l, 1)
		b.set(now, max(l.min, min(n, b.current-1)), ReasonLoad)
	case b.encode.len() < budgetFewest || now.Sub(b.changed) < b.patience:
	default:
		b.adjust(now, l)
	}
	return b.current
}

// overloaded reports that |T| must go down at once.
func (b *budget) overloaded(now time.Time) bool {
	if now.Sub(b.changed) < b.patience {
		return b.over >= budgetSoon
	}
	return b.over >= budgetOver
}

// adjust follows slow changes.
func (b *budget) adjust(now time.Time, l limits) {
	fits, why := b.fits(l, 1)
	roomy, _ := b.fits(l, budgetRoom)
	loosely, _ := b.fits(l, budgetSlack)
	switch {
	case loosely < b.current:
		b.set(now, fits, why)
	case roomy > b.current:
		b.set(now, roomy, why)
	default:
		b.reason = why
	}
}

// set changes |T|.
func (b *budget) set(now time.Time, n int, why Reason) {
	rises := n > b.current && b.current > 0
	switch {
	case !rises && b.rose && now.Sub(b.changed) < 2*b.patience && why == ReasonLoad: // that rise was a mistake
		b.patience = min(2*b.patience, budgetMost)
	case now.Sub(b.changed) > 2*b.patience:
		b.patience = budgetPatience
	}
	if b.current > 0 && n != b.current {
		b.changes.Add(1)
	}
	b.current, b.reason, b.changed, b.rose = n, why, now, rises
	if why == ReasonMeasuring {
		b.changed = time.Time{} // no choice yet
	}
}

// fits returns the largest |T| that stays within a share of the limits, and what limits it.
func (b *budget) fits(l limits, share float64) (int, Reason) {
	tail := max(b.stray.quantile(budgetMet), budgetTail)
	latency := share * l.latency.Seconds() / tail
	interval := share * l.interval.Seconds() / max(b.stray.mean(), 1)
	for n := l.max; n >= l.min; n-- {
		c := b.cost(n)
		if c > latency || l.interval > 0 && c > interval {
			continue
		}
		switch {
		case n == l.max:
			return n, ReasonCeiling
		case b.cost(n+1) > latency:
			return n, ReasonBudget
		}
		return n, ReasonRate
	}
	return l.min, ReasonFloor
}
