package nets_test

import (
	"fmt"
	"math"

	"github.com/oodcast/oodcast/models"
	"github.com/oodcast/oodcast/models/checkpoint"
	"github.com/oodcast/oodcast/models/nets"
)

// refNet is the denoiser on one row, in double precision. It was written from the description of the network, not from the
// graph.
type refNet struct {
	cfg models.DenoiserConfig
	w   checkpoint.Tensors
}

func (r refNet) linear(x []float64, name string) []float64 {
	w, b := r.w[name+".weight"], r.w[name+".bias"]
	y := make([]float64, len(b.Data))
	for o := range y {
		y[o] = float64(b.Data[o])
		for i, v := range x {
			y[o] += v * float64(w.Data[o*len(x)+i])
		}
	}
	return y
}

func (r refNet) norm(x []float64, name string) []float64 {
	w, b := r.w[name+".weight"], r.w[name+".bias"]
	k := len(x) / r.cfg.Groups
	y := make([]float64, len(x))
	for from := 0; from < len(x); from += k {
		mean, variance := 0.0, 0.0
		for _, v := range x[from : from+k] {
			mean += v / float64(k)
		}
		for _, v := range x[from : from+k] {
			variance += (v - mean) * (v - mean) / float64(k)
		}
		for i := from; i < from+k; i++ {
			y[i] = (x[i]-mean)/math.Sqrt(variance+1e-5)*float64(w.Data[i]) + float64(b.Data[i])
		}
	}
	return refSiLU(y)
}

func refSiLU(x []float64) []float64 {
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = v / (1 + math.Exp(-v))
	}
	return y
}

func refAdd(a, b []float64) []float64 {
	y := make([]float64, len(a))
	for i := range a {
		y[i] = a[i] + b[i]
	}
	return y
}

func (r refNet) embed(t int) []float64 {
	n := r.cfg.Width
	e := make([]float64, n)
	for j := range e {
		e[j] = float64(t)
	}
	if r.cfg.Time == models.TimeScalar {
		return r.linear(e, "denoiser.time_embed.0")
	}
	for j := range n / 2 {
		f := float64(t) * math.Exp(-math.Log(10000)*float64(j)/float64(n/2))
		e[j], e[n/2+j] = math.Cos(f), math.Sin(f)
	}
	return r.linear(refSiLU(r.linear(e, "denoiser.time_embed.0")), "denoiser.time_embed.2")
}

func (r refNet) block(x, emb []float64, name string) []float64 {
	h := r.linear(r.norm(x, name+".in_layers.0"), name+".in_layers.2")
	if r.cfg.Time == models.TimeScalar {
		h = refAdd(h, emb)
	} else {
		h = refAdd(h, r.linear(refSiLU(emb), name+".emb_layers.1"))
	}
	h = r.linear(r.norm(h, name+".out_layers.0"), name+".out_layers.3")
	if len(x) != r.cfg.Width {
		x = r.linear(x, name+".skip_connection")
	}
	return refAdd(x, h)
}

func (r refNet) forward(x []float64, t int) []float64 {
	emb := r.embed(t)
	if r.cfg.InputProjection {
		x = r.linear(x, "denoiser.in_proj")
	}
	var stack [][]float64
	for i := range r.cfg.Blocks[0] {
		x = r.block(x, emb, fmt.Sprintf("denoiser.input_blocks.%d.0", i))
		stack = append(stack, x)
	}
	for i := range r.cfg.Blocks[1] {
		x = r.block(x, emb, fmt.Sprintf("denoiser.middle_blocks.%d.0", i))
	}
	for i := range r.cfg.Blocks[2] {
		both := append(append([]float64(nil), x...), stack[len(stack)-1-i]...)
		x = r.block(both, emb, fmt.Sprintf("denoiser.output_blocks.%d.0", i))
	}
	return r.linear(r.norm(x, "denoiser.out.0"), "denoiser.out.2")
}

func refAlphaBar(t int) float64 {
	abar := 1.0
	for i := 0; i <= t; i++ {
		abar *= 1 - (1e-4 + float64(i)*(0.02-1e-4)/999)
	}
	return abar
}

// refScores returns [K,n] for tokens [n,C] and noise [K,n,C].
func refScores(cfg models.DenoiserConfig, w checkpoint.Tensors, opt nets.ScoringOptions,
	features, noise []float32, timesteps []int64,
) []float64 {
	r, c := refNet{cfg, w}, cfg.Channels
	n := len(features) / c
	out := make([]float64, 0, n*len(timesteps))
	for k, t := range timesteps {
		a := refAlphaBar(int(t))
		for row := range n {
			eval := func(sign float64) float64 {
				x, eps := make([]float64, c), make([]float64, c)
				for i := range x {
					x0 := (float64(features[row*c+i]) - float64(w["normalization.shift"].Data[i])) /
						float64(w["normalization.scale"].Data[i])
					eps[i] = sign * float64(noise[(k*n+row)*c+i])
					x[i] = math.Sqrt(a)*x0 + math.Sqrt(1-a)*eps[i]
				}
				return refCompare(opt, eps, r.forward(x, int(t)))
			}
			e := eval(1)
			if opt.Noise == models.NoiseAntithetic {
				e = (e + eval(-1)) / 2
			}
			out = append(out, e)
		}
	}
	return out
}

func refCompare(opt nets.ScoringOptions, eps, hat []float64) float64 {
	var dot, ee, hh, mse float64
	for i := range eps {
		dot += eps[i] * hat[i]
		ee += eps[i] * eps[i]
		hh += hat[i] * hat[i]
		mse += (eps[i] - hat[i]) * (eps[i] - hat[i]) / float64(len(eps))
	}
	if opt.Score == models.ScoreMSE {
		return mse
	}
	return -dot / (math.Sqrt(ee)*math.Sqrt(hh) + 1e-12)
}
