package nets

import (
	"errors"
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"

	"github.com/oodcast/oodcast/models/checkpoint"
)

// Timesteps is the length T of the diffusion process every denoiser here is trained for.
const Timesteps = 1000

// The time embeddings that a denoiser can have.
const (
	// TimeSinusoidal embeds t as cosines and sines, two linear layers, and one more in every block.
	TimeSinusoidal = "sinusoidal"
	// TimeScalar repeats the number t over all channels, puts it through one linear layer and adds that in every block.
	TimeScalar = "scalar"
)

// DenoiserConfig describes the network that predicts the noise in a feature vector: a U-Net without space, of residual
// blocks with skip connections (DOoD, ECCV 2024, appendix B, and the released weights).
type DenoiserConfig struct {
	// Channels is the length of a feature vector.
	Channels int `yaml:"channels" json:"channels"`
	// Width is the number of hidden channels, even and a multiple of Groups; 0 stands for Channels.
	Width int `yaml:"width" json:"width"`
	// Groups is the number of groups of every GroupNorm; 0 stands for 32.
	Groups int `yaml:"groups" json:"groups"`
	// Blocks counts the input, middle and output blocks; as many output as input blocks.
	Blocks [3]int `yaml:"blocks" json:"blocks"`
	// Time is the time embedding: TimeSinusoidal or TimeScalar; empty stands for TimeSinusoidal.
	Time string `yaml:"time_embedding" json:"time_embedding"`
	// InputProjection puts a linear layer in front, so that Width may differ from Channels.
	InputProjection bool `yaml:"input_projection" json:"input_projection"`
	// Window makes it a U-Net in space, the paper's ablation: the net sees squares of Window × Window features at once,
	// the layers of its blocks are convolutions of 3×3, and every input block but the first works on half the side of
	// the one before. A multiple of 2^(Blocks[0]-1). Default 0: every feature by itself.
	Window int `yaml:"window,omitempty" json:"window,omitempty"`
}

// Tokens is the number of features that the net sees at once.
func (d DenoiserConfig) Tokens() int { return max(1, d.Window*d.Window) }

// kernel is the number of cells that the layers of the blocks see.
func (d DenoiserConfig) kernel() int {
	if d.Window > 0 {
		return 9
	}
	return 1
}

// Defaults returns d with zero fields filled in.
func (d DenoiserConfig) Defaults() DenoiserConfig {
	if d.Width == 0 {
		d.Width = d.Channels
	}
	if d.Groups == 0 {
		d.Groups = 32
	}
	if d.Time == "" {
		d.Time = TimeSinusoidal
	}
	return d
}

// Validate reports everything that is wrong with d after [DenoiserConfig.Defaults].
func (d DenoiserConfig) Validate() error {
	d = d.Defaults()
	var errs []error
	bad := func(field string, got any, want string) {
		errs = append(errs, fmt.Errorf("denoiser.%s: got %v, want %s", field, got, want))
	}
	if d.Channels < 1 || d.Channels > 16384 {
		bad("channels", d.Channels, "1 to 16384")
	}
	if d.Width < 2 || d.Width > 16384 || d.Width%2 != 0 {
		bad("width", d.Width, "an even number from 2 to 16384")
	}
	if d.Groups < 1 || d.Width%max(1, d.Groups) != 0 {
		bad("groups", d.Groups, fmt.Sprintf("a divisor of the width %d", d.Width))
	}
	if d.Blocks[0] < 1 || d.Blocks[0] > 64 || d.Blocks[1] < 0 || d.Blocks[1] > 64 || d.Blocks[0] != d.Blocks[2] {
		bad("blocks", d.Blocks, "[n m n] with n from 1 to 64 and m from 0 to 64")
	}
	if d.Time != TimeSinusoidal && d.Time != TimeScalar {
		bad("time_embedding", fmt.Sprintf("%q", d.Time), "sinusoidal or scalar")
	}
	if unit := 1 << max(0, min(d.Blocks[0]-1, 5)); d.Window < 0 || d.Window > 64 || d.Window%unit != 0 ||
		d.Window > 0 && d.Window < 2*unit {
		bad("window", d.Window, fmt.Sprintf("0, or a multiple of %d from %d to 64", unit, 2*unit))
	}
	if d.Width != d.Channels && !d.InputProjection {
		bad("input_projection", false, fmt.Sprintf("true, as the width %d is not the %d channels", d.Width, d.Channels))
	}
	return errors.Join(errs...)
}

// InitKind says what a parameter starts from before training.
type InitKind int

const (
	// InitUniform is PyTorch's default for linear layers: uniform in ±1/sqrt(FanIn).
	InitUniform InitKind = iota
	// InitZero is all zeros: biases of norms, and the last layer of every block and of the net.
	InitZero
	// InitOne is all ones: weights of norms.
	InitOne
)

// ParamSpec describes one parameter tensor of a network.
type ParamSpec struct {
	Name  string // the key in the official checkpoints
	Shape []int  // linear layers are [out, in]
	Init  InitKind
	FanIn int // for InitUniform
}

// Size returns the number of elements.
func (p ParamSpec) Size() int {
	n := 1
	for _, d := range p.Shape {
		n *= d
	}
	return n
}

// block is one residual block: its name and its input channels (the output has Width).
type block struct {
	name string
	in   int
}

func (d DenoiserConfig) blocks() []block {
	d = d.Defaults()
	var bs []block
	for part, name := range []string{"input_blocks", "middle_blocks", "output_blocks"} {
		in := d.Width
		if part == 2 {
			in = 2 * d.Width
		}
		for i := range d.Blocks[part] {
			bs = append(bs, block{fmt.Sprintf("denoiser.%s.%d.0", name, i), in})
		}
	}
	return bs
}

// Params lists the parameters in checkpoint order, which is also the order of the flat vector of a training graph.
func (d DenoiserConfig) Params() []ParamSpec {
	d = d.Defaults()
	var ps []ParamSpec
	linear := func(name string, in, out int, kind InitKind) {
		ps = append(ps, ParamSpec{name + ".weight", []int{out, in}, kind, in},
			ParamSpec{name + ".bias", []int{out}, kind, in})
	}
	norm := func(name string, c int) {
		ps = append(ps, ParamSpec{Name: name + ".weight", Shape: []int{c}, Init: InitOne},
			ParamSpec{Name: name + ".bias", Shape: []int{c}, Init: InitZero})
	}
	w := d.Width
	linear("denoiser.time_embed.0", w, w, InitUniform)
	if d.Time == TimeSinusoidal {
		linear("denoiser.time_embed.2", w, w, InitUniform)
	}
	if d.InputProjection {
		linear("denoiser.in_proj", d.Channels, w, InitUniform)
	}
	for _, b := range d.blocks() {
		norm(b.name+".in_layers.0", b.in)
		linear(b.name+".in_layers.2", d.kernel()*b.in, w, InitUniform)
		if d.Time == TimeSinusoidal {
			linear(b.name+".emb_layers.1", w, w, InitUniform)
		}
		norm(b.name+".out_layers.0", w)
		linear(b.name+".out_layers.3", d.kernel()*w, w, InitZero)
		if b.in != w {
			linear(b.name+".skip_connection", b.in, w, InitUniform)
		}
	}
	norm("denoiser.out.0", w)
	linear("denoiser.out.2", d.kernel()*w, d.Channels, InitZero)
	return ps
}

func (d DenoiserConfig) shapes() map[string][]int {
	m := map[string][]int{}
	for _, p := range d.Params() {
		m[p.Name] = p.Shape
	}
	return m
}

// Size returns the number of parameters.
func (d DenoiserConfig) Size() int {
	n := 0
	for _, p := range d.Params() {
		n += p.Size()
	}
	return n
}

// Init makes the weights that training starts from. Each tensor depends on seed and on its own name alone.
func (d DenoiserConfig) Init(seed uint64) checkpoint.Tensors {
	ts := checkpoint.Tensors{}
	for _, p := range d.Params() {
		t := &checkpoint.Tensor{Name: p.Name, Shape: p.Shape, Data: make([]float32, p.Size())}
		switch p.Init {
		case InitOne:
			for i := range t.Data {
				t.Data[i] = 1
			}
		case InitUniform:
			h := fnv.New64a()
			h.Write([]byte(p.Name))
			rnd := rand.New(rand.NewPCG(seed, h.Sum64()))
			bound := 1 / math.Sqrt(float64(p.FanIn))
			for i := range t.Data {
				t.Data[i] = float32((2*rnd.Float64() - 1) * bound)
			}
		case InitZero:
		}
		ts[p.Name] = t
	}
	return ts
}

// Flatten concatenates the parameters in the order of [DenoiserConfig.Params].
func (d DenoiserConfig) Flatten(ts checkpoint.Tensors) ([]float32, error) {
	flat := make([]float32, 0, d.Size())
	for _, p := range d.Params() {
		t, err := ts.Get(p.Name, p.Shape...)
		if err != nil {
			return nil, fmt.Errorf("denoiser weights: %w", err)
		}
		flat = append(flat, t.Data...)
	}
	return flat, nil
}

// Unflatten is the inverse of [DenoiserConfig.Flatten]; it copies.
func (d DenoiserConfig) Unflatten(flat []float32) (checkpoint.Tensors, error) {
	if n := d.Size(); len(flat) != n {
		return nil, fmt.Errorf("denoiser weights: %d values, want %d", len(flat), n)
	}
	ts := checkpoint.Tensors{}
	for _, p := range d.Params() {
		n := p.Size()
		ts[p.Name] = &checkpoint.Tensor{Name: p.Name, Shape: p.Shape, Data: append([]float32(nil), flat[:n]...)}
		flat = flat[n:]
	}
	return ts, nil
}
