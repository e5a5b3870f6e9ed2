package nets

import (
	"fmt"
	"math"
	"strings"

	"github.com/oodcast/oodcast/models/checkpoint"
	"github.com/oodcast/oodcast/models/graph"
)

// SegFormer builds the encoder graph of a SegFormer from weights under the names of the Hugging Face hub.
//
// The inputs are those of [EfficientViT], and with classes the outputs too, with the logits at cfg.LogitsStride; without, the
// only output is features float32[N,h,w,C]. The graph resizes (bilinearly) and normalises the pictures.
func SegFormer(cfg SegFormerConfig, weights checkpoint.Tensors, opts ...graph.Option) (*graph.Graph, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.Std == [3]float64{} {
		cfg.Mean, cfg.Std = imageMean, imageStd
	}
	s := &segFormer{layers: newLayers(weights, 0, opts...), cfg: cfg, prefix: segFormerPrefix(weights)}
	s.build()
	if err := s.fault(); err != nil {
		return nil, fmt.Errorf("nets: segformer: %w", err)
	}
	return s.g, nil
}

type segFormer struct {
	layers
	cfg    SegFormerConfig
	prefix string // of the encoder's weights
}

func (s *segFormer) build() {
	x, last := s.without(s.cfg.Mean), s.lastStage()
	for i := range last {
		x = s.stage(i, x)
		s.taps[fmt.Sprintf("stage%d", i+1)] = x
	}
	s.ignore(last)
	s.g.Output(s.features(s.cfg.features(), s.cfg.tapSize), "features")
	if s.cfg.Classes == 0 {
		return
	}
	logits := s.classify()
	if factor := s.cfg.MapStride() / segFormerStrides[0]; factor > 1 {
		logits = s.g.AveragePool(logits, factor)
	}
	s.g.Output(logits, "logits")
	s.g.Output(s.g.Reduce("ReduceLogSumExp", logits, false, 1), "lse")
}

// lastStage returns the number of the last stage that the outputs need.
func (s *segFormer) lastStage() int {
	all := len(segFormerStrides)
	taps, err := parseTaps(s.cfg.features())
	if err != nil || s.cfg.Classes > 0 {
		return all
	}
	last := 0
	for _, t := range taps {
		if t.name == "keys" {
			return all
		}
		last = max(last, tapStage(t.name))
	}
	return last
}

// ignore marks the weights behind the last stage that the outputs need as used, and those of an image classifier.
func (s *segFormer) ignore(last int) {
	for _, name := range s.weights.Names() {
		for _, part := range []string{"patch_embeddings", "block", "layer_norm"} {
			var n int
			if _, err := fmt.Sscanf(name, s.prefix+"encoder."+part+".%d.", &n); err == nil && n >= last {
				s.used[name] = true
			}
		}
		if strings.HasPrefix(name, "classifier.") {
			s.used[name] = true
		}
	}
}

// stage adds a convolution that reduces the resolution, with overlapping patches, and the stage's blocks.
func (s *segFormer) stage(i int, x *graph.Tensor) *graph.Tensor {
	embed := fmt.Sprintf("%sencoder.patch_embeddings.%d", s.prefix, i)
	size, width := s.cfg.Patches[i], s.cfg.Widths[i]
	k := s.kernel(embed+".proj", "", width, channels(x), size, 1)
	if i == 0 {
		k.divide(s.cfg.Std)
	}
	grid := s.apply(k, x, s.cfg.Strides[i])
	x = s.norm(embed+".layer_norm", s.tokens(grid))
	for j := range s.cfg.Depths[i] {
		block := fmt.Sprintf("%sencoder.block.%d.%d.", s.prefix, i, j)
		last := i == len(s.cfg.Depths)-1 && j == s.cfg.Depths[i]-1
		x = s.g.Add(x, s.attention(block, i, s.norm(block+"layer_norm_1", x), grid, last))
		x = s.g.Add(x, s.mix(block+"mlp.", s.norm(block+"layer_norm_2", x), grid))
	}
	return s.onGrid(s.norm(fmt.Sprintf("%sencoder.layer_norm.%d", s.prefix, i), x), grid)
}

// attention adds softmax(q·kᵀ/√d)·v, in which keys and values come from a coarser grid.
func (s *segFormer) attention(block string, stage int, x, grid *graph.Tensor, last bool) *graph.Tensor {
	g, name := s.g, block+"attention."
	if g.Err() != nil {
		return g.Fail(nil)
	}
	width, heads, ratio := s.cfg.Widths[stage], s.cfg.Heads[stage], s.cfg.Reductions[stage]
	dim := width / heads
	q := s.linear(name+"self.query", x, width, 1/math.Sqrt(float64(dim)))
	coarse := x
	if ratio > 1 {
		k := s.kernel(name+"self.sr", "", width, width, ratio, 1)
		w := g.Const64(k.w, int64(width), int64(width), int64(ratio), int64(ratio))
		y := g.Conv(s.onGrid(x, grid), w, s.bias(k), graph.ConvOptions{Stride: ratio})
		coarse = s.norm(name+"self.layer_norm", s.tokens(y))
	}
	k, v := s.linear(name+"self.key", coarse, width, 1), s.linear(name+"self.value", coarse, width, 1)
	if last && strings.Contains(s.cfg.features(), "keys") {
		s.taps["keys"] = s.onGrid(k, grid)
	}
	split := func(t *graph.Tensor) *graph.Tensor { return g.Reshape(t, 0, -1, int64(heads), int64(dim)) }
	scores := g.MatMul(g.Transpose(split(q), 0, 2, 1, 3), g.Transpose(split(k), 0, 2, 3, 1))
	y := g.MatMul(g.Unary("Softmax", scores, graph.Int("axis", -1)), g.Transpose(split(v), 0, 2, 1, 3))
	return s.linear(name+"output.dense", g.Reshape(g.Transpose(y, 0, 2, 1, 3), 0, -1, int64(width)), width, 1)
}

// mix adds the feed-forward network of a block, with a 3×3 depthwise convolution before its activation. The linear layers
// are 1×1 convolutions: the wide tensor between them stays in one layout.
func (s *segFormer) mix(name string, x, grid *graph.Tensor) *graph.Tensor {
	g, width := s.g, channels(grid)
	dense := func(name string, x *graph.Tensor, in, out int) *graph.Tensor {
		w := s.get(name+".weight", false, out, in)
		b := s.get(name+".bias", false, out)
		if w == nil || b == nil {
			return g.Fail(nil)
		}
		return g.Conv(x, g.Const(w.Data, int64(out), int64(in), 1, 1), g.Const(b.Data, int64(out)), graph.ConvOptions{})
	}
	wide := s.rows(name + "dense1.weight")
	y := dense(name+"dense1", s.onGrid(x, grid), width, wide)
	y = s.apply(s.kernel(name+"dwconv.dwconv", "", wide, wide, 3, wide), y, 1)
	y = s.gelu(y)
	return s.tokens(dense(name+"dense2", y, wide, width))
}

// rows returns the number of outputs of a linear layer.
func (s *segFormer) rows(name string) int {
	if t := s.get(name, false, -1, -1); t != nil {
		return max(1, t.Shape[0])
	}
	return 1
}

// norm adds a LayerNorm over the channels of tokens. Its epsilon is PyTorch's default: the hub's library does not use
// layer_norm_eps of config.json.
func (s *segFormer) norm(name string, x *graph.Tensor) *graph.Tensor {
	if s.g.Err() != nil {
		return s.g.Fail(nil)
	}
	return s.layerNorm(x, name, int(x.Shape[2]), torchNormEps)
}

// linear adds a linear layer on tokens, times scale.
func (s *segFormer) linear(name string, x *graph.Tensor, out int, scale float64) *graph.Tensor {
	if s.g.Err() != nil {
		return s.g.Fail(nil)
	}
	in := int(x.Shape[2])
	w, b := s.get(name+".weight", false, out, in), s.get(name+".bias", false, out)
	if w == nil || b == nil {
		return s.g.Fail(nil)
	}
	turned, shift := make([]float64, in*out), make([]float64, out)
	for o := range out {
		shift[o] = scale * float64(b.Data[o])
		for i := range in {
			turned[i*out+o] = scale * float64(w.Data[o*in+i])
		}
	}
	return s.g.Add(s.g.MatMul(x, s.g.Const64(turned, int64(in), int64(out))), s.g.Const64(shift, int64(out)))
}

// bias returns the bias of a convolution, or nil.
func (s *segFormer) bias(k kernel) *graph.Tensor {
	if k.b == nil {
		return nil
	}
	return s.g.Const64(k.b)
}
