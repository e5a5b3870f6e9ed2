package graph

import (
	"slices"
)

// Add returns a+b, broadcast.
func (g *Graph) Add(a, b *Tensor) *Tensor {
	y := g.binary("Add", a, b)
	return g.record(y, []*Tensor{a, b}, func(dy *Tensor, need []bool) []*Tensor {
		return []*Tensor{g.sumTo(dy, a, need[0]), g.sumTo(dy, b, need[1])}
	})
}

// Mul returns a·b elementwise, broadcast.
func (g *Graph) Mul(a, b *Tensor) *Tensor {
	y := g.binary("Mul", a, b)
	return g.record(y, []*Tensor{a, b}, func(dy *Tensor, need []bool) []*Tensor {
		var da, db *Tensor
		if need[0] {
			da = g.sumTo(g.binary("Mul", dy, b), a, true)
		}
		if need[1] {
			db = g.sumTo(g.binary("Mul", dy, a), b, true)
		}
		return []*Tensor{da, db}
	})
}

// Linear returns x·wᵀ+b for x[N,in], w[out,in] and b[out]. Rows are samples, as in PyTorch's nn.Linear. b may be nil.
func (g *Graph) Linear(x, w, b *Tensor) *Tensor {
	if !g.ready("Linear", x, w) {
		return g.Fail(nil)
	}
	y := g.Gemm(x, w, b, GemmOptions{TransB: true})
	ins := []*Tensor{x, w}
	if b != nil {
		ins = append(ins, b)
	}
	return g.record(y, ins, func(dy *Tensor, need []bool) []*Tensor {
		d := make([]*Tensor, len(ins))
		if need[0] {
			d[0] = g.Gemm(dy, w, nil, GemmOptions{})
		}
		if need[1] {
			d[1] = g.Gemm(dy, x, nil, GemmOptions{TransA: true})
		}
		if b != nil && need[2] {
			d[2] = g.ReduceSum(dy, false, 0)
		}
		return d
	})
}

// SiLU returns x·sigmoid(x). ONNX Runtime fuses the two operators.
func (g *Graph) SiLU(x *Tensor) *Tensor {
	s := g.Unary("Sigmoid", x)
	y := g.binary("Mul", x, s)
	return g.record(y, []*Tensor{x}, func(dy *Tensor, _ []bool) []*Tensor {
		// y' = s + y·(1-s)
		slope := g.binary("Add", s, g.binary("Mul", y, g.Sub(g.Scalar(1), s)))
		return []*Tensor{g.binary("Mul", dy, slope)}
	})
}

// Concat joins tensors along axis.
func (g *Graph) Concat(axis int, xs ...*Tensor) *Tensor {
	if !g.ready("Concat", xs...) {
		return g.Fail(nil)
	}
	if len(xs) == 0 {
		return g.fail("Concat of nothing")
	}
	a := axisOf(axis, len(xs[0].Shape))
	if a < 0 {
		return g.fail("Concat along axis %d of %v", axis, xs[0].Shape)
	}
	shape := slices.Clone(xs[0].Shape)
	sizes := []int64{shape[a]}
	for _, x := range xs[1:] {
		if len(x.Shape) != len(shape) || x.DType != xs[0].DType {
			return g.fail("Concat of %v%v and %v%v", xs[0].DType, xs[0].Shape, x.DType, x.Shape)
		}
		for i, d := range x.Shape {
			switch {
			case i == a:
				shape[a] = addDims(shape[a], d)
				sizes = append(sizes, d)
			case !sameDim(shape[i], d):
				return g.fail("Concat along axis %d of %v and %v", axis, xs[0].Shape, x.Shape)
			case shape[i] < 0:
				shape[i] = d
			}
		}
	}
	y := g.Node("Concat", xs, shape, xs[0].DType, Int("axis", int64(a)))
	return g.record(y, slices.Clone(xs), func(dy *Tensor, _ []bool) []*Tensor {
		return g.Split(dy, a, sizes...)
	})
}

// Reshape gives x another shape with the same elements. One dimension may be -1: it takes the remaining elements. A
// dimension of 0 is copied from the same position in x.
func (g *Graph) Reshape(x *Tensor, shape ...int64) *Tensor {
	if !g.ready("Reshape", x) {
		return g.Fail(nil)
	}
	out, rest, free := slices.Clone(shape), x.Size(), -1
	for i, d := range shape {
		switch {
		case d == 0 && i < len(x.Shape):
			out[i] = x.Shape[i]
		case d == -1 && free < 0:
			free = i
			continue
		case d <= 0:
			return g.fail("Reshape of %v to %v", x.Shape, shape)
		}
		if rest >= 0 && out[i] > 0 {
			if rest%out[i] != 0 {
				return g.fail("Reshape of %v to %v: sizes differ", x.Shape, shape)
			}
			rest /= out[i]
		}
	}
	switch {
	case free >= 0 && rest >= 0:
		out[free] = rest
	case free < 0 && rest > 1:
		return g.fail("Reshape of %v to %v: sizes differ", x.Shape, shape)
	}
	y := g.Node("Reshape", []*Tensor{x, g.Int64s(shape...)}, out, x.DType)
	return g.record(y, []*Tensor{x}, func(dy *Tensor, _ []bool) []*Tensor {
		return []*Tensor{g.Reshape(dy, x.Shape...)}
	})
}

// AddPerTime adds a time vector to every row: x is [r·M, C] with the rows of timestep m at m, M+m, 2M+m, ..., and tv is
// [M, C]. If there are as many timesteps as rows, it is a plain sum.
func (g *Graph) AddPerTime(x, tv *Tensor) *Tensor {
	if !g.ready("AddPerTime", x, tv) {
		return g.Fail(nil)
	}
	if len(x.Shape) != 2 || len(tv.Shape) != 2 || x.Shape[1] != tv.Shape[1] {
		return g.fail("AddPerTime of %v and %v", x.Shape, tv.Shape)
	}
	m, c := tv.Shape[0], tv.Shape[1]
	if m == x.Shape[0] {
		return g.Add(x, tv)
	}
	if m <= 0 || x.Shape[0] > 0 && x.Shape[0]%m != 0 {
		return g.fail("AddPerTime of %v and %v: rows must be a multiple of timesteps", x.Shape, tv.Shape)
	}
	return g.Reshape(g.Add(g.Reshape(x, -1, m, c), tv), -1, c)
}
