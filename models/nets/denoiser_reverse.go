package nets

import (
	"errors"
	"fmt"

	"github.com/oodcast/oodcast/models"
	"github.com/oodcast/oodcast/models/checkpoint"
	"github.com/oodcast/oodcast/models/graph"
)

// ReverseGraph returns a model of one step of the reverse chain without fresh noise (DDIM with η = 0):
// x_{t-1} = √ᾱ(t-1)·x̂₀ + √(1-ᾱ(t-1))·ε̂(x_t, t) with x̂₀ = (x_t - √(1-ᾱ(t))·ε̂)/√ᾱ(t). The step at t = 0 returns x̂₀.
//
// The inputs are x float32[n, C], normalised and noised, and timestep int64[1], from 0 to last. The output is previous
// float32[n, C]. Running the model t+1 times, from t down to 0, reconstructs x₀ from x_t.
func ReverseGraph(cfg models.DenoiserConfig, weights checkpoint.Tensors, last int) ([]byte, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.Window > 0 {
		return nil, errors.New("reverse chain: a denoiser with a window has none")
	}
	if last < 0 || last >= models.Timesteps {
		return nil, fmt.Errorf("reverse chain: got timestep %d, want 0 to %d", last, models.Timesteps-1)
	}
	s := scoring{cfg: cfg.Defaults(), weights: weights, shapes: denoiserShapes(cfg), g: graph.New(graph.Float32)}
	for t := range last + 1 {
		s.listed = append(s.listed, t)
	}
	var err error
	if s.tables, err = timeTables(s.cfg, s.weights, s.listed); err != nil {
		return nil, err
	}
	if err := s.centre(); err != nil {
		return nil, err
	}
	s.buildReverse()
	return s.g.Marshal()
}

func (s *scoring) buildReverse() {
	g, c := s.g, int64(s.cfg.Channels)
	x := g.Input("x", graph.Float32, -1, c)
	s.index = g.Input("timestep", graph.Int64, 1)
	s.perTime = g.Concat(0, g.ShapeOf(s.index), g.Int64s(-1, int64(s.cfg.Width)))
	body := denoiserBody{g: g, cfg: s.cfg, addTime: s.addTime, norm: s.norm, normSecond: s.normCentred, param: s.param}
	hat := body.forward(x)
	// x_{t-1} is linear in x_t and ε̂: x_{t-1} = keep·x_t + remove·ε̂.
	keep, remove := reverseCoefficients(len(s.listed))
	n := int64(len(s.listed))
	a := g.Gather(g.Const64(keep, n, 1), s.index, 0) // [1,1]
	b := g.Gather(g.Const64(remove, n, 1), s.index, 0)
	g.Output(g.Add(g.Mul(x, a), g.Mul(hat, b)), "previous")
}

// reverseCoefficients returns the factors of x_t and of ε̂ for the steps t = 0 … n-1.
func reverseCoefficients(n int) (keep, remove []float64) {
	signal, noise := schedule()
	keep, remove = make([]float64, n), make([]float64, n)
	before, noiseBefore := 1.0, 0.0 // the values at t-1; there is no noise before t = 0
	for t := range n {
		keep[t] = before / signal[t]
		remove[t] = noiseBefore - keep[t]*noise[t]
		before, noiseBefore = signal[t], noise[t]
	}
	return keep, remove
}

// Normalisation returns the shift and scale of each channel that [ScoringGraph] applies: x₀ = (feature - shift)/scale.
func Normalisation(weights checkpoint.Tensors, channels int) (shift, scale []float32, err error) {
	weights, err = WithNormalisation(weights, channels)
	if err != nil {
		return nil, nil, err
	}
	a, errA := weights.Get(NormShift, channels)
	b, errB := weights.Get(NormScale, channels)
	if err := errors.Join(errA, errB); err != nil {
		return nil, nil, err
	}
	return a.Data, b.Data, nil
}
