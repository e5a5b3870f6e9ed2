package nets

import (
	"github.com/oodcast/oodcast/models/graph"
)

// longestSide is the longest side of a working size in pixels.
const longestSide = 16384

// margin is how many cells around the grid of the positions an interpolation can reach.
const margin = 2

// positions returns the tokens without a patch [1,Prefix,C], nil if there are none, and the positions of the patches
// [1,h·w,C], resampled to the grid of the working size; nil if positions are rotary.
//
// Resampling one axis is a product with a matrix of weights, which a few operators compute from the number of cells; both
// axes take less than a thousandth of a network's time.
func (v *vit) positions() (first, patches *graph.Tensor) {
	c, side := v.cfg.Width, v.cfg.Grid
	var placed int
	var table []float32
	if v.cfg.Theta == 0 {
		t := v.get(v.cfg.names.positions, false, 1, -1, c)
		if t == nil {
			return nil, v.g.Fail(nil)
		}
		placed, table = t.Shape[1]-side*side, t.Data
	}
	var tokens []float32
	for _, name := range []string{v.cfg.names.class, v.cfg.names.distillation, v.cfg.names.registers} {
		if name != "" {
			if own := v.get(name, true, 1, -1, c); own != nil {
				tokens = append(tokens, own.Data...)
			}
		}
	}
	for i := range min(placed*c, len(tokens)) {
		tokens[i] += table[i]
	}
	if len(tokens) > 0 {
		first = v.g.Const(tokens, 1, int64(v.cfg.Prefix), int64(c))
	}
	if v.cfg.Theta > 0 {
		v.turns = v.rotary()
		return first, nil
	}
	return first, v.resampled(table[placed*c:])
}

// resampled returns the positions of all patches, given those of the learned grid.
func (v *vit) resampled(table []float32) *graph.Tensor {
	g, c, side, around := v.g, v.cfg.Width, v.cfg.Grid, v.margin()
	n := side + 2*around
	padded := make([]float32, 0, n*n*c)
	for y := range n {
		for x := range n {
			at := min(max(y-around, 0), side-1)*side + min(max(x-around, 0), side-1)
			padded = append(padded, table[at*c:][:c]...)
		}
	}
	rows := g.MatMul(v.weightsOf(0), g.Const(padded, int64(n), int64(n*c)))
	all := g.MatMul(v.weightsOf(1), g.Reshape(rows, -1, int64(n), int64(c)))
	return g.Reshape(all, 1, -1, int64(c))
}

// margin is the number of cells by which the learned grid is continued on all sides. An antialiased interpolation does not look
// beyond the grid.
func (v *vit) margin() int {
	if v.cfg.Resample == resampleAntialiased {
		return 0
	}
	return margin
}

// weightsOf returns the weights [cells, learned cells] along an axis of the grid. Pixel centres are at ½, as with PyTorch's
// align_corners=False.
func (v *vit) weightsOf(axis int) *graph.Tensor {
	g := v.g
	centre, step := v.centres(axis, float64(v.cfg.Grid))
	centre = g.Unsqueeze(g.Sub(centre, g.Scalar(0.5)), 1)
	learned := g.Const64(numbers(v.cfg.Grid+2*v.margin(), -v.margin()), 1, int64(v.cfg.Grid+2*v.margin()))
	d := g.Unary("Abs", g.Sub(centre, learned))
	switch v.cfg.Resample {
	case resampleBilinear:
		return g.Max(g.Sub(g.Scalar(1), d), g.Scalar(0))
	case resampleAntialiased:
		w := v.cubic(g.Div(d, g.Max(step, g.Scalar(1))), -0.5)
		return g.Div(w, g.ReduceSum(w, true, 1))
	}
	return v.cubic(d, -0.75)
}

// centres returns the centres of the cells along an axis of the grid, on a scale on which all of them have the given length, and
// the length of one.
func (v *vit) centres(axis int, length float64) (centres, step *graph.Tensor) {
	g := v.g
	cells := g.Slice(v.grid, 0, int64(axis), int64(axis)+1)
	step = g.Div(g.Scalar(length), g.Cast(cells, graph.Float32))
	index := g.Const64(numbers(longestSide/v.cfg.Patch+1, 0))
	index = g.Node("Slice", []*graph.Tensor{index, g.Int64s(0), cells, g.Int64s(0)}, []int64{-1}, graph.Float32)
	return g.Mul(g.Add(index, g.Scalar(0.5)), step), step
}

// numbers returns n numbers, one after the other.
func numbers(n, from int) []float64 {
	list := make([]float64, n)
	for i := range list {
		list[i] = float64(from + i)
	}
	return list
}

// cubic returns Keys' cubic kernel at distances d.
func (v *vit) cubic(d *graph.Tensor, a float64) *graph.Tensor {
	g := v.g
	polynomial := func(x *graph.Tensor, coefficients ...float64) *graph.Tensor { // the highest power first
		y := g.Mul(x, g.Scalar(coefficients[0]))
		for i, k := range coefficients[1:] {
			if y = g.Add(y, g.Scalar(k)); i < len(coefficients)-2 {
				y = g.Mul(y, x)
			}
		}
		return y
	}
	// Both pieces vanish where the other one begins or ends, so that limits on d select them.
	near, far := g.Min(d, g.Scalar(1)), g.Min(g.Max(d, g.Scalar(1)), g.Scalar(2))
	return g.Add(polynomial(near, a+2, -(a+3), 0, 1), polynomial(far, a, -5*a, 8*a, -4*a))
}
