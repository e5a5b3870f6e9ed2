package nets

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/oodcast/oodcast/models"
	"github.com/oodcast/oodcast/models/checkpoint"
	"github.com/oodcast/oodcast/models/graph"
)

// CosineEpsilon is added to the product of norms in the cosine's denominator, so that a prediction of exactly zero (by an
// untrained network) scores 0 and not NaN.
const CosineEpsilon = 1e-12

// ScoringOptions are the choices of [ScoringGraph].
type ScoringOptions struct {
	Noise string // models.NoiseIndependent, models.NoiseAntithetic or models.NoiseShared; empty stands for the first
	Score string // models.ScoreCosine or models.ScoreMSE; empty stands for the first
	// Timesteps are the t that the model can score; empty stands for all. Fewer timesteps make a smaller model that is
	// built faster. Any other t is an error when the model runs.
	Timesteps []int
}

func (o *ScoringOptions) check() error {
	if o.Noise == "" {
		o.Noise = models.NoiseIndependent
	}
	if o.Score == "" {
		o.Score = models.ScoreCosine
	}
	var errs []error
	if o.Noise != models.NoiseIndependent && o.Noise != models.NoiseAntithetic && o.Noise != models.NoiseShared {
		errs = append(errs, fmt.Errorf("scoring.noise: got %q, want independent, antithetic or shared", o.Noise))
	}
	if o.Score != models.ScoreCosine && o.Score != models.ScoreMSE {
		errs = append(errs, fmt.Errorf("scoring.score: got %q, want cosine or mse", o.Score))
	}
	for _, t := range o.Timesteps {
		if t < 0 || t >= models.Timesteps {
			errs = append(errs, fmt.Errorf("scoring.timesteps: got %d, want 0 to %d", t, models.Timesteps-1))
		}
	}
	return errors.Join(errs...)
}

// ScoringGraph returns the model that scores features: equations 4 to 7 of the paper, for any number of timesteps at
// once.
//
// Inputs:
//
//	features   float32[b·n, C]   raw features, one row per token; b pictures one after the other, b = 1 with a window
//	noise      float32[k, n, C]  standard normal ε, the same for every picture; k is K, or 1 for the same at every timestep
//	timesteps  int64[K]          0-based
//
// Output:
//
//	scores     float32[K, b·n]   e_t; higher is more anomalous
//
// b, n and K are free, but a network with a window takes its Window² tokens row by row. Scores do not depend on how tokens
// and timesteps are spread over runs. On a CPU, with one thread per session, 250 to 500 evaluations per run (n·K, twice
// that if antithetic) are fastest: activations then stay in the cache.
//
// Linear operations are moved to where they cost least: time vectors are looked up, the input projection is applied
// before the noise is added, and group means are subtracted from the weights. weights holds the parameters and the
// normalisation that [WithNormalisation] reads.
func ScoringGraph(cfg models.DenoiserConfig, weights checkpoint.Tensors, opt ScoringOptions) ([]byte, error) {
	if err := errors.Join(cfg.Validate(), opt.check()); err != nil {
		return nil, err
	}
	weights, err := WithNormalisation(weights, cfg.Channels)
	if err != nil {
		return nil, err
	}
	s := scoring{
		cfg: cfg.Defaults(), opt: opt, weights: weights, shapes: denoiserShapes(cfg), g: graph.New(graph.Float32),
	}
	if err := s.tabulate(); err != nil {
		return nil, err
	}
	if err := s.centre(); err != nil {
		return nil, err
	}
	s.build()
	return s.g.Marshal()
}

type scoring struct {
	cfg     models.DenoiserConfig
	opt     ScoringOptions
	weights checkpoint.Tensors
	shapes  map[string][]int
	g       *graph.Graph
	listed  []int
	tables  map[string][]float32

	index   *graph.Tensor // [E] rows of the tables, E = K or 2K evaluations
	perTime *graph.Tensor // the shape [E, -1, Width] when the model runs
}

func (s *scoring) tabulate() (err error) {
	s.listed = s.opt.Timesteps
	if len(s.listed) == 0 {
		for t := range models.Timesteps {
			s.listed = append(s.listed, t)
		}
	}
	s.tables, err = timeTables(s.cfg, s.weights, s.listed)
	return err
}

// weight returns a tensor of the checkpoint as a constant.
func (s *scoring) weight(name string, shape ...int) *graph.Tensor {
	t, err := s.weights.Get(name, shape...)
	if err != nil {
		return s.g.Fail(fmt.Errorf("denoiser weights: %w", err))
	}
	return s.g.Const(t.Data, int64s(t.Shape)...)
}

func int64s(v []int) []int64 {
	out := make([]int64, len(v))
	for i, x := range v {
		out[i] = int64(x)
	}
	return out
}

func (s *scoring) build() {
	g, c := s.g, int64(s.cfg.Channels)
	features := g.Input("features", graph.Float32, -1, c)
	eps := g.Input("noise", graph.Float32, -1, -1, c)
	timesteps := g.Input("timesteps", graph.Int64, -1)
	row := s.tableRow(timesteps)

	shift := s.weight(NormShift, s.cfg.Channels)
	scale := s.weight(NormScale, s.cfg.Channels)
	tokens := g.Slice(g.ShapeOf(eps), 0, 1, 2)
	xt := s.diffuse(g.Div(g.Sub(features, shift), scale), eps, row, tokens)
	s.perTime = g.Concat(0, g.ShapeOf(s.index), g.Int64s(-1, int64(s.cfg.Width)))
	rows := g.Concat(0, g.ShapeOf(s.index), g.Int64s(-1, c))

	body := denoiserBody{g: g, cfg: s.cfg, addTime: s.addTime, norm: s.norm, normSecond: s.normCentred, param: s.param}
	if s.cfg.Window > 0 {
		xt = g.Node("Reshape", []*graph.Tensor{xt, s.perTime}, []int64{-1, -1, int64(s.cfg.Width)}, graph.Float32)
		xt = g.Transpose(xt, 1, 0, 2) // the evaluations become the window's batch, which is innermost
		s.perTime = g.Concat(0, g.Int64s(-1), g.ShapeOf(s.index), g.Int64s(int64(s.cfg.Width)))
		rows = g.Concat(0, g.Int64s(-1), g.ShapeOf(s.index), g.Int64s(c))
	}
	hat := body.blocks(g.Reshape(xt, -1, int64(s.cfg.Width)))
	if s.cfg.Window > 0 {
		hat = g.Node("Reshape", []*graph.Tensor{hat, rows}, []int64{-1, -1, c}, graph.Float32)
		hat = g.Transpose(hat, 1, 0, 2)
	}
	rows = g.Concat(0, g.ShapeOf(s.index), g.Int64s(-1), tokens, g.Int64s(c))
	hat = g.Node("Reshape", []*graph.Tensor{hat, rows}, []int64{-1, -1, -1, c}, graph.Float32) // [E,b,n,C]
	g.Output(g.Reshape(s.score(g.Unsqueeze(eps, 1), hat), 0, -1), "scores")
}

// diffuse returns the input of the first block, [E,b,n,Width]: √ᾱ·x0 ± √(1-ᾱ)·ε of x0[b·n,C] and ε[k,n,C], projected;
// tokens is [n]. The projection is linear, so it is applied to x0 and ε, which have fewer rows than their sums. diffuse
// sets s.index.
func (s *scoring) diffuse(x0, eps, row, tokens *graph.Tensor) *graph.Tensor {
	g := s.g
	c, w := int64(s.cfg.Channels), int64(s.cfg.Width)
	var bias *graph.Tensor
	if s.cfg.InputProjection {
		weight := s.param("denoiser.in_proj.weight")
		bias = s.param("denoiser.in_proj.bias")
		x0 = g.Linear(x0, weight, nil)
		shape := g.Concat(0, g.Slice(g.ShapeOf(eps), 0, 0, 2), g.Int64s(w))
		flat := g.Linear(g.Reshape(eps, -1, c), weight, nil)
		eps = g.Node("Reshape", []*graph.Tensor{flat, shape}, []int64{-1, -1, w}, graph.Float32)
	}
	signal, noise := s.coefficients(row)
	pictures := g.Concat(0, g.Int64s(1, -1), tokens, g.Int64s(w))
	x0 = g.Node("Reshape", []*graph.Tensor{x0, pictures}, []int64{1, -1, -1, w}, graph.Float32)
	clean, noisy := g.Mul(x0, signal), g.Mul(g.Unsqueeze(eps, 1), noise) // [K,b,n,Width], [K,1,n,Width]
	if bias != nil {
		clean = g.Add(clean, bias)
	}
	s.index = row
	if s.opt.Noise != models.NoiseAntithetic {
		return g.Add(clean, noisy)
	}
	s.index = g.Concat(0, row, row)
	return g.Concat(0, g.Add(clean, noisy), g.Sub(clean, noisy))
}

// param returns a parameter of the denoiser.
func (s *scoring) param(name string) *graph.Tensor { return s.weight(name, s.shapes[name]...) }

// tableRow turns timesteps into rows of the tables. An unlisted timestep becomes a row past the end, which Gather refuses.
func (s *scoring) tableRow(timesteps *graph.Tensor) *graph.Tensor {
	if len(s.opt.Timesteps) == 0 {
		return timesteps
	}
	rows := make([]int64, models.Timesteps)
	for i := range rows {
		rows[i] = models.Timesteps
	}
	for i, t := range s.listed {
		rows[t] = int64(i)
	}
	raw := make([]byte, 0, 8*models.Timesteps)
	for _, r := range rows {
		raw = binary.LittleEndian.AppendUint64(raw, uint64(r))
	}
	return s.g.Gather(s.g.ConstRaw(graph.Int64, raw, models.Timesteps), timesteps, 0)
}

// coefficients returns √ᾱ and √(1-ᾱ) as [K,1,1,1].
func (s *scoring) coefficients(row *graph.Tensor) (signal, noise *graph.Tensor) {
	a, b := schedule()
	as, bs := make([]float64, len(s.listed)), make([]float64, len(s.listed))
	for i, t := range s.listed {
		as[i], bs[i] = a[t], b[t]
	}
	n := int64(len(s.listed))
	return s.g.Gather(s.g.Const64(as, n, 1, 1, 1), row, 0), s.g.Gather(s.g.Const64(bs, n, 1, 1, 1), row, 0)
}

func (s *scoring) addTime(h *graph.Tensor, block string) *graph.Tensor {
	g, w := s.g, int64(s.cfg.Width)
	shape := []int64{int64(len(s.listed)), 1, w} // broadcasts to [E,n,w]
	if s.cfg.Window > 0 {
		shape = []int64{int64(len(s.listed)), w} // broadcasts to [n,E,w]
	}
	table := g.Const(s.tables[block], shape...)
	h3 := g.Node("Reshape", []*graph.Tensor{h, s.perTime}, []int64{-1, -1, w}, graph.Float32)
	return g.Reshape(g.Add(h3, g.Gather(table, s.index, 0)), -1, w)
}

func (s *scoring) norm(x, gamma, beta *graph.Tensor) *graph.Tensor {
	return s.g.GroupNormInference(x, gamma, beta, s.cfg.Groups)
}

func (s *scoring) normCentred(x, gamma, beta *graph.Tensor) *graph.Tensor {
	return s.g.GroupNormCentred(x, gamma, beta, s.cfg.Groups)
}

// score compares ε[k,1,n,C] with its prediction ε̂[E,b,n,C].
func (s *scoring) score(eps, hat *graph.Tensor) *graph.Tensor {
	g := s.g
	if s.opt.Noise != models.NoiseAntithetic {
		return s.compare(eps, hat, nil)
	}
	half := g.Div(g.ShapeOf(s.index), g.Int64s(2))
	part := graph.Spec{DType: graph.Float32, Shape: hat.Shape}
	parts := g.NodeN("Split", []*graph.Tensor{hat, g.Concat(0, half, half)},
		[]graph.Spec{part, part}, graph.Int("axis", 0))
	return s.compare(eps, parts[0], parts[1])
}

// compare returns the score [K,b,n] of plus, the prediction for ε[k,1,n,C]. If minus, the prediction for -ε, is given, it
// returns the mean of both scores.
func (s *scoring) compare(eps, plus, minus *graph.Tensor) *graph.Tensor {
	g := s.g
	if s.opt.Score == models.ScoreMSE {
		e := g.Reduce("ReduceMean", s.square(g.Sub(eps, plus)), false, 3)
		if minus == nil {
			return e
		}
		return g.Mul(g.Add(e, g.Reduce("ReduceMean", s.square(g.Add(eps, minus)), false, 3)), g.Scalar(0.5))
	}
	norm := s.norm2(eps)
	cos := func(hat *graph.Tensor) *graph.Tensor {
		dot := g.ReduceSum(g.Mul(eps, hat), false, 3)
		return g.Div(dot, g.Add(g.Mul(norm, s.norm2(hat)), g.Scalar(CosineEpsilon)))
	}
	if minus == nil {
		return g.Unary("Neg", cos(plus))
	}
	return g.Mul(g.Sub(cos(minus), cos(plus)), g.Scalar(0.5)) // cos(-ε, ε̂) = -cos(ε, ε̂)
}

func (s *scoring) square(x *graph.Tensor) *graph.Tensor { return s.g.Mul(x, x) }

// norm2 returns the Euclidean norm over channels. ReduceL2 takes two and a half times as long.
func (s *scoring) norm2(x *graph.Tensor) *graph.Tensor {
	return s.g.Unary("Sqrt", s.g.ReduceSum(s.square(x), false, 3))
}
