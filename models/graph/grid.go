package graph

// The operators of this file work on grids of rows [H, W, N, C] with the batch inside. Reshaped to a matrix
// [H·W·N, C], a grid fits linear layers, norms and time vectors. All operators have gradients. N may be unknown.

// Shift moves the cells of x[H,W,N,C] down by dy and right by dx, and fills the free cells with zeros.
func (g *Graph) Shift(x *Tensor, dy, dx int) *Tensor {
	if !g.ready("Shift", x) {
		return g.Fail(nil)
	}
	if len(x.Shape) != 4 || x.Shape[0] <= int64(max(dy, -dy)) || x.Shape[1] <= int64(max(dx, -dx)) {
		return g.fail("Shift of %v by %d, %d", x.Shape, dy, dx)
	}
	if dy == 0 && dx == 0 {
		return x
	}
	pads := g.Int64s(int64(dy), int64(dx), 0, 0, int64(-dy), int64(-dx), 0, 0) // a negative pad crops
	y := g.Node("Pad", []*Tensor{x, pads}, x.Shape, x.DType, Str("mode", "constant"))
	return g.record(y, []*Tensor{x}, func(dOut *Tensor, _ []bool) []*Tensor {
		return []*Tensor{g.Shift(dOut, -dy, -dx)}
	})
}

// Neighbours joins each cell of x[H,W,N,C] with its eight neighbours to [H,W,N,9C], row by row from the top left. A linear
// layer on the result is a 3×3 convolution with zero padding.
func (g *Graph) Neighbours(x *Tensor) *Tensor {
	var all []*Tensor
	for dy := 1; dy >= -1; dy-- {
		for dx := 1; dx >= -1; dx-- {
			all = append(all, g.Shift(x, dy, dx))
		}
	}
	return g.Concat(3, all...)
}

// Halve averages 2×2 squares of cells: x[H,W,N,C] to [H/2,W/2,N,C].
func (g *Graph) Halve(x *Tensor) *Tensor {
	if !g.ready("Halve", x) {
		return g.Fail(nil)
	}
	if len(x.Shape) != 4 || x.Shape[0]%2 != 0 || x.Shape[1]%2 != 0 {
		return g.fail("Halve of %v: want even sides", x.Shape)
	}
	h, w, c := x.Shape[0]/2, x.Shape[1]/2, x.Shape[3]
	mean := g.Reduce("ReduceMean", g.Reshape(x, h, 2, w, 2, -1), false, 1, 3)
	y := g.Reshape(mean, h, w, -1, c)
	return g.record(y, []*Tensor{x}, func(dy *Tensor, _ []bool) []*Tensor {
		return []*Tensor{g.Mul(g.Double(dy), g.Scalar(0.25))}
	})
}

// Double repeats every cell in a 2×2 square: x[H,W,N,C] to [2H,2W,N,C].
func (g *Graph) Double(x *Tensor) *Tensor {
	if !g.ready("Double", x) {
		return g.Fail(nil)
	}
	if len(x.Shape) != 4 {
		return g.fail("Double of %v: want four dimensions", x.Shape)
	}
	h, w, c := x.Shape[0], x.Shape[1], x.Shape[3]
	y := g.Reshape(x, h, 1, w, 1, -1)
	y = g.Concat(1, y, y)
	y = g.Concat(3, y, y)
	return g.Reshape(y, 2*h, 2*w, -1, c)
}
