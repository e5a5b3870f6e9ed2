package fit

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/models"
)

// calibrate measures the scores of the held-back frames.
func calibrate(
	ctx context.Context, scorer detector.Scorer, m models.Manifest, got *collected,
	report func(Progress),
) (detector.Calibration, error) {
	held, at := got.Held, got.Times
	order, begun := m.Diffusion.Timesteps, time.Now()
	looks := got.Looks
	if m.Compound.Rule != models.RuleSized {
		looks = nil
	}
	frames := len(held) + len(looks)
	done := func(n int) {
		elapsed := time.Since(begun)
		report(Progress{
			Phase: Calibrate, Step: n, Steps: frames, Elapsed: elapsed, Left: elapsed / time.Duration(n) * time.Duration(frames-n),
		})
	}
	scores, err := scoreFrames(ctx, scorer, order, held, done)
	if err != nil {
		return detector.Calibration{}, fmt.Errorf("fit: calibrate: %w", err)
	}
	cal := statistics(order, held, scores)
	cal.Seconds = detector.Footage(at)
	if err := cal.Validate(); err != nil {
		return cal, fmt.Errorf("fit: calibrate: %w", err)
	}
	voices, err := detector.MeasureVoices(m, cal, held, scores)
	if err != nil {
		return cal, fmt.Errorf("fit: calibrate: %w", err)
	}
	cal.Voices = &voices
	cal.Look, err = calibrateLook(ctx, scorer, m, cal, held, looks, func(n int) { done(len(held) + n) })
	if err != nil {
		return cal, fmt.Errorf("fit: calibrate: %w", err)
	}
	for n := range order {
		level, err := level(m, cal, n+1, held, at, scores)
		if err != nil {
			return cal, fmt.Errorf("fit: calibrate: %w", err)
		}
		cal.Levels = append(cal.Levels, level)
	}
	return cal, cal.Validate()
}

// statistics returns a calibration with the mean and covariance of e_t over all tokens, and the moments of the uncertainty
// over all cells.
func statistics(order []int, held []detector.Encoding, scores [][]float32) detector.Calibration {
	k := len(order)
	cal := detector.Calibration{
		Format: detector.CalibrationFormat, Frames: len(held), Timesteps: order,
		Mean: make([]float64, k), Min: make([]float64, k), Max: make([]float64, k), Covariance: make([][]float64, k),
	}
	for i := range k {
		cal.Covariance[i] = make([]float64, k)
		cal.Min[i], cal.Max[i] = math.Inf(1), math.Inf(-1)
	}
	for _, e := range scores {
		n := len(e) / k
		cal.Tokens += n
		for i := range k {
			for _, v := range e[i*n:][:n] {
				cal.Mean[i] += float64(v)
				cal.Min[i], cal.Max[i] = min(cal.Min[i], float64(v)), max(cal.Max[i], float64(v))
			}
		}
	}
	for i := range k {
		cal.Mean[i] /= float64(cal.Tokens)
	}
	for _, e := range scores {
		n := len(e) / k
		for i := range k {
			for j := range i + 1 {
				sum := 0.0
				a, b := e[i*n:][:n], e[j*n:][:n]
				for x, v := range a {
					sum += (float64(v) - cal.Mean[i]) * (float64(b[x]) - cal.Mean[j])
				}
				cal.Covariance[i][j] += sum / float64(max(1, cal.Tokens-1))
			}
		}
	}
	for i := range k {
		for j := range i {
			cal.Covariance[j][i] = cal.Covariance[i][j]
		}
	}
	if held[0].Classes > 0 {
		cal.LSE = moments(held)
	}
	return cal
}

// moments returns the moments of the uncertainty over all cells.
func moments(held []detector.Encoding) detector.Moments {
	m := detector.Moments{Min: math.Inf(1), Max: math.Inf(-1)}
	n := 0.0
	for _, enc := range held {
		for _, v := range enc.LSE {
			m.Mean += float64(v)
			m.Min, m.Max = min(m.Min, float64(v)), max(m.Max, float64(v))
		}
		n += float64(len(enc.LSE))
	}
	m.Mean /= n
	for _, enc := range held {
		for _, v := range enc.LSE {
			m.Std += (float64(v) - m.Mean) * (float64(v) - m.Mean)
		}
	}
	m.Std = math.Sqrt(m.Std / max(1, n-1))
	return m
}

// level returns the quantiles of the compound maps with the first n timesteps. It ignores the levels of the calibration,
// which would rescale the maps.
func level(
	m models.Manifest, cal detector.Calibration, n int, held []detector.Encoding, at []time.Duration, scores [][]float32,
) (detector.Level, error) {
	cal.Levels = nil
	compound := detector.NewCompound(m, cal, detector.PartCompound)
	var values, peaks, one []float32
	for i := range held {
		enc := &held[i]
		var err error
		one, err = compound.To(one, scores[i][:n*enc.Width*enc.Height], cal.Timesteps[:n], enc)
		if err != nil {
			return detector.Level{}, err
		}
		values, peaks = append(values, one...), append(peaks, detector.EventPeak(one))
	}
	if len(values) == 0 {
		return detector.Level{}, errors.New("no calibration frames")
	}
	episode := detector.Episode(peaks, at)
	l := detector.NewLevel(n, values, peaks)
	l.Episode = episode
	return l, nil
}
