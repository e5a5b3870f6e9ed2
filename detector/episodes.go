package detector

import (
	"cmp"
	"slices"
	"time"
)

// Frames above a threshold come in runs, called episodes, and an operator counts episodes rather than frames. The rate of
// episodes is the rate of frames divided by the length of an episode. This is the extremal index of extreme value theory
// (Leadbetter 1983), estimated by runs declustering.
const (
	episodeP    = 0.9         // quantile of the peaks above which a frame belongs to an episode
	episodeGap  = time.Second // shortest gap between two episodes: the default of TrackerConfig.Hold
	episodeMost = 1           // longest episode in seconds: a longer one holds several anomalies
	episodeFew  = 3           // fewest episodes that allow an estimate
)

// Episode returns how long normal footage stays above a high threshold at a time, in seconds and at most 1 s. It returns 0
// when the footage has too few episodes for an estimate. peaks[i] is the peak of the frame at time at[i]; frames may come
// in any order. Frames further apart than episodeGap belong to different runs.
func Episode(peaks []float32, at []time.Duration) float64 {
	limit := quantiles(slices.Clone(peaks), []float64{episodeP})[0].Value
	order := make([]int, len(at))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(at[a], at[b]) })
	var loud, since time.Duration // loud: total time above the limit; since: time since the last frame above it
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
			since = episodeGap // the footage before this frame is unknown
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

// Footage returns the number of distinct seconds in which the frames lie. Frames of different seconds count as independent
// observations.
func Footage(at []time.Duration) int {
	seconds := map[time.Duration]bool{}
	for _, t := range at {
		seconds[t/time.Second] = true
	}
	return len(seconds)
}
