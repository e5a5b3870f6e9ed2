package nets

import (
	"fmt"

	"github.com/oodcast/oodcast/models/checkpoint"
	"github.com/oodcast/oodcast/models/graph"
)

// LiteCompanions are networks that an EfficientNet-Lite encoder carries along. The zero value has none.
type LiteCompanions struct {
	// Heads are pixel classifiers on the features of stages 3, 5 and 6, joined at stride 8. Head K has three linear layers
	// with ReLU between them, head.K.0 to head.K.2 (.weight [out, in] and .bias [out]); the inputs of the first are the
	// channels of the stages in that order. The encoder gets the output unclaimed float32[N,lh,lw],
	//
	//	H = Σ_K heads.scale[K]·(-logsumexp(head K)) + heads.shift[K],
	//
	// which is high where no class claims the features.
	Heads checkpoint.Tensors
	// Segmenter is an EfficientViT segmentation network that sees the same pictures. The encoder gets its outputs logits and
	// lse.
	Segmenter checkpoint.Tensors
	// SegmenterConfig describes Segmenter; its features are not used.
	SegmenterConfig EfficientViTConfig
}

// headStride is the stride of the heads' result, which is that of the logits.
const headStride = LogitsStride

// headTaps are the tensors that the heads see.
var headTaps = []string{"stage3", "stage5", "stage6"}

// accompany adds the companions' outputs.
func (e *efficientNetLite) accompany(with LiteCompanions) error {
	if with.Heads != nil {
		h := layers{weights: with.Heads, g: e.g, taps: e.taps, used: map[string]bool{}}
		e.g.Output(h.unclaimed(e.cfg), "unclaimed")
		if err := h.fault(); err != nil {
			return fmt.Errorf("heads: %w", err)
		}
	}
	if with.Segmenter != nil {
		if err := with.SegmenterConfig.Validate(); err != nil {
			return fmt.Errorf("segmenter: %w", err)
		}
		s := &efficientViT{layers: newLayers(with.Segmenter, with.SegmenterConfig.NormEps), cfg: with.SegmenterConfig}
		s.g, s.taps[pictureTap] = e.g, e.picture()
		s.segment()
		s.uncertainty()
		if err := s.fault(); err != nil {
			return fmt.Errorf("segmenter: %w", err)
		}
	}
	return nil
}

// unclaimed adds the heads and returns H.
func (e *layers) unclaimed(cfg EfficientNetLiteConfig) *graph.Tensor {
	for _, name := range headTaps {
		if e.taps[name] == nil {
			return e.g.Fail(fmt.Errorf("the features must reach stage 6, because the heads need %s", name))
		}
	}
	scale := e.get("heads.scale", false, -1)
	if scale == nil {
		return nil
	}
	n := len(scale.Data)
	shift := e.get("heads.shift", false, n)
	if shift == nil {
		return nil
	}
	var sum *graph.Tensor
	offset := 0.0
	for k := range n {
		lse := e.g.Reduce("ReduceLogSumExp", e.head(fmt.Sprintf("head.%d", k), cfg), false, 1)
		part := e.g.Mul(lse, e.g.Scalar(-float64(scale.Data[k])))
		if sum == nil {
			sum = part
		} else {
			sum = e.g.Add(sum, part)
		}
		offset += float64(shift.Data[k])
	}
	return e.g.Add(sum, e.g.Scalar(offset))
}

// head adds one head and returns its logits [N,K,lh,lw]. The first layer works at the strides of its inputs and its results
// are enlarged, which gives the same as enlarging the inputs: both are linear, and the ReLU comes after the sum.
func (e *layers) head(name string, cfg EfficientNetLiteConfig) *graph.Tensor {
	g := e.g
	total := 0
	for _, tap := range headTaps {
		total += channels(e.taps[tap])
	}
	first := e.linear(name+".0", -1, total)
	if first.w == nil {
		return nil
	}
	var x *graph.Tensor
	from := 0
	for i, tap := range headTaps {
		in := channels(e.taps[tap])
		part := make([]float64, 0, first.out*in)
		for o := range first.out {
			part = append(part, first.w[o*total+from:][:in]...)
		}
		from += in
		var bias *graph.Tensor
		if i == 0 {
			bias = g.Const64(first.b)
		}
		_, stride := cfg.tapSize(tap)
		y := g.Conv(e.taps[tap], g.Const64(part, int64(first.out), int64(in), 1, 1), bias, graph.ConvOptions{})
		if y = g.Upsample(y, stride/headStride); x == nil {
			x = y
		} else {
			x = g.Add(x, y)
		}
	}
	in := first.out
	for i := 1; i < 3; i++ {
		k := e.linear(fmt.Sprintf("%s.%d", name, i), -1, in)
		if k.w == nil {
			return nil
		}
		x, in = e.apply(k, g.Unary("Relu", x), 1), k.out
	}
	return x
}

// linear reads a linear layer as a 1×1 convolution. After a fault, which the graph keeps, it has no weights.
func (e *layers) linear(name string, out, in int) kernel {
	w := e.get(name+".weight", false, out, in)
	if w == nil {
		return kernel{}
	}
	out = w.Shape[0]
	b := e.get(name+".bias", false, out)
	if b == nil {
		return kernel{}
	}
	k := kernel{w: make([]float64, len(w.Data)), b: make([]float64, out), out: out, in: in, k: 1, groups: 1}
	for i, v := range w.Data {
		k.w[i] = float64(v)
	}
	for i, v := range b.Data {
		k.b[i] = float64(v)
	}
	return k
}
