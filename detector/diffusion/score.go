package diffusion

import (
	"fmt"
	"math"

	"github.com/oodcast/oodcast/models"
)

// Epsilon keeps the cosine finite: a zero prediction scores 0, not NaN.
const Epsilon = 1e-12

// NegCosine returns -⟨eps, pred⟩ / (‖eps‖·‖pred‖ + Epsilon) (Eq. 7), from -1 to 1. It is near -1 if the denoiser finds the
// noise, as it does in features like those that it was trained on.
func NegCosine(eps, pred []float32) float32 {
	if len(eps) != len(pred) {
		panic("diffusion: slice lengths do not match")
	}
	var dot, ee, pp float64
	for i, e := range eps {
		p := float64(pred[i])
		dot += float64(e) * p
		ee += float64(e) * float64(e)
		pp += p * p
	}
	return float32(-dot / (math.Sqrt(ee)*math.Sqrt(pp) + Epsilon))
}

// MSE returns the mean of (eps-pred)², the other score of the paper.
func MSE(eps, pred []float32) float32 {
	if len(eps) != len(pred) {
		panic("diffusion: slice lengths do not match")
	}
	var sum float64
	for i, e := range eps {
		d := float64(e) - float64(pred[i])
		sum += d * d
	}
	return float32(sum / float64(len(eps)))
}

// Weights returns the weight of each timestep under an aggregation rule.
func (s *Schedule) Weights(rule string, timesteps []int) ([]float64, error) {
	if rule != models.AggregateSum && rule != models.AggregateSqrtOneMinusAlphaBar {
		return nil, fmt.Errorf("aggregate: got %q, want %s or %s", rule, models.AggregateSum, models.AggregateSqrtOneMinusAlphaBar)
	}
	w := make([]float64, len(timesteps))
	for i, t := range timesteps {
		w[i] = 1
		if rule == models.AggregateSqrtOneMinusAlphaBar {
			w[i] = float64(s.noise[t])
		}
	}
	return w, nil
}

// AggregateTo stores Σ_k w[k]·e[k] in dst and returns it; e is len(w) rows of len(dst) scores.
func AggregateTo(dst, e []float32, w []float64) []float32 {
	if len(e) != len(w)*len(dst) {
		panic("diffusion: slice lengths do not match")
	}
	for i := range dst {
		sum := 0.0
		for k, wk := range w {
			sum += wk * float64(e[k*len(dst)+i])
		}
		dst[i] = float32(sum)
	}
	return dst
}
