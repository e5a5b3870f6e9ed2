package nets

import (
	"fmt"
	"strconv"

	"github.com/oodcast/oodcast/models/checkpoint"
	"github.com/oodcast/oodcast/models/graph"
)

// ImageNet's statistics per channel (RGB), for pixels scaled to 0..1.
var (
	imageMean = [3]float64{0.485, 0.456, 0.406}
	imageStd  = [3]float64{0.229, 0.224, 0.225}
)

// EfficientViT builds the encoder graph of an EfficientViT segmentation network.
//
// Inputs: image uint8[N,H,W,3], N RGB pictures of any size; size int64[2], the working height and width, multiples of 32.
// Outputs: features float32[N,h,w,C], where h and w are the working size divided by the stride of the features; logits
// float32[N,K,lh,lw] at stride 8; lse float32[N,lh,lw], the log-sum-exp of the logits over the classes. The graph resizes
// (bilinearly) and normalises the pictures. BatchNorm is folded into the convolutions.
func EfficientViT(cfg EfficientViTConfig, weights checkpoint.Tensors, opts ...graph.Option) (*graph.Graph, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	e := &efficientViT{layers: newLayers(weights, cfg.NormEps, opts...), cfg: cfg}
	e.build()
	if err := e.fault(); err != nil {
		return nil, fmt.Errorf("nets: efficientvit: %w", err)
	}
	return e.g, nil
}

type efficientViT struct {
	layers
	cfg EfficientViTConfig
}

func (e *efficientViT) build() {
	e.segment()
	e.g.Output(e.features(e.cfg.features(), e.cfg.tapSize), "features")
	e.uncertainty()
}

// segment adds all layers but the last two.
func (e *efficientViT) segment() {
	x := e.stem(e.without(imageMean))
	e.taps["stem"] = x
	for s := range 4 {
		x = e.stage(s, x)
		e.taps["stage"+strconv.Itoa(s+1)] = x
	}
	e.taps["head"] = e.head()
}

// uncertainty adds the outputs logits and lse.
func (e *efficientViT) uncertainty() {
	logits := e.classify(e.taps["head"])
	e.g.Output(logits, "logits")
	e.g.Output(e.g.Reduce("ReduceLogSumExp", logits, false, 1), "lse")
}

// resample resizes pictures of bytes [N,3,H,W] to size, as float32.
func resample(g *graph.Graph, x, size *graph.Tensor) *graph.Tensor {
	return g.ResizeTo(g.Cast(x, graph.Float32), size)
}

// convLayer adds PREFIX.conv with PREFIX.norm.
func (e *efficientViT) convLayer(prefix string, x *graph.Tensor, out, k, stride, groups int) *graph.Tensor {
	in := channels(x)
	if x == e.taps["stem"] { // has more channels than the weights
		return e.apply(e.kernel(prefix+".conv", prefix+".norm", out, e.cfg.Widths[0], k, groups).fill(out, in), x, stride)
	}
	return e.apply(e.kernel(prefix+".conv", prefix+".norm", out, in, k, groups), x, stride)
}

// act adds the hard swish, x·min(max(x+3,0),6)/6.
func (e *efficientViT) act(x *graph.Tensor) *graph.Tensor { return e.g.Unary("HardSwish", x) }

// stemMultiple is the number of channels that ONNX Runtime's fast convolutions process at once. The stem of the small
// networks has 8 channels. Padding them with zeros halves its time, because the results stay in the blocked layout.
const stemMultiple = 16

// stem returns a picture with at least the stem's channels; any further channels are zero.
func (e *efficientViT) stem(x *graph.Tensor) *graph.Tensor {
	const prefix = "backbone.input_stem.op_list."
	width := e.cfg.Widths[0]
	full := (width + stemMultiple - 1) / stemMultiple * stemMultiple
	k := e.kernel(prefix+"0.conv", prefix+"0.norm", width, 3, 3, 1)
	k.divide(imageStd)
	x = e.act(e.apply(k.fill(full, 3), x, 2))
	for i := range e.cfg.Depths[0] {
		p := prefix + strconv.Itoa(i+1) + ".main"
		k := e.kernel(p+".depth_conv.conv", p+".depth_conv.norm", width, width, 3, width)
		y := e.act(e.apply(k.fill(full, full), x, 1))
		k = e.kernel(p+".point_conv.conv", p+".point_conv.norm", width, width, 1, 1)
		x = e.g.Add(x, e.apply(k.fill(full, full), y, 1))
	}
	return x
}

// stage adds backbone.stages.s: an inverted bottleneck of stride 2, then residual blocks.
func (e *efficientViT) stage(s int, x *graph.Tensor) *graph.Tensor {
	prefix := fmt.Sprintf("backbone.stages.%d.op_list.", s)
	width, depth := e.cfg.Widths[s+1], e.cfg.Depths[s+1]
	x = e.bottleneck(prefix+"0.main", x, width, 2)
	if s < 2 {
		for i := 1; i < depth; i++ {
			x = e.g.Add(x, e.bottleneck(prefix+strconv.Itoa(i)+".main", x, width, 1))
		}
		return x
	}
	for i := 1; i <= depth; i++ {
		p := prefix + strconv.Itoa(i)
		x = e.g.Add(x, e.attention(p+".context_module.main", x, s == 3 && i == depth))
		x = e.g.Add(x, e.bottleneck(p+".local_module.main", x, width, 1))
	}
	return x
}

// bottleneck adds a 1×1 convolution that widens, a 3×3 depthwise one, and a 1×1 one that narrows. The inner width is read
// from the weights.
func (e *efficientViT) bottleneck(prefix string, x *graph.Tensor, out, stride int) *graph.Tensor {
	mid := e.outWidth(prefix + ".inverted_conv.conv.weight")
	y := e.act(e.convLayer(prefix+".inverted_conv", x, mid, 1, 1, 1))
	y = e.act(e.convLayer(prefix+".depth_conv", y, mid, 3, stride, mid))
	return e.convLayer(prefix+".point_conv", y, out, 1, 1, 1)
}

// attention adds multi-scale linear attention (LiteMLA): out = relu(q)·(relu(k)ᵀ·[v,1]), numerator over normaliser, for
// the projected q, k, v and for a copy of them aggregated over 5×5 neighbours. It costs O(tokens), not O(tokens²).
func (e *efficientViT) attention(prefix string, x *graph.Tensor, last bool) *graph.Tensor {
	g, dim := e.g, e.cfg.Dim
	if g.Err() != nil {
		return nil // after a mistake, tensors have no shape to compute with
	}
	width := channels(x)
	total, heads := 3*width, width/dim
	qkv := e.convLayer(prefix+".qkv", x, total, 1, 1, 1)
	if last {
		e.taps["keys"] = e.keys(prefix, x)
	}
	wide := e.apply(e.kernel(prefix+".aggreg.0.0", "", total, total, 5, total), qkv, 1)
	wide = e.apply(e.kernel(prefix+".aggreg.0.1", "", total, total, 1, 3*heads), wide, 1)
	both := g.Concat(1, qkv, wide)
	d := int64(dim)
	m := g.Reshape(both, 0, int64(2*heads), 3*d, -1) // channels of a head are q, k, v
	parts := g.Split(m, 2, d, d, d)
	q, k, v := g.Unary("Relu", parts[0]), g.Unary("Relu", parts[1]), parts[2]
	kt := g.Transpose(k, 0, 1, 3, 2)                              // [N, 2·heads, tokens, dim]
	sum := g.ReduceSum(kt, true, 2)                               // a row of ones times kᵀ
	out := g.MatMul(g.Concat(2, g.MatMul(v, kt), sum), q)         // [N, 2·heads, dim+1, tokens]
	num, den := g.Slice(out, 2, 0, d), g.Slice(out, 2, d, d+1)    // 1e-15 is a normal float32: where all keys or
	y := g.Div(num, g.Add(den, g.Scalar(1e-15)))                  // queries are 0 it makes 0/1e-15, not NaN
	y = g.Node("Reshape", []*graph.Tensor{y, e.like(x, 2*width)}, // back to a picture
		[]int64{x.Shape[0], int64(2 * width), x.Shape[2], x.Shape[3]}, graph.Float32)
	return e.convLayer(prefix+".proj", y, width, 1, 1, 1)
}

// keys adds the part of the projection that makes the keys, head by head, and returns nil if the feature list does not
// contain them.
func (e *efficientViT) keys(prefix string, x *graph.Tensor) *graph.Tensor {
	taps, _ := parseTaps(e.cfg.features())
	wanted := false
	for _, t := range taps {
		wanted = wanted || t.name == "keys"
	}
	if !wanted {
		return nil
	}
	width, dim := channels(x), e.cfg.Dim
	all := e.kernel(prefix+".qkv.conv", "", 3*width, width, 1, 1)
	k := kernel{out: width, in: width, k: 1, groups: 1}
	for head := range width / dim {
		from := (3*head + 1) * dim * width
		k.w = append(k.w, all.w[from:from+dim*width]...)
	}
	return e.apply(k, x, 1)
}

// head adds up stages 4, 3 and 2 at stride 8 and refines the sum.
func (e *efficientViT) head() *graph.Tensor {
	width := e.cfg.HeadWidth
	x := e.convLayer("head.input_ops.2", e.taps["stage2"], width, 1, 1, 1)
	for i, from := range []string{"stage4", "stage3"} {
		y := e.convLayer(fmt.Sprintf("head.input_ops.%d.op_list.0", i), e.taps[from], width, 1, 1, 1)
		x = e.g.Add(x, e.enlarge(y, 4>>i))
	}
	for i := range e.cfg.HeadDepth {
		x = e.g.Add(x, e.bottleneck(fmt.Sprintf("head.middle.op_list.%d.main", i), x, width, 1))
	}
	return x
}

func (e *efficientViT) classify(x *graph.Tensor) *graph.Tensor {
	const prefix = "head.output_ops.0.op_list."
	x = e.act(e.convLayer(prefix+"0", x, e.outWidth(prefix+"0.conv.weight"), 1, 1, 1))
	return e.convLayer(prefix+"1", x, e.cfg.Classes, 1, 1, 1)
}
