package detector

import (
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/oodcast/oodcast/detector/diffusion"
)

// ErrSetting says that a setting is out of the range that the bundle offers. Nothing was changed.
var ErrSetting = errors.New("setting out of range")

// Knob is what may be turned while a detector runs.
type Knob struct {
	// Timesteps is |T|: the first so many of the bundle's order. 0 leaves the choice to Budget or List.
	Timesteps int `json:"timesteps"`
	// List names the timesteps instead.
	List []int `json:"list,omitempty"`
	// Budget, when Timesteps is 0 and List is empty, lets the detector choose the largest |T| whose encoding and
	// scoring stay below it.
	Budget time.Duration `json:"latency_budget,omitempty"`
	// Threshold is the value above which a map is anomalous; 0 stands for the calibration's: what 95 % of normal
	// frames never reach. It holds for every |T|.
	Threshold float32 `json:"threshold"`
}

// Auto reports that the detector chooses |T|.
func (k Knob) Auto() bool { return k.Timesteps == 0 && len(k.List) == 0 }

// Control is the knob of one detector. It is safe for concurrent use.
type Control struct {
	knob      atomic.Pointer[Knob]
	order     []int
	threshold float32 // of the calibration
	known     []int   // timesteps with a calibration
}

func newControl(order, known []int, threshold float32, k Knob) (*Control, error) {
	c := &Control{order: order, known: known, threshold: threshold}
	return c, c.Set(k)
}

// Order returns the bundle's timesteps: |T|=N takes the first N.
func (c *Control) Order() []int { return slices.Clone(c.order) }

// Get returns the knob as it is now; Threshold is never 0.
func (c *Control) Get() Knob {
	k := *c.knob.Load()
	k.List = slices.Clone(k.List)
	if k.Threshold == 0 {
		k.Threshold = c.threshold
	}
	return k
}

// Set replaces the knob, or returns ErrSetting. The next frame uses it.
func (c *Control) Set(k Knob) error {
	switch {
	case len(k.List) > 0:
		if err := diffusion.ValidateTimesteps(k.List); err != nil {
			return fmt.Errorf("%w: %w", ErrSetting, err)
		}
		for _, t := range k.List {
			if !slices.Contains(c.known, t) {
				return fmt.Errorf("%w: timesteps: %d is not calibrated, want some of %v", ErrSetting, t, c.known)
			}
		}
		k.Timesteps = 0
	case k.Timesteps < 0 || k.Timesteps > len(c.order):
		return fmt.Errorf("%w: timesteps: got %d, want 1..%d", ErrSetting, k.Timesteps, len(c.order))
	case k.Timesteps == 0 && k.Budget <= 0:
		return fmt.Errorf("%w: timesteps: got auto without a latency budget", ErrSetting)
	}
	if k.Threshold != k.Threshold {
		return fmt.Errorf("%w: threshold: got NaN, want a number", ErrSetting)
	}
	k.List = slices.Clone(k.List)
	c.knob.Store(&k)
	return nil
}

// budget chooses |T| from measured costs: t(|T|) = encode + |T|·step. It raises |T| only when there is some room, so
// that it does not swing.
type budget struct {
	encode, step float64 // running means in seconds; 0 = not measured yet
	current      int
}

const (
	budgetMemory = 0.2  // share of a new measurement in the running mean
	budgetRoom   = 0.85 // share of the budget up to which |T| may rise
)

func (b *budget) measured(encode, score time.Duration, n int) {
	blend := func(old, v float64) float64 {
		if old == 0 {
			return v
		}
		return old + budgetMemory*(v-old)
	}
	b.encode = blend(b.encode, encode.Seconds())
	b.step = blend(b.step, score.Seconds()/float64(n))
}

func (b *budget) choose(limit time.Duration, most int) int {
	if b.step == 0 {
		b.current = 1
		return 1
	}
	fits := func(share float64) int {
		return min(most, max(1, int((share*limit.Seconds()-b.encode)/b.step)))
	}
	switch {
	case b.current > fits(1):
		b.current = fits(1)
	case b.current < fits(budgetRoom):
		b.current = fits(budgetRoom)
	}
	return b.current
}
