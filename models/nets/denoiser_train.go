package nets

import (
	"errors"
	"fmt"
	"math"

	"github.com/oodcast/oodcast/models"
	"github.com/oodcast/oodcast/models/graph"
)

// TrainingOptions are the sizes of [TrainingGraph].
type TrainingOptions struct {
	// Rows is the batch size N.
	Rows int
	// Timesteps is the number M of different t in a batch, a divisor of Rows; 0 stands for Rows. The time layers run on M
	// rows, not on N: M = 256 of N = 2048 is a fifth faster with the same loss.
	Timesteps int
	// DType is the type of all floating-point inputs and outputs: graph.Float32, for which 0 stands, or graph.Float64 to
	// check gradients.
	DType graph.DType
	// Beta1 and Beta2 are AdamW's decay rates; 0 stands for 0.9 and 0.999.
	Beta1, Beta2 float64
}

func (o *TrainingOptions) check() error {
	if o.Timesteps == 0 {
		o.Timesteps = o.Rows
	}
	if o.DType == 0 {
		o.DType = graph.Float32
	}
	var errs []error
	if o.Rows < 1 {
		errs = append(errs, fmt.Errorf("training.rows: got %d, want 1 or more", o.Rows))
	}
	if o.Timesteps < 1 || o.Rows%max(1, o.Timesteps) != 0 {
		errs = append(errs,
			fmt.Errorf("training.timesteps: got %d, want a divisor of the %d rows", o.Timesteps, o.Rows))
	}
	return errors.Join(errs...)
}

// TrainingGraph returns one training step as a model: noise the features, predict the noise, compare, backpropagate,
// update.
//
// Inputs, with P parameters as [FlattenDenoiser] orders them:
//
//	params, m, v  float32[P]     parameters and AdamW's moments (zeros before the first step)
//	x0            float32[N, C]  normalised features
//	eps           float32[N, C]  standard normal noise
//	t             int64[M]       timesteps; row i of the batch has t[i mod M]. With a window, M is N/Window²: the batch has
//	                             M windows, and row (y·Window+x)·M+j is cell (x, y) of window j
//	hyper         float32[4]     see [AdamW.Hyper]
//
// Outputs:
//
//	params_out, m_out, v_out  float32[P]
//	loss                      float32[1]  mean over rows and channels of (ε-ε̂)², before the update
//	grad_norm                 float32[1]  Euclidean norm of the gradient, before clipping
func TrainingGraph(cfg models.DenoiserConfig, opt TrainingOptions) ([]byte, error) {
	if err := errors.Join(cfg.Validate(), opt.check()); err != nil {
		return nil, err
	}
	if cfg.Window > 0 && opt.Rows != opt.Timesteps*cfg.Tokens() {
		return nil, fmt.Errorf("training.rows: got %d with %d timesteps, want a window of %d each",
			opt.Rows, opt.Timesteps, cfg.Tokens())
	}
	tr := training{cfg: cfg.Defaults(), opt: opt, g: graph.New(opt.DType)}
	tr.build()
	return tr.g.Marshal()
}

// AdamW holds the optimiser's settings that may change from step to step.
type AdamW struct {
	LearningRate float64
	WeightDecay  float64 // decoupled: multiplied by LearningRate
	Epsilon      float64 // 0 stands for 1e-8
	Clip         float64 // largest gradient norm; 0 stands for no limit
	Beta1, Beta2 float64 // as in TrainingOptions
}

// Hyper returns the hyper input of a training graph for a step, counted from 1.
func (a AdamW) Hyper(step int) [4]float32 {
	h := a.hyper(step)
	return [4]float32{float32(h[0]), float32(h[1]), float32(h[2]), float32(h[3])}
}

func (a AdamW) hyper(step int) [4]float64 {
	orDefault := func(v, def float64) float64 {
		if v == 0 {
			return def
		}
		return v
	}
	c1 := 1 - math.Pow(orDefault(a.Beta1, 0.9), float64(step))
	c2 := 1 - math.Pow(orDefault(a.Beta2, 0.999), float64(step))
	return [4]float64{
		1 - a.LearningRate*a.WeightDecay,
		c1 / (a.LearningRate * math.Sqrt(c2)),
		orDefault(a.Epsilon, 1e-8) * c1 / a.LearningRate,
		orDefault(a.Clip, math.MaxFloat32),
	}
}

type training struct {
	cfg    models.DenoiserConfig
	opt    TrainingOptions
	g      *graph.Graph
	params map[string]*graph.Tensor
	list   []*graph.Tensor // params in order
	time   *graph.Tensor   // [M, Width]: the input of the blocks' time layers, or of the blocks without any
}

func (tr *training) build() {
	g, dt, size := tr.g, tr.opt.DType, int64(DenoiserSize(tr.cfg))
	n, c, m := int64(tr.opt.Rows), int64(tr.cfg.Channels), int64(tr.opt.Timesteps)
	flat := g.Input("params", dt, size)
	mom, vel := g.Input("m", dt, size), g.Input("v", dt, size)
	x0, eps := g.Input("x0", dt, n, c), g.Input("eps", dt, n, c)
	t := g.Input("t", graph.Int64, m)
	hyper := g.Split(g.Input("hyper", dt, 4), 0, 1, 1, 1, 1)

	tr.bind(flat)
	xt := tr.diffuse(x0, eps, t)
	tr.time = tr.embed(t)
	groupNorm := func(x, gamma, beta *graph.Tensor) *graph.Tensor {
		return g.GroupNorm(x, gamma, beta, tr.cfg.Groups)
	}
	body := denoiserBody{
		g: g, cfg: tr.cfg, addTime: tr.addTime, norm: groupNorm, normSecond: groupNorm,
		param: func(name string) *graph.Tensor { return tr.params[name] },
	}
	hat := body.forward(xt)
	diff := g.Sub(hat, eps)
	loss := g.Reshape(g.Reduce("ReduceMean", g.Mul(diff, diff), true, 0, 1), 1)

	seed := g.Mul(diff, g.Scalar(2/float64(n*c)))
	grads := g.Backward(map[*graph.Tensor]*graph.Tensor{hat: seed}, tr.list)
	g.Output(loss, "loss")
	update(g, grads, flat, mom, vel, hyper, graph.AdamWOptions{Beta1: tr.opt.Beta1, Beta2: tr.opt.Beta2})
}

// update appends a step of AdamW, with the norm of the gradient limited, and the outputs params_out, m_out, v_out and grad_norm.
// grads are the gradients of the parameters in flat, in their order.
func update(g *graph.Graph, grads []*graph.Tensor, flat, m, v *graph.Tensor, hyper []*graph.Tensor, o graph.AdamWOptions) {
	for i, d := range grads {
		grads[i] = g.Reshape(d, -1)
	}
	grad := g.Concat(0, grads...)
	norm := g.Reshape(g.Reduce("ReduceL2", g.Reshape(grad, 1, -1), true, 1), 1)
	limit := g.Min(g.Scalar(1), g.Div(hyper[3], g.Add(norm, g.Scalar(1e-6))))
	p2, m2, v2 := g.AdamW(flat, g.Mul(grad, limit), m, v, hyper[0], hyper[1], hyper[2], o)
	g.Output(p2, "params_out")
	g.Output(m2, "m_out")
	g.Output(v2, "v_out")
	g.Output(norm, "grad_norm")
}

// bind cuts the flat vector into the parameters.
func (tr *training) bind(flat *graph.Tensor) {
	specs := DenoiserParams(tr.cfg)
	sizes := make([]int64, len(specs))
	for i, p := range specs {
		sizes[i] = int64(p.Size())
	}
	tr.params = map[string]*graph.Tensor{}
	for i, part := range tr.g.Split(flat, 0, sizes...) {
		if len(specs[i].Shape) > 1 {
			part = tr.g.Reshape(part, int64s(specs[i].Shape)...)
		}
		tr.params[specs[i].Name] = part
		tr.list = append(tr.list, part)
	}
}

// diffuse returns √ᾱ(t)·x0 + √(1-ᾱ(t))·ε.
func (tr *training) diffuse(x0, eps, t *graph.Tensor) *graph.Tensor {
	g := tr.g
	a, b := schedule()
	byTime := func(x *graph.Tensor, table []float64) *graph.Tensor {
		x3 := g.Reshape(x, -1, int64(tr.opt.Timesteps), int64(tr.cfg.Channels))
		return g.Mul(x3, g.Gather(g.Const64(table, models.Timesteps, 1), t, 0))
	}
	return g.Reshape(g.Add(byTime(x0, a), byTime(eps, b)), int64(tr.opt.Rows), int64(tr.cfg.Channels))
}

// embed returns the time embedding of each timestep.
func (tr *training) embed(t *graph.Tensor) *graph.Tensor {
	g, w := tr.g, tr.cfg.Width
	table := make([]float64, 0, models.Timesteps*w)
	for t := range models.Timesteps {
		if tr.cfg.Time == models.TimeSinusoidal {
			table = append(table, sinusoid(float64(t), w)...)
			continue
		}
		for range w {
			table = append(table, float64(t))
		}
	}
	e := g.Gather(g.Const64(table, models.Timesteps, int64(w)), t, 0)
	e = tr.linear(e, "denoiser.time_embed.0")
	if tr.cfg.Time == models.TimeSinusoidal {
		e = g.SiLU(tr.linear(g.SiLU(e), "denoiser.time_embed.2"))
	}
	return e
}

func (tr *training) linear(x *graph.Tensor, name string) *graph.Tensor {
	return tr.g.Linear(x, tr.params[name+".weight"], tr.params[name+".bias"])
}

func (tr *training) addTime(h *graph.Tensor, block string) *graph.Tensor {
	tv := tr.time
	if tr.cfg.Time == models.TimeSinusoidal {
		tv = tr.linear(tv, block+".emb_layers.1")
	}
	return tr.g.AddPerTime(h, tv)
}
