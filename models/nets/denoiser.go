package nets

import (
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"strings"

	"github.com/oodcast/oodcast/models"
	"github.com/oodcast/oodcast/models/checkpoint"
)

// kernelCells returns the number of cells that a layer of a block sees at once.
func kernelCells(d models.DenoiserConfig) int {
	if d.Window > 0 {
		return 9
	}
	return 1
}

// InitKind is how a parameter is initialised before training.
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

// block is one residual block with its number of input channels; its output has Width channels.
type block struct {
	name string
	in   int
}

func denoiserBlocks(d models.DenoiserConfig) []block {
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

// DenoiserParams lists the parameters in checkpoint order, which is also the order of the flat vector of a training graph.
func DenoiserParams(d models.DenoiserConfig) []ParamSpec {
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
	if d.Time == models.TimeSinusoidal {
		linear("denoiser.time_embed.2", w, w, InitUniform)
	}
	if d.InputProjection {
		linear("denoiser.in_proj", d.Channels, w, InitUniform)
	}
	for _, b := range denoiserBlocks(d) {
		norm(b.name+".in_layers.0", b.in)
		linear(b.name+".in_layers.2", kernelCells(d)*b.in, w, InitUniform)
		if d.Time == models.TimeSinusoidal {
			linear(b.name+".emb_layers.1", w, w, InitUniform)
		}
		norm(b.name+".out_layers.0", w)
		linear(b.name+".out_layers.3", kernelCells(d)*w, w, InitZero)
		if b.in != w {
			linear(b.name+".skip_connection", b.in, w, InitUniform)
		}
	}
	norm("denoiser.out.0", w)
	linear("denoiser.out.2", kernelCells(d)*w, d.Channels, InitZero)
	return ps
}

func denoiserShapes(d models.DenoiserConfig) map[string][]int {
	m := map[string][]int{}
	for _, p := range DenoiserParams(d) {
		m[p.Name] = p.Shape
	}
	return m
}

// DenoiserSize returns the number of parameters.
func DenoiserSize(d models.DenoiserConfig) int {
	n := 0
	for _, p := range DenoiserParams(d) {
		n += p.Size()
	}
	return n
}

// DenoiserWork returns the number of multiplications for one token at one timestep: those of every linear layer but the embedding of
// the timestep, which tables replace.
func DenoiserWork(d models.DenoiserConfig) (n int64) {
	for _, p := range DenoiserParams(d) {
		if len(p.Shape) == 2 && !strings.Contains(p.Name, "emb") {
			n += int64(p.Size())
		}
	}
	return n
}

// InitDenoiser returns the weights that training starts from. A tensor depends only on seed and on its own name.
func InitDenoiser(d models.DenoiserConfig, seed uint64) checkpoint.Tensors {
	ts := checkpoint.Tensors{}
	for _, p := range DenoiserParams(d) {
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

// FlattenDenoiser concatenates the parameters in the order of [DenoiserParams].
func FlattenDenoiser(d models.DenoiserConfig, ts checkpoint.Tensors) ([]float32, error) {
	flat := make([]float32, 0, DenoiserSize(d))
	for _, p := range DenoiserParams(d) {
		t, err := ts.Get(p.Name, p.Shape...)
		if err != nil {
			return nil, fmt.Errorf("denoiser weights: %w", err)
		}
		flat = append(flat, t.Data...)
	}
	return flat, nil
}

// UnflattenDenoiser is the inverse of [FlattenDenoiser]; it copies.
func UnflattenDenoiser(d models.DenoiserConfig, flat []float32) (checkpoint.Tensors, error) {
	if n := DenoiserSize(d); len(flat) != n {
		return nil, fmt.Errorf("denoiser weights: %d values, want %d", len(flat), n)
	}
	ts := checkpoint.Tensors{}
	for _, p := range DenoiserParams(d) {
		n := p.Size()
		ts[p.Name] = &checkpoint.Tensor{Name: p.Name, Shape: p.Shape, Data: append([]float32(nil), flat[:n]...)}
		flat = flat[n:]
	}
	return ts, nil
}
