package clips

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/oodcast/oodcast/detector/eval"
)

// result returns the figures after the last clip.
func (r *row) result(ctx context.Context) (Result, error) {
	res := Result{
		Method: r.Method, Timesteps: r.Timesteps, Clips: len(r.clips), Seconds: r.seconds, Events: r.events,
		LatencyMS: eval.NewLatency(r.ms),
	}
	if e := r.events; e != nil {
		e.FalsePerHour = float64(e.False) / (r.seconds / 3600)
		if slices.Sort(r.delays); len(r.delays) > 0 {
			e.DelayP50 = r.delays[(len(r.delays)-1)/2]
		}
	}
	var err error
	if res.Frame, res.PerClip, err = r.frames(); err != nil {
		return res, err
	}
	for _, c := range r.clips {
		res.Frames += len(c.scores)
	}
	if r.masked {
		m, err := r.pixels.Metrics()
		if err != nil {
			return res, fmt.Errorf("pixels: %w", err)
		}
		res.Pixel = &Pixel{AUROC: m.AUROC, AP: m.AP, FPR95: m.FPR95}
	}
	res.Regions, err = r.regions(ctx)
	return res, err
}

// frames judges the frames of all clips.
func (r *row) frames() (f Frame, per []ClipResult, err error) {
	all, smooth := eval.NewPool(len(r.clips)), eval.NewPool(len(r.clips))
	positives, frames := 0, 0
	var scores []float32
	var labels []uint8
	for i, c := range r.clips {
		one := ClipResult{Name: c.name, Frames: len(c.scores)}
		if c.judged != nil {
			one.Found, one.False = c.judged.Found, c.judged.False
		}
		err := errors.Join(all.Set(i, c.scores, c.anomalous, 1),
			smooth.Set(i, smoothed(c.scores, SmoothSeconds*float64(len(c.scores))/max(c.seconds, 1e-9)), c.anomalous, 1))
		if err != nil {
			return f, nil, fmt.Errorf("clip %s: %w", c.name, err)
		}
		if m, err := all.Subset([]int{i}).Metrics(); err == nil { // otherwise its frames are all of one kind
			one.AUROC = &m.AUROC
			f.Macro += m.AUROC
			f.MacroClips++
		}
		for _, a := range c.anomalous {
			positives += int(a)
		}
		frames += len(c.scores)
		scores, labels = append(scores, c.scores...), append(labels, c.anomalous...)
		per = append(per, one)
	}
	if positives == 0 || positives == frames {
		return f, nil, fmt.Errorf("%w: %d of %d are anomalous", ErrFrames, positives, frames)
	}
	f.Macro /= float64(max(1, f.MacroClips))
	m, err := all.Metrics()
	if err != nil {
		return f, nil, err
	}
	s, err := smooth.Metrics()
	f.AUROC, f.AP, f.Smoothed, f.Share = m.AUROC, m.AP, s.AUROC, float64(positives)/float64(frames)
	f.EER = equalError(scores, labels)
	return f, per, err
}

// smoothed returns the scores convolved with a Gaussian of sigma frames, cut off at four of them and normalised at the ends.
func smoothed(scores []float32, sigma float64) []float32 {
	const reach = 4
	out := make([]float32, len(scores))
	n := int(math.Ceil(reach * sigma))
	for i := range scores {
		sum, total := 0.0, 0.0
		for j := max(0, i-n); j <= min(len(scores)-1, i+n); j++ {
			d := float64(j-i) / sigma
			w := math.Exp(-d * d / 2)
			sum, total = sum+w*float64(scores[j]), total+w
		}
		out[i] = float32(sum / total)
	}
	return out
}

// equalError returns the rate at which the line between the points of the ROC curve crosses the diagonal FPR = 1 - TPR.
func equalError(scores []float32, labels []uint8) float64 {
	order := make([]int, len(scores))
	positives := 0
	for i := range order {
		order[i] = i
		positives += int(labels[i])
	}
	slices.SortFunc(order, func(a, b int) int {
		switch {
		case scores[a] > scores[b]:
			return -1
		case scores[a] < scores[b]:
			return 1
		}
		return 0
	})
	negatives := len(scores) - positives
	tp, fp, was := 0, 0, [2]float64{0, 1} // false positive and miss rate
	for i, k := range order {
		if labels[k] == 1 {
			tp++
		} else {
			fp++
		}
		if i+1 < len(order) && scores[order[i+1]] == scores[k] {
			continue
		}
		now := [2]float64{float64(fp) / float64(negatives), 1 - float64(tp)/float64(positives)}
		if now[0] >= now[1] {
			before, after := was[1]-was[0], now[0]-now[1]
			if before+after == 0 {
				return now[0]
			}
			return was[0] + (now[0]-was[0])*before/(before+after)
		}
		was = now
	}
	return was[0]
}
