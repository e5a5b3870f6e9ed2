package nets

import (
	"fmt"
	"math"

	"github.com/oodcast/oodcast/models/checkpoint"
	"github.com/oodcast/oodcast/models/graph"
)

// headPrefix is in front of the names of a head's weights, in mmsegmentation.
const headPrefix = "decode_head."

// The factors by which the heads enlarge.
const (
	segmenterEnlarges = 2 // our own, so that maps have the grid of other networks at stride 16
	naiveEnlarges     = 4 // a part of the head
)

// InferViTSegmenter is [InferViT] for a network with a segmentation head under mmsegmentation's names: [ViTSegmenter] with half
// as many attention heads as the blocks, or [ViTNaive].
func InferViTSegmenter(weights checkpoint.Tensors) (ViTConfig, error) {
	c, err := InferViT(weights)
	if err != nil {
		return c, err
	}
	const classes, classifier = headPrefix + "cls_emb", headPrefix + "conv_seg.weight"
	switch {
	case weights[classes] != nil:
		t, err := weights.Get(classes, 1, -1, -1)
		if err != nil {
			return c, fmt.Errorf("nets: vit: %w", err)
		}
		c.Head, c.Classes, c.HeadHeads = ViTSegmenter, t.Shape[1], max(1, c.Heads/2)
	case weights[classifier] != nil:
		t, err := weights.Get(classifier, -1, -1, -1, -1)
		if err != nil {
			return c, fmt.Errorf("nets: vit: %w", err)
		}
		c.Head, c.Classes, c.Resample = ViTNaive, t.Shape[0], resampleBilinear
	default:
		return c, fmt.Errorf("nets: vit: no segmentation head: want %q (Segmenter) or %q (SETR-Naive)", classes, classifier)
	}
	return c, c.Validate()
}

// segmenter returns the logits of the mask transformer for tokens [N,C,h,w].
//
// The projections of patches and classes are products with the stored matrices as they are, as in the network that was
// published with DOoD; mmsegmentation's own code transposes them.
func (v *vit) segmenter(x *graph.Tensor) *graph.Tensor {
	g, c, k := v.g, v.cfg.Width, v.cfg.Classes
	x = g.Transpose(g.Reshape(x, 0, int64(c), -1), 0, 2, 1)
	x = v.dense(x, headPrefix+"dec_proj", c, c, "")
	classes := v.get(headPrefix+"cls_emb", false, 1, k, c)
	if classes == nil {
		return g.Fail(nil)
	}
	n := g.Concat(0, g.Slice(g.ShapeOf(x), 0, 0, 1), g.Int64s(int64(k), int64(c)))
	shape := []int64{-1, int64(k), int64(c)}
	tokens := g.Node("Expand", []*graph.Tensor{g.Const(classes.Data, 1, int64(k), int64(c)), n}, shape, graph.Float32)
	x = g.Concat(1, tokens, x) // attention does not depend on the order
	for i := 0; v.weights[fmt.Sprintf("%slayers.%d.ln1.weight", headPrefix, i)] != nil || i == 0; i++ {
		x = v.block(transformer{
			blockNames: segmentorBlock, prefix: fmt.Sprintf("%slayers.%d.", headPrefix, i), width: c, heads: v.cfg.HeadHeads,
			normEps: torchNormEps,
		}, x)
	}
	x = v.layerNorm(x, headPrefix+"decoder_norm", c, torchNormEps)
	patches := v.direction(g.Slice(x, 1, int64(k), math.MaxInt64), headPrefix+"patch_proj.weight")
	rows := v.direction(g.Slice(x, 1, 0, int64(k)), headPrefix+"classes_proj.weight")
	masks := v.layerNorm(g.MatMul(patches, g.Transpose(rows, 0, 2, 1)), headPrefix+"mask_norm", k, torchNormEps)
	return g.Upsample(v.asPicture(masks, k), segmenterEnlarges)
}

// direction multiplies by a stored matrix and divides by the length.
func (v *vit) direction(x *graph.Tensor, name string) *graph.Tensor {
	c := int64(v.cfg.Width)
	w := v.get(name, false, v.cfg.Width, v.cfg.Width)
	if w == nil {
		return v.g.Fail(nil)
	}
	y := v.g.MatMul(x, v.g.Const(w.Data, c, c))
	return v.g.Div(y, v.g.Max(v.g.Reduce("ReduceL2", y, true, 2), v.g.Scalar(1e-12)))
}

// naive returns the logits of SETR's naive head for tokens [N,C,h,w].
func (v *vit) naive(x *graph.Tensor) *graph.Tensor {
	g, c := v.g, v.cfg.Width
	y := g.Transpose(g.Reshape(x, 0, int64(c), -1), 0, 2, 1)
	y = v.layerNorm(y, headPrefix+"norm", c, 1e-6)
	const conv = headPrefix + "up_convs.0.0."
	mid := v.outWidth(conv + "conv.weight")
	v.eps = torchNormEps // BatchNorm's
	y = g.Unary("Relu", v.apply(v.kernel(conv+"conv", conv+"bn", mid, c, 1, 1), v.asPicture(y, c), 1))
	return v.apply(v.kernel(headPrefix+"conv_seg", "", v.cfg.Classes, mid, 1, 1), g.Upsample(y, naiveEnlarges), 1)
}
