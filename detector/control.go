package detector

import (
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/oodcast/oodcast/detector/diffusion"
)

// ErrSetting reports that a setting is outside the range that the bundle offers. Nothing was changed.
var ErrSetting = errors.New("setting out of range")

// Knob holds the settings that may change while a detector runs.
type Knob struct {
	// Timesteps is |T|: the first |T| timesteps of the bundle's order are scored. 0 leaves the choice to Budget or List.
	Timesteps int `json:"timesteps"`
	// List names the timesteps explicitly.
	List []int `json:"list,omitempty"`
	// Budget applies when Timesteps is 0 and List is empty: the detector chooses the largest |T| with which encoding and
	// scoring stay below it.
	Budget time.Duration `json:"latency_budget,omitempty"`
	// Min and Max bound the |T| that the detector chooses. 0 stands for 1 and for the length of the bundle's order.
	Min int `json:"timesteps_min,omitempty"`
	Max int `json:"timesteps_max,omitempty"`
	// Threshold is the value above which a map is anomalous, for every |T|. 0 stands for the threshold of the calibration: in
	// 95 % of normal frames no region as large as an event reaches it.
	Threshold float32 `json:"threshold"`
}

// Auto reports whether the detector chooses |T|.
func (k Knob) Auto() bool { return k.Timesteps == 0 && len(k.List) == 0 }

// Control holds the knob of one detector. It is safe for concurrent use.
type Control struct {
	knob      atomic.Pointer[Knob]
	order     []int
	threshold float32 // of the calibration
	known     []int   // calibrated timesteps
}

func newControl(order, known []int, threshold float32, k Knob) (*Control, error) {
	c := &Control{order: order, known: known, threshold: threshold}
	return c, c.Set(k)
}

// Order returns the bundle's timesteps: |T|=N takes the first N.
func (c *Control) Order() []int { return slices.Clone(c.order) }

// Get returns the current knob. Its Threshold is never 0.
func (c *Control) Get() Knob {
	k := *c.knob.Load()
	k.List = slices.Clone(k.List)
	if k.Threshold == 0 {
		k.Threshold = c.threshold
	}
	return k
}

// Set replaces the knob from the next frame on, or returns ErrSetting.
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
	if err := c.checkBounds(k); err != nil {
		return err
	}
	if k.Threshold != k.Threshold {
		return fmt.Errorf("%w: threshold: got NaN, want a number", ErrSetting)
	}
	k.List = slices.Clone(k.List)
	c.knob.Store(&k)
	return nil
}

func (c *Control) checkBounds(k Knob) error {
	switch most := len(c.order); {
	case k.Min < 0 || k.Min > most:
		return fmt.Errorf("%w: timesteps_min: got %d, want 1..%d", ErrSetting, k.Min, most)
	case k.Max < 0 || k.Max > most:
		return fmt.Errorf("%w: timesteps_max: got %d, want 1..%d", ErrSetting, k.Max, most)
	case k.Max > 0 && k.Min > k.Max:
		return fmt.Errorf("%w: timesteps_min: got %d, more than timesteps_max, %d", ErrSetting, k.Min, k.Max)
	}
	return nil
}

// Bounds returns the smallest and the largest |T| that the detector may choose.
func (c *Control) Bounds(k Knob) (least, most int) {
	most = k.Max
	if most == 0 {
		most = len(c.order)
	}
	return max(1, k.Min), most
}
