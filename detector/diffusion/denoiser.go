package diffusion

import (
	"fmt"
	"math"

	"github.com/oodcast/oodcast/models"
)

// Denoiser is the MLP that predicts the noise in a feature vector ("UNet0D": residual blocks with skip connections, but
// without spatial dimensions). Its fields have no defaults: all but InputProjection must be set.
type Denoiser struct {
	Channels        int    // C: length of a feature
	Width           int    // hidden width; equals Channels without an input projection
	Groups          int    // groups of each GroupNorm
	Blocks          [3]int // input, middle and output blocks
	Time            string // models.TimeSinusoidal or models.TimeScalar
	InputProjection bool   // a Linear(Channels → Width) before the first block

	// Params holds the weights under the names of the official checkpoints, row-major, linear layers as [out, in].
	Params map[string][]float32
}

const groupNormEpsilon = 1e-5

// Predict returns the predicted noise in the feature vectors x (rows × Channels), which were noised to timestep t.
func (d *Denoiser) Predict(x []float32, t int) ([]float32, error) {
	if len(x)%d.Channels != 0 {
		panic("diffusion: features are not a whole number of rows")
	}
	f := &forward{d: d, rows: len(x) / d.Channels}
	out := f.net(x, t)
	if f.err != nil {
		return nil, f.err
	}
	return out, nil
}

// Score returns e_t of each row: the score of the denoiser's prediction of the noise eps at timestep t. With antithetic
// noise, it is the mean over +eps and -eps.
func (d *Denoiser) Score(
	s *Schedule, x, eps []float32, t int, antithetic bool, score func(eps, pred []float32) float32,
) ([]float32, error) {
	signs := []float32{1}
	if antithetic {
		signs = append(signs, -1)
	}
	out := make([]float32, len(x)/d.Channels)
	signed, xt := make([]float32, len(eps)), make([]float32, len(x))
	for _, sign := range signs {
		for i, e := range eps {
			signed[i] = sign * e
		}
		pred, err := d.Predict(s.NoiseTo(xt, x, signed, t), t)
		if err != nil {
			return nil, err
		}
		for i := range out {
			row := i * d.Channels
			out[i] += score(signed[row:row+d.Channels], pred[row:row+d.Channels]) / float32(len(signs))
		}
	}
	return out, nil
}

// forward is one evaluation. err names the first missing weight.
type forward struct {
	d    *Denoiser
	rows int
	err  error
}

func (f *forward) net(x []float32, t int) []float32 {
	d := f.d
	emb := f.embedding(t)
	h := x
	if d.InputProjection {
		h = f.linear(h, d.Channels, d.Width, "denoiser.in_proj")
	}
	var skips [][]float32
	for i := range d.Blocks[0] {
		h = f.block(h, d.Width, emb, fmt.Sprintf("denoiser.input_blocks.%d.0", i))
		skips = append(skips, h)
	}
	for i := range d.Blocks[1] {
		h = f.block(h, d.Width, emb, fmt.Sprintf("denoiser.middle_blocks.%d.0", i))
	}
	for i := range d.Blocks[2] {
		skip := skips[len(skips)-1]
		skips = skips[:len(skips)-1]
		h = f.block(f.concat(h, skip), 2*d.Width, emb, fmt.Sprintf("denoiser.output_blocks.%d.0", i))
	}
	h = f.siluNorm(h, d.Width, "denoiser.out.0")
	return f.linear(h, d.Width, d.Channels, "denoiser.out.2")
}

// block returns Linear(SiLU(GN(h))) for h = Linear(SiLU(GN(x))) + time, plus x or its projection.
func (f *forward) block(x []float32, in int, emb []float32, name string) []float32 {
	w := f.d.Width
	h := f.linear(f.siluNorm(x, in, name+".in_layers.0"), in, w, name+".in_layers.2")
	tv := emb
	if f.d.Time == models.TimeSinusoidal {
		one := &forward{d: f.d, rows: 1}
		tv = one.linear(silu(emb), w, w, name+".emb_layers.1")
		f.keep(one.err)
	}
	for i := range h {
		h[i] += tv[i%w]
	}
	h = f.linear(f.siluNorm(h, w, name+".out_layers.0"), w, w, name+".out_layers.3")
	skip := x
	if in != w {
		skip = f.linear(x, in, w, name+".skip_connection")
	}
	for i := range h {
		h[i] += skip[i]
	}
	return h
}

// embedding returns the time embedding of t before the time layers of the blocks.
func (f *forward) embedding(t int) []float32 {
	w := f.d.Width
	one := &forward{d: f.d, rows: 1}
	defer func() { f.keep(one.err) }()
	if f.d.Time == models.TimeScalar {
		return one.linear(Timestep(models.TimeScalar, t, w), w, w, "denoiser.time_embed.0")
	}
	h := one.linear(Timestep(models.TimeSinusoidal, t, w), w, w, "denoiser.time_embed.0")
	return one.linear(silu(h), w, w, "denoiser.time_embed.2")
}

// Timestep returns the input of the first layer of the time embedding: [cos(t·f_j) …, sin(t·f_j) …] with
// f_j = 10000^(-j/(width/2)), or copies of t.
func Timestep(form string, t, width int) []float32 {
	v := make([]float32, width)
	if form == models.TimeScalar {
		for i := range v {
			v[i] = float32(t)
		}
		return v
	}
	half := width / 2
	for j := range half {
		// In float32, like the reference: at t = 999, the rounding of f_j shows in the fifth digit.
		freq := float32(math.Exp(-math.Log(10000) * float64(j) / float64(half)))
		arg := float64(float32(t) * freq)
		v[j], v[half+j] = float32(math.Cos(arg)), float32(math.Sin(arg))
	}
	return v
}

func (f *forward) keep(err error) {
	if f.err == nil {
		f.err = err
	}
}

// param returns a weight. If it is missing or has the wrong size, param records an error and returns zeros.
func (f *forward) param(name string, size int) []float32 {
	p := f.d.Params[name]
	if len(p) != size {
		f.keep(fmt.Errorf("diffusion: weight %q: got %d values, want %d", name, len(p), size))
		return make([]float32, size)
	}
	return p
}

func (f *forward) linear(x []float32, in, out int, name string) []float32 {
	w, b := f.param(name+".weight", in*out), f.param(name+".bias", out)
	y := make([]float32, f.rows*out)
	for r := range f.rows {
		row := x[r*in:][:in]
		for o := range out {
			sum := float64(b[o])
			for i, wi := range w[o*in:][:in] {
				sum += float64(wi) * float64(row[i])
			}
			y[r*out+o] = float32(sum)
		}
	}
	return y
}

// siluNorm returns SiLU(GroupNorm(x)) of each row, with biased variance.
func (f *forward) siluNorm(x []float32, c int, name string) []float32 {
	gamma, beta := f.param(name+".weight", c), f.param(name+".bias", c)
	size := c / f.d.Groups
	y := make([]float32, len(x))
	for start := 0; start < len(x); start += size {
		var mean, variance float64
		for _, v := range x[start:][:size] {
			mean += float64(v) / float64(size)
		}
		for _, v := range x[start:][:size] {
			variance += (float64(v) - mean) * (float64(v) - mean) / float64(size)
		}
		inv := 1 / math.Sqrt(variance+groupNormEpsilon)
		for i, v := range x[start:][:size] {
			ch := (start + i) % c
			y[start+i] = float32((float64(v)-mean)*inv*float64(gamma[ch]) + float64(beta[ch]))
		}
	}
	return silu(y)
}

func (f *forward) concat(a, b []float32) []float32 {
	w := f.d.Width
	out := make([]float32, 0, 2*len(a))
	for r := range f.rows {
		out = append(out, a[r*w:][:w]...)
		out = append(out, b[r*w:][:w]...)
	}
	return out
}

func silu(x []float32) []float32 {
	y := make([]float32, len(x))
	for i, v := range x {
		y[i] = float32(float64(v) / (1 + math.Exp(-float64(v))))
	}
	return y
}
