package nets

import (
	"slices"

	"github.com/oodcast/oodcast/models/graph"
)

// input declares a tensor of the layout, which had the given shape, as the input of the model behind the network.
func (l grid) input(g *graph.Graph, name string, shape []int64) *graph.Tensor {
	u := slices.Repeat([]int64{-1}, len(shape))
	if len(u) > 2 {
		u[0] = 1 // one picture
	}
	switch l.kind {
	case layoutNCHW:
		u[1] = int64(l.channels)
	case layoutNHWC:
		u[3] = int64(l.channels)
	}
	return g.Input(name, graph.Float32, u...)
}

// arrange brings a tensor of the layout to [h,w,C]. size is the working size.
func (l grid) arrange(g *graph.Graph, x, size *graph.Tensor) *graph.Tensor {
	c := int64(l.channels)
	switch l.kind {
	case layoutNCHW:
		return g.Transpose(g.Squeeze(x, 0), 1, 2, 0)
	case layoutNHWC:
		return g.Squeeze(x, 0)
	case layoutFlat:
		x = g.Unsqueeze(x, 0)
	case layoutFirst:
		x = g.Transpose(x, 0, 2, 1)
	case layoutHeads:
		x = g.Node("Reshape", []*graph.Tensor{g.Transpose(x, 0, 2, 1, 3), g.Int64s(1, -1, c)}, []int64{1, -1, c}, x.DType)
	}
	cells := g.Div(size, g.Int64s(int64(l.stride)))
	n := g.Node("ReduceProd", []*graph.Tensor{cells}, []int64{1}, graph.Int64, graph.Int("keepdims", 1))
	last := g.Node("Slice", []*graph.Tensor{x, g.Unary("Neg", n), g.Int64s(1 << 62), g.Int64s(1)}, []int64{1, -1, c}, x.DType)
	return g.Node("Reshape", []*graph.Tensor{last, g.Concat(0, cells, g.Int64s(c))}, []int64{-1, -1, c}, x.DType)
}

// scores brings the logits to [1,K,h,w] on the grid of maps.
func (l ForeignLayout) scores(g *graph.Graph, y, size *graph.Tensor, probabilities bool) *graph.Tensor {
	if l.logits.kind != layoutNCHW {
		y = g.Unsqueeze(g.Transpose(l.logits.arrange(g, y, size), 2, 0, 1), 0)
	}
	if probabilities {
		const least = 1e-7 // what float32 leaves of 1 − p
		y = g.Unary("Log", g.Max(y, g.Scalar(least)))
	}
	switch own := l.logits.stride; {
	case own < l.LogitsStride:
		y = g.AveragePool(y, l.LogitsStride/own)
	case own > l.LogitsStride:
		y = g.ResizeTo(y, g.Div(size, g.Int64s(int64(l.LogitsStride))))
	}
	return y
}

// outputMasks outputs the logits of the queries, [1,Q,K+1] and [1,Q,h,w], and returns the class scores that they imply,
// [1,K,h,w]: the sum over the queries of softmax(class logits)·sigmoid(mask logits).
func outputMasks(g *graph.Graph, classes, masks *graph.Tensor, queries, count int) *graph.Tensor {
	q, k := int64(queries), int64(count)
	g.Output(g.Squeeze(classes, 0), "class_logits")
	g.Output(g.Squeeze(masks, 0), "mask_logits")
	p := g.Slice(g.Unary("Softmax", classes, graph.Int("axis", -1)), 2, 0, k)
	flat := g.Node("Reshape", []*graph.Tensor{g.Unary("Sigmoid", masks), g.Int64s(1, q, -1)}, []int64{1, q, -1}, graph.Float32)
	scores := g.MatMul(g.Transpose(p, 0, 2, 1), flat)
	shape := g.Concat(0, g.Int64s(1, k), g.Slice(g.ShapeOf(masks), 0, 2, 4))
	return g.Node("Reshape", []*graph.Tensor{scores, shape}, []int64{1, k, -1, -1}, graph.Float32)
}
