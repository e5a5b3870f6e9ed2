package zoo

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/oodcast/oodcast/models"
	"github.com/oodcast/oodcast/models/checkpoint"
	"github.com/oodcast/oodcast/models/graph"
	"github.com/oodcast/oodcast/models/nets"
)

// ErrUnknown means that there is no network of that name.
var ErrUnknown = errors.New("zoo: no such network")

// Network is an encoder with random weights.
type Network struct {
	Name string
	// Spec describes the encoder; its working size is not set.
	Spec models.EncoderSpec
	// Classes is the number of classes; 0 for an encoder without.
	Classes int
	// Params is the number of weights.
	Params int64
	// Denoiser is the denoiser that belongs to the encoder: the published one's architecture for a pair of DOoD, else that of
	// oodcast fit.
	Denoiser models.DenoiserConfig
	// Build draws the weights and returns the model. It may be called once.
	Build func() ([]byte, error)
	// Attention is the number of attention heads of a layer in which every token looks at every other; 0 for none.
	Attention int
}

// kind is a family of networks that differ in size.
type kind func(seed uint64) (*Network, error)

// networks returns the networks by name.
func networks() map[string]kind {
	all := map[string]kind{
		"segmenter-b": segmentor("segmenter", vitSize{768, 12, 12, 16, 48}),
		"setr-l":      segmentor("naive", vitSize{1024, 24, 16, 16, 48}),
		"dinov2-s":    vit(vitSize{384, 12, 6, 14, 37}),
		"dinov2-b":    vit(vitSize{768, 12, 12, 14, 37}),
		"dinov2-l":    vit(vitSize{1024, 24, 16, 14, 37}),
	}
	small, large := []int{32, 64, 160, 256}, []int{64, 128, 320, 512}
	for i, depths := range [][]int{{2, 2, 2, 2}, {2, 2, 2, 2}, {3, 4, 6, 3}, {3, 4, 18, 3}, {3, 8, 27, 3}, {3, 6, 40, 3}} {
		widths, head := large, 768
		if i == 0 {
			widths = small
		}
		if i < 2 {
			head = 256
		}
		all[fmt.Sprintf("segformer-b%d", i)] = segFormer(widths, depths, head)
	}
	for layers, depths := range map[int][]int{18: {2, 2, 2, 2}, 34: {3, 4, 6, 3}, 50: {3, 4, 6, 3}, 101: {3, 4, 23, 3}} {
		all[fmt.Sprintf("resnet%d", layers)] = resNet(depths, layers >= 50)
	}
	for i, scale := range [][2]float64{{1, 1}, {1, 1.1}, {1.1, 1.2}, {1.2, 1.4}, {1.4, 1.8}} {
		all[fmt.Sprintf("efficientnet-lite%d", i)] = lite(scale[0], scale[1])
	}
	return all
}

// Names lists the networks.
func Names() []string { return slices.Sorted(maps.Keys(networks())) }

// Random returns a network with random weights. An unknown name is [ErrUnknown].
func Random(name string, seed uint64) (*Network, error) {
	k, ok := networks()[name]
	if !ok {
		return nil, fmt.Errorf("%w: %q, want one of %s", ErrUnknown, name, strings.Join(Names(), ", "))
	}
	n, err := k(seed)
	if err != nil {
		return nil, fmt.Errorf("zoo: %q: %w", name, err)
	}
	n.Name = name
	return n, nil
}

// fitted is the denoiser that oodcast fit trains by default.
func fitted(channels int) models.DenoiserConfig {
	return models.DenoiserConfig{Channels: channels, Groups: 1, Blocks: [3]int{2, 0, 2}, Time: models.TimeSinusoidal}.Defaults()
}

// shapes are the names and shapes of weights.
type shapes map[string][]int

// layer adds a linear layer or a convolution with a bias.
func (s shapes) layer(name string, shape ...int) {
	s[name+".weight"], s[name+".bias"] = shape, shape[:1]
}

// norm adds LayerNorm, or a scale and a shift.
func (s shapes) norm(name string, n int) { s[name+".weight"], s[name+".bias"] = []int{n}, []int{n} }

// batchNorm adds BatchNorm.
func (s shapes) batchNorm(name string, n int) {
	s.norm(name, n)
	s[name+".running_mean"], s[name+".running_var"] = []int{n}, []int{n}
}

// conv adds a square convolution without a bias, and BatchNorm.
func (s shapes) conv(name, norm string, out, in, side int) {
	s[name+".weight"] = []int{out, in, side, side}
	s.batchNorm(norm, out)
}

// params returns the number of weights.
func (s shapes) params() (n int64) {
	for _, shape := range s {
		n += int64(size(shape))
	}
	return n
}

func size(shape []int) int {
	n := 1
	for _, d := range shape {
		n *= d
	}
	return n
}

// tensors returns weights without values: what a network looks like shows in their names and shapes.
func (s shapes) tensors() checkpoint.Tensors {
	ts := make(checkpoint.Tensors, len(s))
	for name, shape := range s {
		ts[name] = &checkpoint.Tensor{Name: name, Shape: shape}
	}
	return ts
}

// draw gives weights values that keep the size of activations: matrices of variance 1/fan-in, scales near one, small shifts.
func draw(ts checkpoint.Tensors, seed uint64) {
	for i, name := range ts.Names() {
		t, r := ts[name], rand.New(rand.NewPCG(seed, uint64(i)))
		t.Data = make([]float32, size(t.Shape))
		centre, spread := float32(0), float32(0.1)
		switch {
		case len(t.Shape) > 1:
			spread = float32(math.Sqrt(3 / float64(size(t.Shape[1:]))))
		case strings.HasSuffix(name, "running_var"), strings.HasSuffix(name, ".weight"):
			centre = 1
		}
		for j := range t.Data {
			t.Data[j] = centre + spread*(2*r.Float32()-1)
		}
	}
}

// building returns a Build: it draws the weights, and makes a model of the graph that the function of package nets builds.
func building[C any](seed uint64, cfg C, ts checkpoint.Tensors, build func(C, checkpoint.Tensors) (*graph.Graph, error)) func() ([]byte, error) {
	return func() ([]byte, error) {
		draw(ts, seed)
		g, err := build(cfg, ts)
		clear(ts)
		if err != nil {
			return nil, err
		}
		return g.Marshal()
	}
}

// inMemory builds a graph with all of its weights inside.
func inMemory[C any](build func(C, checkpoint.Tensors, ...graph.Option) (*graph.Graph, error)) func(C, checkpoint.Tensors) (*graph.Graph, error) {
	return func(cfg C, ts checkpoint.Tensors) (*graph.Graph, error) { return build(cfg, ts) }
}

// Weights returns random weights of a denoiser, which expects features as they are.
func Weights(cfg models.DenoiserConfig, seed uint64) checkpoint.Tensors {
	s := shapes{}
	for _, p := range nets.DenoiserParams(cfg) {
		s[p.Name] = p.Shape
	}
	ts := s.tensors()
	draw(ts, seed)
	ts[nets.NormShift] = &checkpoint.Tensor{Name: nets.NormShift, Shape: []int{cfg.Channels}, Data: make([]float32, cfg.Channels)}
	ts[nets.NormScale] = &checkpoint.Tensor{
		Name: nets.NormScale, Shape: []int{cfg.Channels}, Data: slices.Repeat([]float32{1}, cfg.Channels),
	}
	return ts
}
