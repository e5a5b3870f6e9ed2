package detector

import (
	"sync/atomic"
	"time"
)

// budget chooses |T| from measured costs, t(|T|) = encode + |T|·step. It takes the largest |T| with which 97 % of the frames
// meet the latency budget and that keeps up with the wanted rate. Costs scatter and machines are shared, so budget works with
// the median of the latest frames and the deviations from it, not with means.
//
// It lowers |T| as soon as three frames in a row exceed the budget. Otherwise it changes |T| at most once per patience
// interval: down when costs have crept up, up when there is room to spare. An increase that proves wrong doubles the
// patience.
type budget struct {
	encode, step *window // seconds, of the latest frames
	deviation    *window // ratio of the measured cost to the expected one
	current      int     // |T|
	reason       Reason
	changed      time.Time // when |T| was chosen last
	raised       bool      // the last change was an increase
	patience     time.Duration
	overruns     int // consecutive frames over the budget
	misses       atomic.Uint64
	look         lookBudget
	changes      atomic.Uint64
}

// Reason is why the detector chose the present |T|.
type Reason string

// The reasons.
const (
	ReasonMeasuring Reason = "measuring" // too few frames have been measured yet
	ReasonBudget    Reason = "budget"    // one more timestep would not meet the latency budget
	ReasonRate      Reason = "rate"      // one more timestep would not keep up with the wanted frame rate
	ReasonLoad      Reason = "load"      // lowered at once because frames were over the budget
	ReasonFloor     Reason = "floor"     // the smallest allowed |T|, although it is over the budget
	ReasonCeiling   Reason = "ceiling"   // the largest allowed |T|
)

const (
	budgetCostFrames    = 32   // frames behind the medians
	budgetMinFrames     = 5    // frames to measure before |T| is chosen
	budgetTailFrames    = 256  // frames behind the tail of the deviations
	budgetQuantile      = 0.97 // share of frames that should meet the budget
	budgetMinTail       = 1.2  // smallest allowance for outliers
	budgetRaiseBelow    = 0.88 // |T| may rise while the cost stays below this share of the limits
	budgetLowerAbove    = 1.08 // |T| falls when the cost exceeds this share of the limits
	budgetOverruns      = 3    // consecutive frames over the budget that lower |T| at once
	budgetEarlyOverruns = 5    // the same within patience after a change
	budgetPatience      = 5 * time.Second
	budgetMaxPatience   = 80 * time.Second
)

func newBudget() *budget {
	return &budget{
		encode: newWindow(budgetCostFrames), step: newWindow(budgetCostFrames), deviation: newWindow(budgetTailFrames), patience: budgetPatience,
		look: newLookBudget(),
	}
}

// limits are the limits that |T| has to meet.
type limits struct {
	latency  time.Duration // of encoding and scoring
	interval time.Duration // engine time available per frame at the wanted rate; 0: no limit
	min, max int           // of |T|
}

// record records the cost of a frame with n timesteps, of which a part is that of a second look.
func (b *budget) record(encode, score time.Duration, n int, look lookCost, latency time.Duration) {
	total := encode + score
	if b.measured() {
		expected := b.wholeCost(n)
		if look != (lookCost{}) {
			expected += b.lookPrice(n)
		}
		b.deviation.add(total.Seconds() / expected)
	}
	b.encode.add((encode - look.encode).Seconds())
	b.step.add((score - look.score).Seconds() / float64(max(1, n)))
	if look != (lookCost{}) {
		b.look.encode.add(look.encode.Seconds())
		b.look.step.add(look.score.Seconds() / float64(max(1, n)))
	}
	if latency <= 0 || total <= latency {
		b.overruns = 0
		return
	}
	b.overruns++
	b.misses.Add(1)
}

// cost returns the median cost of a frame with n timesteps, in seconds, with a second look if there is one at present.
func (b *budget) cost(n int) float64 {
	if b.look.on {
		return b.wholeCost(n) + b.lookPrice(n)
	}
	return b.wholeCost(n)
}

// wholeCost is cost without a second look.
func (b *budget) wholeCost(n int) float64 {
	return b.encode.quantile(0.5) + float64(n)*b.step.quantile(0.5)
}

// choose returns |T| for the next frame.
func (b *budget) choose(now time.Time, l limits) int {
	switch {
	case b.current < l.min || b.current > l.max:
		b.set(now, min(max(b.current, l.min), l.max), ReasonMeasuring)
	case b.overloaded(now) && b.current > l.min:
		b.encode.keep(b.overruns) // the load has changed: forget the frames before
		b.step.keep(b.overruns)
		b.overruns = 0
		n, _ := b.fits(l, 1)
		b.set(now, max(l.min, min(n, b.current-1)), ReasonLoad)
	case !b.measured() || now.Sub(b.changed) < b.patience:
	default:
		b.adjust(now, l)
	}
	return b.current
}

// overloaded reports whether |T| must fall at once.
func (b *budget) overloaded(now time.Time) bool {
	if now.Sub(b.changed) < b.patience {
		return b.overruns >= budgetEarlyOverruns
	}
	return b.overruns >= budgetOverruns
}

// adjust follows slow changes.
func (b *budget) adjust(now time.Time, l limits) {
	fits, reason := b.fits(l, 1)
	roomy, _ := b.fits(l, budgetRaiseBelow)
	loosely, _ := b.fits(l, budgetLowerAbove)
	switch {
	case loosely < b.current:
		b.set(now, fits, reason)
	case roomy > b.current:
		b.set(now, roomy, reason)
	default:
		b.reason = reason
	}
}

// set changes |T|.
func (b *budget) set(now time.Time, n int, reason Reason) {
	rises := n > b.current && b.current > 0
	switch {
	case !rises && b.raised && now.Sub(b.changed) < 2*b.patience && reason == ReasonLoad: // the increase was a mistake
		b.patience = min(2*b.patience, budgetMaxPatience)
	case now.Sub(b.changed) > 2*b.patience:
		b.patience = budgetPatience
	}
	if b.current > 0 && n != b.current {
		b.changes.Add(1)
	}
	b.current, b.reason, b.changed, b.raised = n, reason, now, rises
	if reason == ReasonMeasuring {
		b.changed = time.Time{} // not a choice yet
	}
}

// bounds returns the largest median costs that stay within a share of the limits, in seconds.
func (b *budget) bounds(l limits, share float64) (latency, interval float64) {
	tail := max(b.deviation.quantile(budgetQuantile), budgetMinTail)
	return share * l.latency.Seconds() / tail, share * l.interval.Seconds() / max(b.deviation.mean(), 1)
}

// measured reports whether enough frames have been measured for choices.
func (b *budget) measured() bool { return b.encode.len() >= budgetMinFrames }

// fits returns the largest |T| that stays within a share of the limits, and the limit that applies.
func (b *budget) fits(l limits, share float64) (int, Reason) {
	latency, interval := b.bounds(l, share)
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
