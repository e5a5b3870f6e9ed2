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
	// ChannelsLast prefers [1,h,w,C] where [1,C,h,w] fits too.
	ChannelsLast bool
	// Probabilities says that the logits are probabilities after all: their logarithm takes their place.
	Probabilities bool
	// Found says that the network's end enlarges or decides by the logits, which therefore have a grid of their own.
	Found bool
}

// ForeignLayout describes the features and logits of a model.
type ForeignLayout struct {
	Kind                           string // "nchw", "nhwc" or a kind of tokens, see package graph's [1,N,C]
	Channels, Stride, LogitsStride int
	Classes                        int // 0 for a network without class scores; LogitsStride is then [models.MapStride]
	Extra                          int // tokens that come first and are dropped
	Queries                        int // of a mask-classification network; 0 for others

	logits grid
}

// The kinds of layouts.
const (
	layoutNCHW   = "nchw"
	layoutNHWC   = "nhwc"
	layoutTokens = "tokens"          // [1,N,C]
	layoutFlat   = "flat tokens"     // [N,C]
	layoutFirst  = "channels-tokens" // [1,C,N]
	layoutHeads  = "tokens by heads" // [1,a,N,C/a]
)

// mostExtra is the largest number of class and register tokens: DINOv2 has 1 to 5, others up to 9.
const mostExtra = 16

// grid is a tensor that covers the picture.
type grid struct {
	kind                    string
	channels, stride, extra int
}

// square returns the stride of a grid of h × w at the working size, or 0 if it has none.
func (s ForeignShape) square(h, w int64) int {
	if h > 0 && w > 0 && int64(s.Height)%h == 0 && int64(s.Width)%w == 0 && int64(s.Height)/h == int64(s.Width)/w {
		return s.Height / int(h)
	}
	return 0
}

// tokens returns the stride of n tokens and how many of them come first that are no part of the picture; stride 0: none fits.
func (s ForeignShape) tokens(n int64) (stride, extra int) {
	extra = mostExtra + 1
	for side := 2; side <= 64; side++ {
		if s.Height%side != 0 || s.Width%side != 0 {
			continue
		}
		if more := int(n) - s.Height/side*(s.Width/side); more >= 0 && more < extra && 2*more <= int(n) {
			stride, extra = side, more
		}
	}
	return stride, extra
}

// grid finds the layout of a tensor of the given shape.
func (s ForeignShape) grid(f []int64) (grid, bool) {
	try := func(kind string, channels int64, n int64) (grid, bool) {
		stride, extra := s.tokens(n)
		return grid{kind, int(channels), stride, extra}, stride > 0
	}
	switch {
	case len(f) == 2:
		return try(layoutFlat, f[1], f[0])
	case len(f) == 3 && f[0] == 1:
		if g, ok := try(layoutTokens, f[2], f[1]); ok {
			return g, true
		}
		g, ok := try(layoutFirst, f[1], f[2])
		return g, ok && g.extra == 0 // a flattened picture
	case len(f) == 4 && f[0] == 1:
		first, last := s.square(f[2], f[3]), s.square(f[1], f[2])
		if last > 0 && (first == 0 || s.ChannelsLast) {
			return grid{layoutNHWC, int(f[3]), last, 0}, true
		}
		if first > 0 {
			return grid{layoutNCHW, int(f[1]), first, 0}, true
		}
		g, ok := try(layoutHeads, f[1]*f[3], f[2])
		return g, ok && f[3]%8 == 0
	}
	return grid{}, false
}

// Layout derives the layout from the shapes.
func (s ForeignShape) Layout() (ForeignLayout, error) {
	l := ForeignLayout{}
	if err := s.masks(&l); err != nil {
		return l, err
	}
	f, ok := s.grid(s.Features)
	if !ok {
		return l, s.irregular("features", s.Features, "[1,C,h,w], [1,h,w,C] or tokens [1,N,C]")
	}
	l.Kind, l.Channels, l.Stride, l.Extra = f.kind, f.channels, f.stride, f.extra
	if s.Logits != nil {
		if err := s.scores(&l); err != nil {
			return l, err
		}
	}
	if l.Classes == 0 {
		l.LogitsStride = models.MapStride(l.Stride)
	}
	return l, nil
}

// irregular is the error of a tensor that no layout fits.
func (s ForeignShape) irregular(what string, shape []int64, want string) error {
	return fmt.Errorf("nets: foreign model: %s of shape %v at %d×%d: want %s on a regular grid; if the sides are those of another "+
		"stride, choose a working size that it divides (--size)", what, shape, s.Width, s.Height, want)
}

// scores derives the layout of the logits.
func (s ForeignShape) scores(l *ForeignLayout) error {
	g, ok := s.grid(s.Logits)
	switch {
	case !ok:
		return s.irregular("logits", s.Logits, "[1,K,h,w] or [1,h,w,K]")
	case g.channels == 1:
		return fmt.Errorf("nets: foreign model: logits of one class, of shape %v: import the features alone (--logits %s)",
			s.Logits, NoLogits)
	case l.Queries > 0 && l.Classes != g.channels:
		return fmt.Errorf("nets: foreign model: logits of %d classes, class logits of %d and one for no object", g.channels, l.Classes)
	}
	l.logits, l.Classes, l.LogitsStride = g, g.channels, s.mapStride(g.stride, l.Stride)
	return nil
}

// mapStride returns the stride of the class scores: their own, but means of cells of less than 4 pixels, which would make
// maps of millions of cells, and the network's enlargement repeated up to the grid of maps.
func (s ForeignShape) mapStride(own, features int) int {
	want := models.MapStride(features)
	if own < 4 {
		for _, side := range []int{8, 4} {
			if (side == 4 || features >= 8) && side%own == 0 && s.Height%side == 0 && s.Width%side == 0 {
				return side
			}
		}
	}
	if s.Found && own > want && s.Height%want == 0 && s.Width%want == 0 {
		return want
	}
	return own
}

// masks derives the layout of the queries and of the logits that are computed from them.
func (s ForeignShape) masks(l *ForeignLayout) error {
	c, m := s.ClassLogits, s.MaskLogits
	if c == nil && m == nil {
		return nil
	}
	if len(c) != 3 || len(m) != 4 || c[0] != 1 || m[0] != 1 || c[1] != m[1] || c[2] < 3 || s.square(m[2], m[3]) == 0 {
		return fmt.Errorf("nets: foreign model: class logits of shape %v and mask logits of shape %v, want [1,Q,K+1] and "+
			"[1,Q,h,w] with h and w dividing %d and %d", c, m, s.Height, s.Width)
	}
	l.Queries, l.Classes, l.LogitsStride = int(c[1]), int(c[2])-1, s.square(m[2], m[3])
	return nil
}

// Foreign turns a segmentation network in ONNX into an encoder: one model in front of it reads the picture, and another one
// behind it arranges features, logits and lse, or features alone if the network has no class scores. The inputs and outputs
// are those of [EfficientViT], for one picture. A mask-classification network also has the outputs class_logits [Q,K+1] and
// mask_logits [Q,h,w].
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
	size := g.Input(foreignGrid, graph.Int64, 2)
	f := grid{l.Kind, l.Channels, l.Stride, l.Extra}
	g.Output(f.arrange(g, f.input(g, foreignFeatures, shape.Features), size), "features")
	var y *graph.Tensor
	if l.Queries > 0 {
		y = outputMasks(g, g.Input(foreignClasses, graph.Float32, 1, int64(l.Queries), -1),
			g.Input(foreignMasks, graph.Float32, 1, int64(l.Queries), -1, -1), l.Queries, l.Classes)
		joints[t.ClassLogits], joints[t.MaskLogits] = foreignClasses, foreignMasks
		outputs = append(outputs, "class_logits", "mask_logits")
	}
	if t.Logits != "" {
		y = l.scores(g, l.logits.input(g, foreignLogits, shape.Logits), size, shape.Probabilities)
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
