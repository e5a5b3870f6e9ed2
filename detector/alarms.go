package detector

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"
)

// alarmsMost is the number of false alarms an hour that mean nothing: one a second.
const alarmsMost = 3600

// Frames above a threshold come in runs: of their rate an event is one part in an episode's length, the extremal index of
// extreme value theory (Leadbetter 1983), as runs declustering estimates it.
const (
	episodeP    = 0.9         // quantile of the peaks above which episodes are looked at
	episodeGap  = time.Second // between two episodes at least: one second, as events.Config.Hold has it by default
	episodeMost = 1           // second: while it is louder for longer, several things are there
	episodeFew  = 3           // fewer episodes tell nothing
)

// Episode returns how long normal footage stays above a high threshold at a time, in seconds, at most episodeMost; 0 when
// it does not tell. Peaks are those of frames at the times at, in any order; frames further apart than episodeGap do not
// belong together.
func Episode(peaks []float32, at []time.Duration) float64 {
	limit := quantiles(slices.Clone(peaks), []float64{episodeP})[0].Value
	order := make([]int, len(at))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(at[a], at[b]) })
	var loud, since time.Duration // since: from the last frame above
	starts := 0
	for n, i := range order {
		above := float64(peaks[i]) > limit
		if n > 0 && at[i]-at[order[n-1]] <= episodeGap {
			gap := at[i] - at[order[n-1]]
			since += gap
			if above {
				loud += gap
			}
			if above && since > episodeGap {
				starts++
			}
		} else {
			since = episodeGap // nothing is known of what was before
		}
		if above {
			since = 0
		}
	}
	if starts < episodeFew {
		return 0
	}
	return min(loud.Seconds()/float64(starts), episodeMost)
}

// Footage returns how many seconds of footage the times of frames lie in: that many looks at it are independent.
func Footage(at []time.Duration) int {
	seconds := map[time.Duration]bool{}
	for _, t := range at {
		seconds[t/time.Second] = true
	}
	return len(seconds)
}

// The highest of many values follows Gumbel's distribution, whatever the values are like: beyond tailTo the peaks of normal
// frames lie on the line through two of their quantiles over the reduced variate.
const (
	tailFrom = 0.5
	tailTo   = 0.95
)

// reduced is Gumbel's reduced variate.
func reduced(p float64) float64 { return -math.Log(-math.Log(p)) }

// ThresholdFor returns the threshold above which normal footage starts so many episodes an hour: the median over the
// calibrated |T|, as it holds for all of them. resolved is the smallest rate that the calibration's footage can tell
// anything about, one in all of it; the threshold of a smaller one is extrapolated, and never below the highest peak that
// was seen. Episodes too short or too small for an event, and those in a cool-down, are none: fewer events come.
func (c *Calibration) ThresholdFor(perHour float64) (threshold float32, resolved float64, err error) {
	if !(perHour > 0 && perHour < alarmsMost) {
		return 0, 0, fmt.Errorf("%w: false_alarms_per_hour: got %v, want more than 0, less than %d", ErrSetting, perHour, alarmsMost)
	}
	if len(c.Levels) == 0 || c.Frames == 0 {
		return 0, 0, fmt.Errorf("%w: false_alarms_per_hour: the bundle's calibration has no peaks of normal frames: run "+
			"oodcast fit --calibrate-only", ErrSetting)
	}
	seconds := c.Seconds
	if seconds == 0 { // a calibration from before frames had times
		seconds = c.Frames
	}
	resolved = alarmsMost / float64(seconds+1)
	return c.peakThreshold(func(l Level) float64 {
		peaks, episode := l.Peaks, l.Episode
		if episode == 0 {
			episode = episodeMost
		}
		p := 1 - perHour/alarmsMost*episode
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
func (c *Calibration) peakThreshold(of func(l Level) float64) float32 {
	var list []float64
	for _, l := range c.Levels {
		a, b := l.line()
		list = append(list, a*of(l)+b)
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
	return threshold, fmt.Sprintf("false_alarms_per_hour: %v is less than the %.0f s of footage in the bundle's calibration can tell "+
		"(%.3g an hour): the threshold %.2f is extrapolated; calibrate on more footage with oodcast fit --calibrate-only",
		c.FalseAlarms, alarmsMost/resolved-1, resolved, threshold), nil
}
