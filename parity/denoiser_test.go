package parity_test

import (
	"math"
	"slices"
	"testing"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/detector/diffusion"
	"github.com/oodcast/oodcast/detector/ort"
	"github.com/oodcast/oodcast/models"
	"github.com/oodcast/oodcast/models/checkpoint"
	"github.com/oodcast/oodcast/models/nets"
)

// denoise compares scores and predicted noise of the bundle's denoiser.
func (c *oracleCase) denoise(t *testing.T, b *models.Bundle) {
	t.Helper()
	weights, err := b.Denoiser()
	if err != nil {
		t.Fatal(err)
	}
	given := func(name string) []float32 { return c.expected["denoiser/"+name].Data }
	steps := timesteps(given("timesteps"))
	for kind, score := range map[string]string{"cosine": models.ScoreCosine, "mse": models.ScoreMSE} {
		if c.expected["denoiser/"+kind] != nil {
			c.check(t, "denoiser/"+kind, scores(t, b, weights, score, given("features"), given("noise"), steps))
		}
	}
	if c.expected["denoiser/epsilon"] != nil {
		c.check(t, "denoiser/epsilon", epsilon(t, b, weights, given("features"), given("noise"), steps))
	}
}

func timesteps(v []float32) []int64 {
	out := make([]int64, len(v))
	for i, x := range v {
		out[i] = int64(x)
	}
	return out
}

// scores runs the graph that scores features [n,C] with noise [T,n,C].
func scores(t *testing.T, b *models.Bundle, weights checkpoint.Tensors, kind string, features, noise []float32, steps []int64) []float32 {
	t.Helper()
	c := int64(b.Manifest.Denoiser.Channels)
	model, err := nets.ScoringGraph(*b.Manifest.Denoiser, weights, nets.ScoringOptions{Score: kind})
	if err != nil {
		t.Fatal(err)
	}
	n, k := int64(len(features))/c, int64(len(steps))
	out := run(t, session(t, model), map[string]*ort.Tensor{
		"features": tensor(t, features, n, c), "noise": tensor(t, noise, k, n, c), "timesteps": tensor(t, steps, k),
	})
	return ort.Data[float32](out["scores"])
}

// epsilon returns the predicted noise [T,n,C]. No graph has it as an output, but a reverse step is linear in it:
// x_{t-1} = √(ᾱ(t-1)/ᾱ(t))·x_t + (√(1-ᾱ(t-1)) - √((1-ᾱ(t))·ᾱ(t-1)/ᾱ(t)))·ε̂.
func epsilon(t *testing.T, b *models.Bundle, weights checkpoint.Tensors, features, noise []float32, steps []int64) []float32 {
	t.Helper()
	c := b.Manifest.Denoiser.Channels
	shift, scale, err := nets.Normalisation(weights, c)
	if err != nil {
		t.Fatal(err)
	}
	model, err := nets.ReverseGraph(*b.Manifest.Denoiser, weights, int(slices.Max(steps)))
	if err != nil {
		t.Fatal(err)
	}
	s, schedule := session(t, model), diffusion.NewSchedule()
	var all []float32
	for i, step := range steps {
		x := make([]float32, len(features))
		for j, f := range features {
			x[j] = (f - shift[j%c]) / scale[j%c]
		}
		x = schedule.NoiseTo(x, x, noise[i*len(x):][:len(x)], int(step))
		out := run(t, s, map[string]*ort.Tensor{"x": tensor(t, x, int64(len(x)/c), int64(c)), "timestep": tensor(t, []int64{step}, 1)})
		alpha, before := alphaBar(step), alphaBar(step-1)
		keep := math.Sqrt(before / alpha)
		remove := math.Sqrt(1-before) - keep*math.Sqrt(1-alpha)
		for j, v := range ort.Data[float32](out["previous"]) {
			all = append(all, float32((float64(v)-keep*float64(x[j]))/remove))
		}
	}
	return all
}

// alphaBar returns ᾱ(t), 1 before the first step, in double precision: the factor of ε̂ is a small difference.
func alphaBar(t int64) float64 {
	product := 1.0
	for i := range t + 1 {
		product *= 1 - (1e-4 + (0.02-1e-4)*float64(i)/999)
	}
	return product
}

// scoreMap combines the scores of an encoded picture with its uncertainty, given noise and statistics.
func (c *oracleCase) scoreMap(t *testing.T, b *models.Bundle, pic string, out map[string]models.Output) []float32 {
	t.Helper()
	weights, err := b.Denoiser()
	if err != nil {
		t.Fatal(err)
	}
	f, l := out["features"], out["logits"]
	steps := make([]int64, len(b.Diffusion.Timesteps))
	for i, s := range b.Diffusion.Timesteps {
		steps[i] = int64(s)
	}
	e := scores(t, b, weights, b.Diffusion.Score, f.Data, c.expected[pic+"/noise"].Data, steps)
	m := c.expected[pic+"/moments"].Data
	cal := detector.Calibration{
		Timesteps: b.Diffusion.Timesteps, Min: make([]float64, len(steps)), Max: make([]float64, len(steps)),
		// 1 - logsumexp is the uncertainty.
		LSE: detector.Moments{Mean: 1 - float64(m[2]), Std: float64(m[3])},
	}
	n := float64(len(steps))
	for range steps { // the sum over the timesteps has the mean m[0] and the deviation m[1]
		cal.Mean = append(cal.Mean, float64(m[0])/n)
		row := make([]float64, len(steps))
		for i := range row {
			row[i] = float64(m[1]) * float64(m[1]) / (n * n)
		}
		cal.Covariance = append(cal.Covariance, row)
	}
	enc := &detector.Encoding{
		Height: int(f.Shape[0]), Width: int(f.Shape[1]), Channels: int(f.Shape[2]), Features: f.Data,
		Classes: int(l.Shape[0]), LogitsHeight: int(l.Shape[1]), LogitsWidth: int(l.Shape[2]), Logits: l.Data, LSE: out["lse"].Data,
	}
	values, err := detector.NewCompound(b.Manifest, cal, detector.PartCompound).To(nil, e, b.Diffusion.Timesteps, enc)
	if err != nil {
		t.Fatal(err)
	}
	return values
}

func session(t *testing.T, model []byte) *ort.Session {
	t.Helper()
	rt, err := ort.Open("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = rt.Close() })
	s, err := ort.NewSession(model, ort.Options{Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func tensor[T ort.Element](t *testing.T, data []T, shape ...int64) *ort.Tensor {
	t.Helper()
	x, err := ort.NewTensor(shape, data)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = x.Close() })
	return x
}

func run(t *testing.T, s *ort.Session, inputs map[string]*ort.Tensor) map[string]*ort.Tensor {
	t.Helper()
	out, err := s.Eval(inputs)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range out {
		t.Cleanup(func() { _ = o.Close() })
	}
	return out
}
