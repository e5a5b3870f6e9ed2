package detector

import (
	"fmt"
	"math"
	"slices"
)

// The default threshold is the level that normalP of normal frames never reach. A bundle without peaks of normal frames
// gets uncalibratedThreshold.
const (
	normalP               = 0.95
	uncalibratedThreshold = 4
)

// The highest of many values follows Gumbel's distribution, whatever the distribution of the values. Beyond the quantile
// tailTo, the peaks of normal frames therefore lie on the straight line through their quantiles tailFrom and tailTo over
// the reduced variate.
const (
	tailFrom = 0.5
	tailTo   = 0.95
)

// secondsPerHour is also the bound of false_alarms_per_hour: one false alarm per second is no useful rate.
const secondsPerHour = 3600

// EventArea is the smallest region that makes an event, as a fraction of the picture: the default of events.min_area.
const EventArea = 0.0005

// EventPeak returns the highest threshold at which the values of a map can still make an event, that is, at which
// EventArea of the picture lies at or above it. The map's highest value would be a poor measure: it
// hardly differs between frames with and without an object, and a single cell is no event. EventPeak sorts values.
func EventPeak(values []float32) float32 {
	slices.Sort(values)
	return values[len(values)-max(1, int(EventArea*float64(len(values))))]
}

// DefaultThreshold returns the default threshold: the median over the calibrated |T|, because it holds for all of them.
func (c *Calibration) DefaultThreshold() float32 {
	if len(c.Levels) == 0 {
		return uncalibratedThreshold
	}
	return c.medianThreshold(func(l Level) float64 { return quantile(l.Peaks, normalP) })
}

// ThresholdFor returns the threshold above which normal footage starts perHour episodes per hour: the median over the
// calibrated |T|, because it holds for all of them. resolved is the smallest rate that the calibration footage can resolve,
// one episode in all of it. The threshold of a smaller rate is extrapolated, and never below the highest peak seen.
//
// The rate of events is lower than the rate of episodes: an episode that is too short or too small for an event, or that
// falls into a cool-down, makes none.
func (c *Calibration) ThresholdFor(perHour float64) (threshold float32, resolved float64, err error) {
	if !(perHour > 0 && perHour < secondsPerHour) {
		return 0, 0, fmt.Errorf("%w: false_alarms_per_hour: got %v, want more than 0, less than %d", ErrSetting, perHour, secondsPerHour)
	}
	if len(c.Levels) == 0 || c.Frames == 0 {
		return 0, 0, fmt.Errorf("%w: false_alarms_per_hour: the bundle's calibration has no peaks of normal frames: run "+
			"oodcast fit --calibrate-only", ErrSetting)
	}
	seconds := c.Seconds
	if seconds == 0 { // an older calibration, which did not record the times of its frames
		seconds = c.Frames
	}
	resolved = secondsPerHour / float64(seconds+1)
	return c.medianThreshold(func(l Level) float64 {
		peaks, episode := l.Peaks, l.Episode
		if episode == 0 {
			episode = episodeMost
		}
		p := 1 - perHour/secondsPerHour*episode
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

// reduced is Gumbel's reduced variate.
func reduced(p float64) float64 { return -math.Log(-math.Log(p)) }

// medianThreshold picks a peak at every calibrated |T|, converts it to the scale of maps, and returns the median.
func (c *Calibration) medianThreshold(pick func(l Level) float64) float32 {
	var list []float64
	for _, l := range c.Levels {
		a, b := l.line()
		list = append(list, a*pick(l)+b)
	}
	slices.Sort(list)
	return float32(list[len(list)/2])
}

// threshold returns the threshold that a Knob of 0 stands for, and a note for the operator, empty when there is nothing
// to know.
func (c Config) threshold(cal *Calibration) (threshold float32, note string, err error) {
	if c.FalseAlarms == 0 {
		return cal.DefaultThreshold(), "", nil
	}
	threshold, resolved, err := cal.ThresholdFor(c.FalseAlarms)
	if err != nil || c.FalseAlarms >= resolved {
		return threshold, "", err
	}
	return threshold, fmt.Sprintf("false_alarms_per_hour: %v is below %.3g per hour, the lowest rate that the %.0f s of footage in the "+
		"bundle's calibration can resolve: the threshold %.2f is extrapolated; calibrate on more footage with oodcast fit --calibrate-only",
		c.FalseAlarms, resolved, secondsPerHour/resolved-1, threshold), nil
}
