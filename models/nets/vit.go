package nets

import (
	"fmt"
	"math"
	"strings"

	"github.com/oodcast/oodcast/models/checkpoint"
	"github.com/oodcast/oodcast/models/graph"
)

// ViT builds the encoder graph of a plain vision transformer.
//
// The inputs are those of [EfficientViT]; both sides of the working size must be multiples of [ViTConfig.Multiple]. The output is
// features float32[N,h,w,C]; a head adds logits and lse. The graph resizes the pictures bilinearly; their normalisation is a
// part of the patches' weights. Learned positions are resampled to the working size when the graph runs. Blocks behind
// the last one that is needed are left out, and of the last block only the layers that are needed remain.
func ViT(cfg ViTConfig, weights checkpoint.Tensors, opts ...graph.Option) (*graph.Graph, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	v := &vit{layers: newLayers(weights, cfg.NormEps, opts...), cfg: cfg}
	v.build()
	if err := v.fault(); err != nil {
		return nil, fmt.Errorf("nets: vit: %w", err)
	}
	return v.g, nil
}

type vit struct {
	layers
	cfg ViTConfig

	grid   *graph.Tensor // height and width of the tokens, int64[2]
	turns  turns         // of rotary positions
	wanted map[string]bool
	last   int // the last block whose output is needed; -1: none
}

func (v *vit) build() {
	v.plan()
	x := v.embed()
	for i := range v.cfg.Depth {
		x = v.backboneBlock(i, x)
	}
	if v.wanted[tapNorm] || v.cfg.Head == ViTSegmenter {
		x = v.layerNorm(x, v.cfg.names.norm, v.cfg.Width, v.cfg.NormEps)
		v.tap(tapNorm, x)
	}
	v.ignore()
	v.g.Output(v.features(v.cfg.Features, v.cfg.tapSize), "features")
	switch v.cfg.Head {
	case ViTSegmenter:
		v.uncertainty(v.segmenter(v.patches(x)))
	case ViTNaive:
		v.uncertainty(v.naive(v.patches(x)))
	}
}

// plan finds out which tensors are wanted, and how many blocks they need.
func (v *vit) plan() {
	v.wanted, v.last = map[string]bool{}, -1
	taps, err := parseTaps(v.cfg.Features)
	if err != nil {
		v.g.Fail(err)
	}
	for _, t := range taps {
		v.wanted[t.name] = true
		n, kind, _ := v.cfg.tapBlock(t.name)
		if kind != kindTokens && kind != tapNorm {
			n--
		}
		v.last = max(v.last, n)
	}
	if v.cfg.Head != "" {
		v.last = v.cfg.Depth - 1
	}
}

// ignore marks the weights as used that the features do not need.
func (v *vit) ignore() {
	unneeded := append([]string{strings.TrimPrefix(v.cfg.names.norm, v.cfg.prefix) + "."}, vitIgnored...)
	for i := v.last + 1; i < v.cfg.Depth; i++ {
		unneeded = append(unneeded, strings.TrimPrefix(v.cfg.blockName(i), v.cfg.prefix))
	}
	if v.cfg.Head == ViTSegmenter { // mmsegmentation stores a classifier that this head does not use
		v.used[headPrefix+"conv_seg.weight"], v.used[headPrefix+"conv_seg.bias"] = true, true
	}
	for _, name := range v.weights.Names() {
		own, inside := strings.CutPrefix(name, v.cfg.prefix)
		if !inside {
			v.used[name] = v.used[name] || v.cfg.Head == "" || !strings.HasPrefix(name, headPrefix)
			continue
		}
		for _, u := range unneeded {
			if strings.HasPrefix(own, u) {
				v.used[name] = true
			}
		}
	}
}

// embed returns the tokens [N,T,C] of the pictures, with their positions, behind the tokens without a patch.
func (v *vit) embed() *graph.Tensor {
	g, c := v.g, int64(v.cfg.Width)
	x := g.Reshape(v.patchConv(v.picture(), v.cfg.names.patch, v.cfg.Width, v.cfg.Patch, v.cfg.Mean, v.cfg.Std), 0, c, -1)
	v.grid = g.Div(v.sizeInput(), g.Int64s(int64(v.cfg.Patch)))
	x = g.Transpose(x, 0, 2, 1)
	first, positions := v.positions()
	if positions != nil {
		x = g.Add(x, positions)
	}
	if first == nil {
		return x
	}
	n := g.Concat(0, g.Slice(g.ShapeOf(x), 0, 0, 1), g.Int64s(int64(v.cfg.Prefix), c))
	first = g.Node("Expand", []*graph.Tensor{first, n}, []int64{-1, int64(v.cfg.Prefix), c}, graph.Float32)
	return g.Concat(1, first, x)
}

// sizeInput returns the input with the working size.
func (v *vit) sizeInput() *graph.Tensor {
	for _, in := range v.g.Inputs() {
		if in.Name == "size" {
			return in
		}
	}
	return v.g.Fail(nil)
}

func (v *vit) tap(name string, tokens *graph.Tensor) {
	if v.wanted[name] {
		v.taps[name] = v.patches(tokens)
	}
}

// patches returns the tokens of patches as a picture [N,C,h,w].
func (v *vit) patches(tokens *graph.Tensor) *graph.Tensor {
	if v.cfg.Prefix > 0 {
		tokens = v.g.Slice(tokens, 1, int64(v.cfg.Prefix), math.MaxInt64)
	}
	return v.asPicture(tokens, v.cfg.Width)
}

// asPicture arranges tokens [N,h·w,C] as [N,C,h,w].
func (v *vit) asPicture(tokens *graph.Tensor, c int) *graph.Tensor {
	shape := v.g.Concat(0, v.g.Int64s(0, int64(c)), v.grid)
	return v.g.Node("Reshape", []*graph.Tensor{v.g.Transpose(tokens, 0, 2, 1), shape}, []int64{-1, int64(c), -1, -1}, graph.Float32)
}

// uncertainty adds the outputs logits and lse.
func (v *vit) uncertainty(logits *graph.Tensor) {
	v.g.Output(logits, "logits")
	v.g.Output(v.g.Reduce("ReduceLogSumExp", logits, false, 1), "lse")
}
