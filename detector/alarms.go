package detector

import (
	"fmt"
	"math"
	"slices"
)

// A false alarm is counted in seconds: normal footage above the threshold for a second is one. It is at most so many
// events, since neighbouring seconds make one event, and small or short ones none.
const alarmsMost = 3600

// The highest of many values follows Gumbel's distribution, whatever the values are like: beyond tailTo the peaks of normal
// frames lie on the line through two of their quantiles over the reduced variate.
const (
	tailFrom = 0.5
	tailTo   = 0.95
)

// reduced is Gumbel's reduced variate.
func reduced(p float64) float64 { return -math.Log(-math.Log(p)) }

// ThresholdFor returns the threshold that normal footage exceeds in so many seconds of an hour: the median over the
// calibrated |T|, as it holds for all of them. resolved is the smallest rate that the calibration's footage can tell
// anything about; the threshold of a smaller one is extrapolated, and never below the highest peak that was seen.
func (c *Calibration) ThresholdFor(perHour float64) (threshold float32, resolved float64, err error) {
	if !(perHour > 0 && perHour < alarmsMost) {
		return 0, 0, fmt.Errorf("%w: false_alarms_per_hour: got %v, want more than 0, less than %d", ErrSetting, perHour, alarmsMost)
	}
	if len(c.Levels) == 0 || c.Frames == 0 {
		return 0, 0, fmt.Errorf("%w: false_alarms_per_hour: the bundle's calibration has no peaks of normal frames: run "+
			"oodcast fit --calibrate-only", ErrSetting)
	}
	// The highest of n peaks is exceeded by the next with probability 1/(n+1).
	resolved = alarmsMost / float64(c.Frames+1)
	above := perHour / alarmsMost
	return c.peakThreshold(func(peaks []Quantile) float64 {
		p := 1 - above
		if p <= tailTo {
			return quantile(peaks, p)
		}
		from, to := quantile(peaks, tailFrom), quantile(peaks, tailTo)
		v := to + (to-from)/(reduced(tailTo)-reduced(tailFrom))*(reduced(p)-reduced(tailTo))
		if perHour < resolved {
			v = max(v, quantile(peaks, 1))
		}
		return v
	}), resolved, nil
}

// peakThreshold carries what of chooses from the peaks at every |T| onto the scale of maps, and returns the median.
func (c *Calibration) peakThreshold(of func(peaks []Quantile) float64) float32 {
	var list []float64
	for _, l := range c.Levels {
		a, b := l.line()
		list = append(list, a*of(l.Peaks)+b)
	}
	slices.Sort(list)
	return float32(list[len(list)/2])
}

// threshold returns the threshold that stands for 0 in a Knob, and what an operator should know about it.
func (c Config) threshold(cal *Calibration) (threshold float32, note string, err error) {
	if c.FalseAlarms == 0 {
		return cal.DefaultThreshold(), "", nil
	}
	threshold, resolved, err := cal.ThresholdFor(c.FalseAlarms)
	if err != nil || c.FalseAlarms >= resolved {
		return threshold, "", err
	}
	return threshold, fmt.Sprintf("false_alarms_per_hour: %v is less than the %d frames of the bundle's calibration can tell "+
		"(%.3g an hour): the threshold %.2f is extrapolated; calibrate on more footage with oodcast fit --calibrate-only",
		c.FalseAlarms, cal.Frames, resolved, threshold), nil
}
