package nets

import (
	"fmt"
	"slices"
	"strings"

	"github.com/oodcast/oodcast/models/checkpoint"
	"github.com/oodcast/oodcast/models/graph"
)

// EfficientNetLite builds the encoder graph of an EfficientNet-Lite from the state dict of the PyTorch port.
//
// The inputs are those of [EfficientViT]. The output is features float32[N,h,w,C]; the network itself has no classes for
// single pixels. Companions add the outputs unclaimed, or logits and lse, see [LiteCompanions]. The graph resizes the
// pictures bilinearly and scales a pixel x to (x-127)/128, or as
// cfg says. BatchNorm is folded into the convolutions. The padding is
// TensorFlow's "same": with stride 2, an even side gets one zero more at its end.
func EfficientNetLite(cfg EfficientNetLiteConfig, weights checkpoint.Tensors, with LiteCompanions) (*graph.Graph, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	eps := cfg.NormEps
	if eps == 0 {
		eps = 1e-3
	}
	if cfg.Span == 0 {
		cfg.Middle, cfg.Span = 127, 128
	}
	e := &efficientNetLite{layers: newLayers(weights, eps), cfg: cfg}
	e.build()
	if err := e.accompany(with); err != nil {
		return nil, fmt.Errorf("nets: efficientnet-lite: %w", err)
	}
	if err := e.fault(); err != nil {
		return nil, fmt.Errorf("nets: efficientnet-lite: %w", err)
	}
	return e.g, nil
}

type efficientNetLite struct {
	layers
	cfg EfficientNetLiteConfig
}

func (e *efficientNetLite) build() {
	last := e.lastStage()
	x := e.stem(e.input())
	block, dilation := 0, 1
	for s := range last {
		stride := liteStrides[s]
		if s == liteDilated && e.cfg.dilates() {
			stride = 1
		}
		for i := range e.cfg.Depths[s] {
			x = e.block(block, x, e.cfg.Widths[s], e.cfg.Kernels[s], stride, dilation)
			if stride != liteStrides[s] && i == 0 {
				dilation = liteStrides[s]
			}
			stride = 1
			block++
		}
		e.taps[fmt.Sprintf("stage%d", s+1)] = x
	}
	e.ignore(block)
	e.g.Output(e.features(e.cfg.features(), e.cfg.tapSize), "features")
}

// lastStage returns the number of the last stage that the features need.
func (e *efficientNetLite) lastStage() int {
	taps, err := parseTaps(e.cfg.features())
	if err != nil {
		e.g.Fail(err)
	}
	last := 0
	for _, t := range taps {
		last = max(last, tapStage(t.name))
	}
	return last
}

// ignore marks the weights behind the last block that the features need as used: those of later blocks, the head and the
// classifier.
func (e *efficientNetLite) ignore(block int) {
	for _, name := range e.weights.Names() {
		first, _, _ := strings.Cut(name, ".")
		var n int
		_, err := fmt.Sscanf(name, "_blocks.%d.", &n)
		if err == nil && n >= block || slices.Contains([]string{"_conv_head", "_bn1", "_fc"}, first) {
			e.used[name] = true
		}
	}
}

// input returns the picture minus its middle. The stem's weights contain the division by the span, but not the subtraction, because
// zero padding must mean the middle.
func (e *efficientNetLite) input() *graph.Tensor {
	return e.g.Sub(e.picture(), e.g.Scalar(e.cfg.Middle))
}

func (e *efficientNetLite) stem(x *graph.Tensor) *graph.Tensor {
	k := e.kernel("_conv_stem", "_bn0", e.cfg.Stem, 3, 3, 1)
	for i := range k.w {
		k.w[i] /= e.cfg.Span
	}
	return e.act(e.same(k, x, 2, 1))
}

// block adds an inverted bottleneck: a 1×1 convolution that widens (except in stage 1), a depthwise one, and a 1×1 one
// that narrows; and the input, where its shape is that of the result.
func (e *efficientNetLite) block(n int, x *graph.Tensor, out, size, stride, dilation int) *graph.Tensor {
	prefix, in := fmt.Sprintf("_blocks.%d.", n), channels(x)
	mid, y := in, x
	if e.weights[prefix+"_expand_conv.weight"] != nil {
		mid = e.outWidth(prefix + "_expand_conv.weight")
		y = e.act(e.same(e.kernel(prefix+"_expand_conv", prefix+"_bn0", mid, in, 1, 1), y, 1, 1))
	}
	y = e.act(e.same(e.kernel(prefix+"_depthwise_conv", prefix+"_bn1", mid, mid, size, mid), y, stride, dilation))
	y = e.same(e.kernel(prefix+"_project_conv", prefix+"_bn2", out, mid, 1, 1), y, 1, 1)
	if stride == 1 && in == out {
		y = e.g.Add(y, x)
	}
	return y
}

// same adds a convolution with TensorFlow's "same" padding: (side/stride - 1)·stride + reach - side zeros in all for a side
// that the stride divides, the larger half at the end. All sides here are multiples of the stride, because working sizes
// are multiples of the largest one.
func (e *efficientNetLite) same(k kernel, x *graph.Tensor, stride, dilation int) *graph.Tensor {
	total := max(0, dilation*(k.k-1)+1-stride)
	o := graph.ConvOptions{Stride: stride, Pad: total / 2, PadEnd: total % 2, Groups: k.groups, Dilation: dilation}
	w := e.g.Const64(k.w, int64(k.out), int64(k.in/k.groups), int64(k.k), int64(k.k))
	var b *graph.Tensor
	if k.b != nil {
		b = e.g.Const64(k.b)
	}
	return e.g.Conv(x, w, b, o)
}

// act adds ReLU6.
func (e *efficientNetLite) act(x *graph.Tensor) *graph.Tensor {
	return e.g.Node("Clip", []*graph.Tensor{x, e.g.Scalar(0), e.g.Scalar(6)}, x.Shape, x.DType)
}
