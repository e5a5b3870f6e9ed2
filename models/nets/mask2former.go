package nets

import (
	"fmt"
	"strings"

	"github.com/oodcast/oodcast/models/checkpoint"
	"github.com/oodcast/oodcast/models/graph"
)

// Mask2Former builds the encoder graph of a Mask2Former from weights under the names of the Hugging Face hub.
//
// Inputs: image uint8[H,W,3], one picture, and size int64[2], the working height and width, multiples of 4 and of the stride of
// the features. Outputs: features float32[h,w,C]; class_logits float32[Q,K+1] and mask_logits float32[Q,H/4,W/4] of the queries,
// the last class of which is "no object"; the logits float32[K,H/4,W/4] that they imply, Σ softmax(class)·sigmoid(mask), and
// their lse. The graph resizes (bilinearly) and normalises the picture.
func Mask2Former(cfg Mask2FormerConfig, weights checkpoint.Tensors, opts ...graph.Option) (*graph.Graph, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.Std == [3]float64{} {
		cfg.Mean, cfg.Std = imageMean, imageStd
	}
	m := &mask2Former{layers: newLayers(weights, 0, opts...), cfg: cfg}
	m.build()
	if err := m.fault(); err != nil {
		return nil, fmt.Errorf("nets: mask2former: %w", err)
	}
	return m.g, nil
}

// mask2Former builds the network. Tokens are [1,n,C].
type mask2Former struct {
	layers
	cfg Mask2FormerConfig
}

func (m *mask2Former) build() {
	g := m.g
	image, size := g.Input("image", graph.Uint8, -1, -1, 3), g.Input("size", graph.Int64, 2)
	picture := resample(g, g.Unsqueeze(g.Transpose(image, 2, 0, 1), 0), size)
	m.ignore()
	s := swin{layers: &m.layers, cfg: m.cfg.Backbone, prefix: mask2FormerBackbone, mean: m.cfg.Mean, std: m.cfg.Std}
	stages := s.build(picture, size)
	for i, t := range stages {
		m.taps[fmt.Sprintf("stage%d", i+1)] = t.picture
	}
	levels, masks := m.pixels(stages)
	m.taps["masks"] = masks.picture
	classes, masked := m.decide(levels, masks)
	g.Output(g.Squeeze(m.features(m.cfg.features(), m.cfg.tapSize), 0), "features")
	logits := outputMasks(g, classes, masked, m.cfg.Queries, m.cfg.Classes)
	g.Output(g.Squeeze(g.Reduce("ReduceLogSumExp", logits, false, 1), 0), "lse")
	g.Output(g.Squeeze(logits, 0), "logits")
}

// ignore marks the weights as used that only training or another library's form of the network needs.
func (m *mask2Former) ignore() {
	for _, name := range m.weights.Names() {
		own := strings.TrimPrefix(strings.TrimPrefix(name, mask2FormerBackbone), "swin.")
		m.used[name] = strings.HasPrefix(name, "criterion.") || strings.HasSuffix(name, ".relative_position_index") ||
			strings.HasPrefix(own, "layernorm.")
	}
}

// groupNorm normalises a picture [1,C,h,w] over groups of channels.
func (m *mask2Former) groupNorm(name string, x *graph.Tensor, width int) *graph.Tensor {
	g := m.g
	gamma, beta := m.get(name+".weight", false, width), m.get(name+".bias", false, width)
	if gamma == nil || beta == nil {
		return g.Fail(nil)
	}
	one := make([]float32, mask2FormerGroups)
	for i := range one {
		one[i] = 1
	}
	y := g.Reshape(x, 1, mask2FormerGroups, -1)
	y = g.Node("InstanceNormalization", []*graph.Tensor{y, g.Const(one), g.Const(make([]float32, mask2FormerGroups))}, y.Shape,
		graph.Float32, graph.Float("epsilon", torchNormEps))
	y = g.Node("Reshape", []*graph.Tensor{y, g.ShapeOf(x)}, x.Shape, graph.Float32)
	c := int64(width)
	return g.Add(g.Mul(y, g.Const(gamma.Data, c, 1, 1)), g.Const(beta.Data, c, 1, 1))
}

// conv adds a convolution with an optional bias.
func (m *mask2Former) conv(name string, x *graph.Tensor, in, out, side int) *graph.Tensor {
	w := m.get(name+".weight", false, out, in, side, side)
	if w == nil {
		return m.g.Fail(nil)
	}
	var bias *graph.Tensor
	if b := m.vector(name+".bias", out); b != nil {
		bias = m.g.Const(b)
	}
	k := int64(side)
	return m.g.Conv(x, m.g.Const(w.Data, int64(out), int64(in), k, k), bias, graph.ConvOptions{Pad: side / 2})
}

// flat turns a picture [1,C,h,w] into tokens.
func (m *mask2Former) flat(x *graph.Tensor, width int) *graph.Tensor {
	return m.g.Transpose(m.g.Reshape(x, 1, int64(width), -1), 0, 2, 1)
}

// norm normalises tokens.
func (m *mask2Former) norm(name string, x *graph.Tensor, width int) *graph.Tensor {
	return m.layerNorm(x, name, width, torchNormEps)
}

// perceptron adds fc1, ReLU and fc2 to x, and normalises the sum.
func (m *mask2Former) perceptron(name string, x *graph.Tensor, width, hidden int) *graph.Tensor {
	y := m.dense(x, name+"fc1", width, hidden, "")
	y = m.dense(m.g.Unary("Relu", y), name+"fc2", hidden, width, "")
	return m.norm(name+"final_layer_norm", m.g.Add(x, y), width)
}
