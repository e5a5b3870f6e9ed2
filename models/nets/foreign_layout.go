package nets

import (
	"fmt"
	"slices"

	"github.com/oodcast/oodcast/models"
	"github.com/oodcast/oodcast/models/graph"
)

// ForeignShape holds the shapes of a model's tensors at a working size, as running the probe reveals them.
type ForeignShape struct {
	Height, Width    int     // the working size
	Features, Logits []int64 // shapes of the tensors
	// ClassLogits and MaskLogits are nil for networks without them.
	ClassLogits, MaskLogits []int64
}

// ForeignLayout describes the features and logits of a model.
type ForeignLayout struct {
	Kind                           string // "nchw", "nhwc" or "tokens"
	Channels, Stride, LogitsStride int
	Classes                        int // 0 for a network without class scores; LogitsStride is then [models.MapStride]
	Extra                          int // tokens that come first and are dropped
	Queries                        int // of a mask-classification network; 0 for others
}

// stride returns the stride of a grid of h × w at the working size, or 0 if it has none.
func (s ForeignShape) stride(h, w int64) int {
	if h > 0 && w > 0 && int64(s.Height)%h == 0 && int64(s.Width)%w == 0 && int64(s.Height)/h == int64(s.Width)/w {
		return s.Height / int(h)
	}
	return 0
}

// Layout derives the layout from the shapes.
func (s ForeignShape) Layout() (ForeignLayout, error) {
	l := ForeignLayout{}
	if err := s.masks(&l); err != nil {
		return l, err
	}
	if s.Logits != nil {
		if len(s.Logits) != 4 || s.Logits[0] != 1 || s.stride(s.Logits[2], s.Logits[3]) == 0 {
			return l, fmt.Errorf("nets: foreign model: logits of shape %v, want [1,K,h,w] with h and w dividing %d and %d",
				s.Logits, s.Height, s.Width)
		}
		if l.Queries > 0 && int64(l.Classes) != s.Logits[1] {
			return l, fmt.Errorf("nets: foreign model: logits of %d classes, class logits of %d and one for no object",
				s.Logits[1], l.Classes)
		}
		l.Classes, l.LogitsStride = int(s.Logits[1]), s.stride(s.Logits[2], s.Logits[3])
	}
	err := s.features(&l)
	if l.Classes == 0 {
		l.LogitsStride = models.MapStride(l.Stride)
	}
	return l, err
}

// masks derives the layout of the queries and of the logits that are computed from them.
func (s ForeignShape) masks(l *ForeignLayout) error {
	c, m := s.ClassLogits, s.MaskLogits
	if c == nil && m == nil {
		return nil
	}
	if len(c) != 3 || len(m) != 4 || c[0] != 1 || m[0] != 1 || c[1] != m[1] || c[2] < 3 || s.stride(m[2], m[3]) == 0 {
		return fmt.Errorf("nets: foreign model: class logits of shape %v and mask logits of shape %v, want [1,Q,K+1] and "+
			"[1,Q,h,w] with h and w dividing %d and %d", c, m, s.Height, s.Width)
	}
	l.Queries, l.Classes, l.LogitsStride = int(c[1]), int(c[2])-1, s.stride(m[2], m[3])
	return nil
}

// features derives the layout of the features.
func (s ForeignShape) features(l *ForeignLayout) error {
	f := s.Features
	switch {
	case len(f) == 4 && f[0] == 1 && s.stride(f[2], f[3]) > 0:
		l.Kind, l.Channels, l.Stride = "nchw", int(f[1]), s.stride(f[2], f[3])
	case len(f) == 4 && f[0] == 1 && s.stride(f[1], f[2]) > 0:
		l.Kind, l.Channels, l.Stride = "nhwc", int(f[3]), s.stride(f[1], f[2])
	case len(f) == 3 && f[0] == 1:
		l.Kind, l.Channels = "tokens", int(f[2])
		for _, stride := range []int{4, 8, 14, 16, 32} {
			n := s.Height / stride * (s.Width / stride)
			extra := int(f[1]) - n
			if s.Height%stride == 0 && s.Width%stride == 0 && extra >= 0 && extra <= 8 {
				l.Stride, l.Extra = stride, extra
			}
		}
	}
	if l.Stride == 0 {
		return fmt.Errorf("nets: foreign model: features of shape %v at %d×%d: want [1,C,h,w], [1,h,w,C] or [1,N,C] "+
			"on a regular grid", f, s.Width, s.Height)
	}
	return nil
}

// Foreign turns a segmentation network in ONNX into an encoder: one model in front of it reads the picture, and another one
// behind it arranges features, logits and lse, or features alone if the network has no class scores. The inputs and outputs are those of [EfficientViT], for one picture. A
// mask-classification network also has the outputs class_logits [Q,K+1] and mask_logits [Q,h,w].
func Foreign(model []byte, cfg ForeignConfig, shape ForeignShape) ([]byte, ForeignLayout, error) {
	l, err := shape.Layout()
	if err != nil {
		return nil, l, err
	}
	front, t, err := foreignFront(model, cfg)
	if err != nil {
		return nil, l, err
	}
	g := graph.New(graph.Float32)
	joints := map[string]string{t.Features: foreignFeatures, foreignSize: foreignGrid}
	outputs := []string{"features"}
	l.outputFeatures(g, len(shape.Features))
	var y *graph.Tensor
	if l.Queries > 0 {
		y = outputMasks(g, g.Input(foreignClasses, graph.Float32, 1, int64(l.Queries), -1),
			g.Input(foreignMasks, graph.Float32, 1, int64(l.Queries), -1, -1), l.Queries, l.Classes)
		joints[t.ClassLogits], joints[t.MaskLogits] = foreignClasses, foreignMasks
		outputs = append(outputs, "class_logits", "mask_logits")
	}
	if t.Logits != "" {
		y = g.Input(foreignLogits, graph.Float32, 1, int64(l.Classes), -1, -1)
		joints[t.Logits] = foreignLogits
	}
	if y != nil {
		// logsumexp(y) = y₀ − logsoftmax(y)₀ needs only operators that mean the same in all operator sets.
		soft := g.Unary("LogSoftmax", y, graph.Int("axis", 1))
		g.Output(g.Squeeze(g.Squeeze(g.Sub(g.Slice(y, 1, 0, 1), g.Slice(soft, 1, 0, 1)), 0), 0), "lse")
		g.Output(g.Squeeze(y, 0), "logits")
		outputs = slices.Insert(outputs, 1, "logits", "lse")
	}
	back, err := asModel(g, front.Opsets()[""])
	if err != nil {
		return nil, l, fmt.Errorf("nets: foreign model: %w", err)
	}
	m, err := graph.Merge(front, back, joints)
	if err == nil {
		err = m.KeepOutputs(outputs...)
	}
	if err != nil {
		return nil, l, fmt.Errorf("nets: foreign model: %w", err)
	}
	return m.Marshal(), l, nil
}

// outputFeatures brings the features, a tensor of the given rank, to [h,w,C].
func (l ForeignLayout) outputFeatures(g *graph.Graph, rank int) {
	unknown := slices.Repeat([]int64{-1}, rank)
	unknown[0] = 1
	f := g.Input(foreignFeatures, graph.Float32, unknown...)
	size := g.Input(foreignGrid, graph.Int64, 2)
	switch l.Kind {
	case "nchw":
		f = g.Transpose(g.Squeeze(f, 0), 1, 2, 0)
	case "nhwc":
		f = g.Squeeze(f, 0)
	default: // the last h·w tokens
		grid := g.Div(size, g.Int64s(int64(l.Stride)))
		n := g.Node("ReduceProd", []*graph.Tensor{grid}, []int64{1}, graph.Int64, graph.Int("keepdims", 1))
		last := g.Node("Slice", []*graph.Tensor{f, g.Unary("Neg", n), g.Int64s(1 << 62), g.Int64s(1)},
			[]int64{1, -1, -1}, graph.Float32)
		shape := g.Concat(0, grid, g.Int64s(int64(l.Channels)))
		f = g.Node("Reshape", []*graph.Tensor{last, shape}, []int64{-1, -1, int64(l.Channels)}, graph.Float32)
	}
	g.Output(f, "features")
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
