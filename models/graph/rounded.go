package graph

import "math"

// rounded is a weight as 8-bit integers, each output channel with a scale of its own.
type rounded struct {
	ints   []byte // int8, as bits
	scales []float64
}

// most is the largest integer of a weight: -128 is left out, so that weights are symmetric.
const most = 127

// mostBias bounds a bias in units of its scale, so that it fits 32 bits with room for the sum.
const mostBias = 1 << 30

// roundWeights rounds weights whose first dimension are the output channels. bias, if any, is in units of the output; step is
// that of the input's integers.
func roundWeights(values []float64, channels int, bias []float64, step float64) rounded {
	r := rounded{ints: make([]byte, len(values)), scales: make([]float64, channels)}
	size := len(values) / channels
	for c := range channels {
		row, largest := values[c*size:][:size], 0.0
		for _, v := range row {
			largest = max(largest, math.Abs(v))
		}
		scale := largest / most
		if bias != nil {
			scale = max(scale, math.Abs(bias[c])/(mostBias*step))
		}
		if scale < math.SmallestNonzeroFloat32*(1<<24) { // a channel of zeros
			scale = 1
		}
		scale = float64(float32(scale))
		r.scales[c] = scale
		for i, v := range row {
			r.ints[c*size+i] = byte(int8(min(max(math.Round(v/scale), -most), most)))
		}
	}
	return r
}

// correct takes from the bias what the rounding of the weights adds to the mean of the output, for inputs of the given mean in
// each channel. A convolution in groups reads inputs channels of them.
func (r rounded) correct(bias, values, mean []float64, inputs, channels int) {
	if len(mean) == 0 || len(mean)%inputs != 0 || channels%(len(mean)/inputs) != 0 {
		return
	}
	size, perGroup := len(values)/channels, channels/(len(mean)/inputs)
	taps := size / inputs
	for c := range channels {
		from := c / perGroup * inputs
		for i := range size {
			at := c*size + i
			bias[c] -= (float64(int8(r.ints[at]))*r.scales[c] - values[at]) * mean[from+i/taps]
		}
	}
}
