package nets

import (
	"math"

	"github.com/oodcast/oodcast/models/graph"
)

// turns are the factors of rotary positions for all tokens, float32[T,1,D] with D the channels of an attention head; nil where
// positions are learned.
type turns struct{ cos, sin *graph.Tensor }

// rotary returns the factors of DINOv3's rotary positions (Siméoni et al., "DINOv3", 2025). The place of a patch is that of its
// centre in a square from -1 to 1. A quarter of a head's channels turns by 2π·y·θ^(-4i/D), i = 0, 1, …, another by the same of x, each with
// a partner that is D/2 channels further. The tokens in front of the patches do not turn.
func (v *vit) rotary() turns {
	g := v.g
	d := v.cfg.Width / v.cfg.Heads
	frequencies := make([]float64, d/4)
	for i := range frequencies {
		frequencies[i] = 2 * math.Pi * math.Pow(v.cfg.Theta, -4*float64(i)/float64(d))
	}
	var angles [2]*graph.Tensor
	for axis := range angles {
		centres, _ := v.centres(axis, 2)
		place := g.Unsqueeze(g.Sub(centres, g.Scalar(1)), 1)
		angles[axis] = g.Unsqueeze(g.Mul(place, g.Const64(frequencies, 1, int64(d/4))), 1-axis)
	}
	y, x := angles[0], angles[1] // [h,1,D/4], [1,w,D/4]
	none := g.Scalar(0)
	both := g.Concat(2, g.Add(y, g.Mul(x, none)), g.Add(g.Mul(y, none), x))
	all := g.Reshape(both, -1, int64(d/2))
	if v.cfg.Prefix > 0 {
		all = g.Concat(0, g.Const64(make([]float64, v.cfg.Prefix*d/2), int64(v.cfg.Prefix), int64(d/2)), all)
	}
	cos, sin := g.Unary("Cos", all), g.Unary("Sin", all)
	// The first half of the channels turns against its partners.
	return turns{
		cos: g.Unsqueeze(g.Concat(1, cos, cos), 1),
		sin: g.Unsqueeze(g.Concat(1, g.Mul(sin, g.Scalar(-1)), sin), 1),
	}
}

// turn turns queries or keys [N,T,heads,D] by the places of their tokens.
func (v *vit) turn(x *graph.Tensor) *graph.Tensor {
	if v.turns.cos == nil || v.g.Err() != nil {
		return x
	}
	g, d := v.g, x.Shape[3]
	halves := g.Split(x, 3, d/2, d/2)
	return g.Add(g.Mul(x, v.turns.cos), g.Mul(g.Concat(3, halves[1], halves[0]), v.turns.sin))
}
