package nets_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/oodcast/oodcast/detector/ort"
	"github.com/oodcast/oodcast/models"
	"github.com/oodcast/oodcast/models/graph"
	"github.com/oodcast/oodcast/models/nets"
)

// gradientNets are networks that together use every differentiable operator and both kinds of GroupNorm.
func gradientNets() map[string]models.DenoiserConfig {
	scalar := models.TimeScalar
	return map[string]models.DenoiserConfig{
		"pooled norm":      {Channels: 16, Groups: 4, Blocks: [3]int{1, 1, 1}},
		"layer norm":       {Channels: 36, Groups: 2, Blocks: [3]int{2, 0, 2}},
		"scalar":           {Channels: 16, Groups: 4, Blocks: [3]int{2, 1, 2}, Time: scalar},
		"input projection": {Channels: 12, Width: 20, Groups: 2, Blocks: [3]int{1, 0, 1}, InputProjection: true},
		"both": {
			Channels: 20, Width: 16, Groups: 1, Blocks: [3]int{1, 1, 1}, InputProjection: true, Time: scalar,
		},
		"in space": {
			Channels: 6, Width: 8, Groups: 2, Blocks: [3]int{2, 1, 2}, InputProjection: true, Window: 4,
		},
	}
}

// The gradient agrees with central differences of the loss. Both are computed in double precision.
func TestTrainingGraphGradient(t *testing.T) {
	const times = 4
	for name, cfg := range gradientNets() {
		t.Run(name, func(t *testing.T) {
			rows := 3 * times
			if cfg.Window > 0 {
				rows = times * cfg.Tokens()
			}
			opt := nets.TrainingOptions{Rows: rows, Timesteps: times, DType: graph.Float64}
			model, err := nets.TrainingGraph(cfg, opt)
			s := open(t, model, err)
			flat, err := nets.FlattenDenoiser(cfg, randomWeights(cfg.Defaults(), 5))
			if err != nil {
				t.Fatal(err)
			}
			size := int64(len(flat))
			p, zero := wide(flat), make([]float64, len(flat))
			rnd := rand.New(rand.NewPCG(6, 6))
			in := map[string]*ort.Tensor{
				"params": tensor(t, p, size), "m": tensor(t, zero, size), "v": tensor(t, zero, size),
				"x0":    tensor(t, wide(normal(rnd, rows*cfg.Channels)), int64(rows), int64(cfg.Channels)),
				"eps":   tensor(t, wide(normal(rnd, rows*cfg.Channels)), int64(rows), int64(cfg.Channels)),
				"t":     tensor(t, []int64{0, 24, 300, 999}, times),
				"hyper": tensor(t, []float64{1, 1, 1, math.Inf(1)}, 4),
			}
			grad := ort.Data[float64](eval(t, s, in)["m_out"])
			for i := range grad {
				grad[i] *= 10 // m' = 0.1·gradient when m is 0
			}
			loss := func() float64 { return ort.Data[float64](eval(t, s, in)["loss"])[0] }
			worst, at := 0.0, 0
			for range 200 {
				i := rnd.IntN(len(p))
				const h = 1e-5
				old := p[i]
				p[i] = old + h
				up := loss()
				p[i] = old - h
				down := loss()
				p[i] = old
				// Relative to the size of the gradient, with a floor for entries that are nearly zero.
				if d := math.Abs(grad[i]-(up-down)/(2*h)) / (math.Abs(grad[i]) + 1e-3); d > worst {
					worst, at = d, i
				}
			}
			t.Logf("largest deviation %.2g of 200 of %d entries", worst, len(p))
			if !(worst < 1e-5) {
				t.Errorf("gradient of entry %d deviates by %g of its size from the central difference", at, worst)
			}
		})
	}
}

func wide(x []float32) []float64 {
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = float64(v)
	}
	return y
}

// trainer runs steps of a training graph.
type trainer struct {
	session *ort.Session
	state   [3][]float32 // params, m, v
	rows    int
	times   int
	c       int
}

func newTrainer(t testing.TB, cfg models.DenoiserConfig, rows, times int) *trainer {
	t.Helper()
	model, err := nets.TrainingGraph(cfg, nets.TrainingOptions{Rows: rows, Timesteps: times})
	flat, ferr := nets.FlattenDenoiser(cfg, nets.InitDenoiser(cfg, 1))
	if ferr != nil {
		t.Fatal(ferr)
	}
	return &trainer{
		session: open(t, model, err), rows: rows, times: times, c: cfg.Channels,
		state: [3][]float32{flat, make([]float32, len(flat)), make([]float32, len(flat))},
	}
}

// step returns the loss and the norm of the gradient.
func (tr *trainer) step(t testing.TB, x0, eps []float32, ts []int64, hyper [4]float32) (loss, norm float32) {
	t.Helper()
	size, n, c := int64(len(tr.state[0])), int64(tr.rows), int64(tr.c)
	out := eval(t, tr.session, map[string]*ort.Tensor{
		"params": tensor(t, tr.state[0], size), "m": tensor(t, tr.state[1], size), "v": tensor(t, tr.state[2], size),
		"x0": tensor(t, x0, n, c), "eps": tensor(t, eps, n, c), "t": tensor(t, ts, int64(tr.times)),
		"hyper": tensor(t, hyper[:], 4),
	})
	for i, name := range []string{"params_out", "m_out", "v_out"} {
		tr.state[i] = append([]float32(nil), ort.Data[float32](out[name])...)
	}
	return ort.Data[float32](out["loss"])[0], ort.Data[float32](out["grad_norm"])[0]
}

// batch draws correlated features: three directions of large variance, so that there is something to learn.
func batch(rnd *rand.Rand, rows, times, c int) (x0, eps []float32, ts []int64) {
	x0, eps = make([]float32, rows*c), normal(rnd, rows*c)
	for r := range rows {
		a := normal(rnd, 3)
		for i := range c {
			x0[r*c+i] = a[i%3]*float32(math.Cos(float64(i))) + 0.05*float32(rnd.NormFloat64())
		}
	}
	for i := range times {
		ts = append(ts, int64((i*models.Timesteps+rnd.IntN(models.Timesteps))/times))
	}
	return x0, eps, ts
}

func TestTrainingGraphLearns(t *testing.T) {
	cfg := models.DenoiserConfig{Channels: 24, Width: 32, Groups: 8, Blocks: [3]int{1, 1, 1}, InputProjection: true}
	run := func() (first, last float64, params []float32) {
		tr := newTrainer(t, cfg, 256, 64)
		rnd := rand.New(rand.NewPCG(1, 1))
		opt := nets.AdamW{LearningRate: 2e-3, WeightDecay: 1e-4, Clip: 1}
		for s := 1; s <= 150; s++ {
			x0, eps, ts := batch(rnd, 256, 64, cfg.Channels)
			loss, _ := tr.step(t, x0, eps, ts, opt.Hyper(s))
			if s == 1 {
				first = float64(loss)
			}
			if s > 140 {
				last += float64(loss) / 10
			}
		}
		return first, last, tr.state[0]
	}
	first, last, a := run()
	// The untrained network predicts zero, so the loss is the variance of the noise. Much of this noise is predictable.
	if math.Abs(first-1) > 0.05 || last > 0.6 {
		t.Errorf("loss went from %.3f to %.3f, want from 1 to less than 0.6", first, last)
	}
	_, _, b := run()
	for i := range a {
		if a[i] != b[i] {
			t.Fatalf("two runs of the same training differ in parameter %d: %g and %g", i, a[i], b[i])
		}
	}
}

// The update is AdamW as PyTorch defines it, with the gradient taken from the moments of an unclipped step.
func TestTrainingGraphAdamW(t *testing.T) {
	cfg := models.DenoiserConfig{Channels: 16, Groups: 4, Blocks: [3]int{1, 0, 1}}
	opt := nets.AdamW{LearningRate: 0.01, WeightDecay: 0.1, Clip: 0.25}
	rnd := rand.New(rand.NewPCG(1, 1))
	tr, free := newTrainer(t, cfg, 32, 32), newTrainer(t, cfg, 32, 32)
	p, m, v := wide(tr.state[0]), make([]float64, len(tr.state[0])), make([]float64, len(tr.state[0]))
	for s := 1; s <= 3; s++ {
		x0, eps, ts := batch(rnd, 32, 32, cfg.Channels)
		free.state = [3][]float32{tr.state[0], make([]float32, len(p)), make([]float32, len(p))}
		free.step(t, x0, eps, ts, nets.AdamW{LearningRate: 1}.Hyper(s))
		_, norm := tr.step(t, x0, eps, ts, opt.Hyper(s))
		var sum float64
		for _, g := range free.state[1] {
			sum += 100 * float64(g) * float64(g)
		}
		if math.Abs(math.Sqrt(sum)-float64(norm)) > 1e-4*float64(norm) {
			t.Fatalf("step %d: gradient norm %g, want %g", s, norm, math.Sqrt(sum))
		}
		for i := range p {
			g := 10 * float64(free.state[1][i]) * min(1, opt.Clip/math.Sqrt(sum))
			m[i], v[i] = 0.9*m[i]+0.1*g, 0.999*v[i]+0.001*g*g
			mhat, vhat := m[i]/(1-math.Pow(0.9, float64(s))), v[i]/(1-math.Pow(0.999, float64(s)))
			p[i] -= opt.LearningRate * (opt.WeightDecay*p[i] + mhat/(math.Sqrt(vhat)+1e-8))
			// Where the gradient is far smaller than epsilon, float32 moments round differently.
			if math.Abs(g) > 1e-6 && math.Abs(p[i]-float64(tr.state[0][i])) > 2e-5 {
				t.Fatalf("step %d: parameter %d is %g, want %g (gradient %g)", s, i, tr.state[0][i], p[i], g)
			}
			p[i] = float64(tr.state[0][i])
		}
	}
}

func TestTrainingGraphRefuses(t *testing.T) {
	cfg := models.DenoiserConfig{Channels: 16, Groups: 4, Blocks: [3]int{1, 0, 1}}
	_, err := nets.TrainingGraph(cfg, nets.TrainingOptions{Rows: 10, Timesteps: 3})
	if want := "training.timesteps: got 3, want a divisor of the 10 rows"; err == nil || err.Error() != want {
		t.Errorf("TrainingGraph() = %v, want %q", err, want)
	}
}

func TestFlattenRoundTrip(t *testing.T) {
	cfg := models.DenoiserConfig{Channels: 16, Groups: 4, Blocks: [3]int{1, 0, 1}}
	want := nets.InitDenoiser(cfg, 7)
	flat, err := nets.FlattenDenoiser(cfg, want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := nets.UnflattenDenoiser(cfg, flat)
	if err != nil {
		t.Fatal(err)
	}
	for name, w := range want {
		for i, v := range w.Data {
			if got[name].Data[i] != v {
				t.Fatalf("%s[%d] = %g, want %g", name, i, got[name].Data[i], v)
			}
		}
	}
	if _, err := nets.UnflattenDenoiser(cfg, flat[1:]); err == nil {
		t.Error("UnflattenDenoiser() accepts a short vector")
	}
	delete(want, "denoiser.out.0.bias")
	if _, err := nets.FlattenDenoiser(cfg, want); err == nil {
		t.Error("FlattenDenoiser() accepts weights without denoiser.out.0.bias")
	}
}
