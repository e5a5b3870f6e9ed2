package nets

import (
	"fmt"
	"maps"
	"math"

	"github.com/oodcast/oodcast/models/checkpoint"
)

// The names of the tensors in a checkpoint that normalise features: x0 = (x - shift)/scale, both [C].
const (
	NormShift = "normalization.shift"
	NormScale = "normalization.scale"
)

// WithNormalisation returns weights with [NormShift] and [NormScale]. The older published checkpoints hold only the
// minima and maxima of the last training batches, "normalization.mins" and "normalization.maxs" [batches, C], where rows
// that were never filled are infinite. For these, shift is the centre of each channel's range, and scale is half the
// widest range, the same for all channels.
func WithNormalisation(weights checkpoint.Tensors, channels int) (checkpoint.Tensors, error) {
	if weights[NormShift] != nil || weights["normalization.mins"] == nil {
		for _, name := range []string{NormShift, NormScale} {
			if _, err := weights.Get(name, channels); err != nil {
				return nil, fmt.Errorf("denoiser weights: %w", err)
			}
		}
		return weights, nil
	}
	low, err := extreme(weights, "normalization.mins", channels, math.Min)
	if err != nil {
		return nil, err
	}
	high, err := extreme(weights, "normalization.maxs", channels, math.Max)
	if err != nil {
		return nil, err
	}
	shift, scale := make([]float32, channels), make([]float32, channels)
	widest := 0.0
	for c := range channels {
		shift[c] = float32((low[c] + high[c]) / 2)
		widest = max(widest, (high[c]-low[c])/2)
	}
	for c := range channels {
		scale[c] = float32(widest)
	}
	if !(widest > 0) || math.IsInf(widest, 0) {
		return nil, fmt.Errorf("denoiser weights: the range of normalization.mins and maxs is not finite")
	}
	weights = maps.Clone(weights)
	weights[NormShift] = &checkpoint.Tensor{Name: NormShift, Shape: []int{channels}, Data: shift}
	weights[NormScale] = &checkpoint.Tensor{Name: NormScale, Shape: []int{channels}, Data: scale}
	return weights, nil
}

// extreme reduces a tensor [batches, channels] over its batches with math.Min or math.Max.
func extreme(ts checkpoint.Tensors, name string, channels int, better func(a, b float64) float64) ([]float64, error) {
	t, err := ts.Get(name, -1, channels)
	if err != nil {
		return nil, fmt.Errorf("denoiser weights: %w", err)
	}
	out := make([]float64, channels)
	for c := range out {
		out[c] = -better(math.Inf(1), math.Inf(-1)) // any value is better
	}
	for i, v := range t.Data {
		out[i%channels] = better(out[i%channels], float64(v))
	}
	return out, nil
}
