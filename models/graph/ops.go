package graph

import "slices"

// ready reports whether an operator may be added: there was no earlier mistake, and no tensor is nil.
func (g *Graph) ready(op string, ins ...*Tensor) bool {
	if g.err != nil {
		return false
	}
	for i, t := range ins {
		if t == nil {
			g.fail("%s: input %d is missing", op, i)
			return false
		}
	}
	return true
}

func (g *Graph) binary(op string, a, b *Tensor) *Tensor {
	if !g.ready(op, a, b) {
		return g.Fail(nil)
	}
	shape, ok := broadcast(a.Shape, b.Shape)
	if !ok || a.DType != b.DType {
		return g.fail("%s of %v%v and %v%v: they do not fit", op, a.DType, a.Shape, b.DType, b.Shape)
	}
	return g.Node(op, []*Tensor{a, b}, shape, a.DType)
}

// Unary adds an elementwise operator of one input: Relu, Exp, Log, Sqrt, Neg, Reciprocal, HardSwish, ...
func (g *Graph) Unary(op string, x *Tensor, attrs ...Attr) *Tensor {
	if !g.ready(op, x) {
		return g.Fail(nil)
	}
	return g.Node(op, []*Tensor{x}, x.Shape, x.DType, attrs...)
}

// Sub returns a-b, broadcast. It has no gradient.
func (g *Graph) Sub(a, b *Tensor) *Tensor { return g.binary("Sub", a, b) }

// Div returns a/b elementwise, broadcast. It has no gradient.
func (g *Graph) Div(a, b *Tensor) *Tensor { return g.binary("Div", a, b) }

// Min returns the smaller of a and b elementwise, broadcast. It has no gradient.
func (g *Graph) Min(a, b *Tensor) *Tensor { return g.binary("Min", a, b) }

// Max returns the larger of a and b elementwise, broadcast. It has no gradient.
func (g *Graph) Max(a, b *Tensor) *Tensor { return g.binary("Max", a, b) }

// Cast converts the elements of x to dt.
func (g *Graph) Cast(x *Tensor, dt DType) *Tensor {
	if !g.ready("Cast", x) || x.DType == dt {
		return x
	}
	return g.Node("Cast", []*Tensor{x}, x.Shape, dt, Int("to", int64(dt)))
}

// MatMul returns the matrix product over the last two dimensions; leading dimensions are broadcast. It has no gradient.
func (g *Graph) MatMul(a, b *Tensor) *Tensor {
	if !g.ready("MatMul", a, b) {
		return g.Fail(nil)
	}
	ra, rb := len(a.Shape), len(b.Shape)
	if ra < 2 || rb < 2 || !sameDim(a.Shape[ra-1], b.Shape[rb-2]) {
		return g.fail("MatMul of %v and %v: they do not fit", a.Shape, b.Shape)
	}
	lead, ok := broadcast(a.Shape[:ra-2], b.Shape[:rb-2])
	if !ok {
		return g.fail("MatMul of %v and %v: they do not fit", a.Shape, b.Shape)
	}
	return g.Node("MatMul", []*Tensor{a, b}, append(lead, a.Shape[ra-2], b.Shape[rb-1]), a.DType)
}

// GemmOptions are the attributes of [Graph.Gemm]; the zero value is a·b+c.
type GemmOptions struct {
	TransA, TransB bool
	Alpha, Beta    float32 // 0 stands for 1
}

// Gemm returns alpha·a·b + beta·c for matrices, with a and b transposed on request. c is broadcast and may be nil. It has
// no gradient; [Graph.Linear] has one.
func (g *Graph) Gemm(a, b, c *Tensor, o GemmOptions) *Tensor {
	if !g.ready("Gemm", a, b) {
		return g.Fail(nil)
	}
	if len(a.Shape) != 2 || len(b.Shape) != 2 {
		return g.fail("Gemm of %v and %v: both must be matrices", a.Shape, b.Shape)
	}
	m, k, k2, n := a.Shape[0], a.Shape[1], b.Shape[0], b.Shape[1]
	var attrs []Attr
	if o.TransA {
		m, k = k, m
		attrs = append(attrs, Int("transA", 1))
	}
	if o.TransB {
		k2, n = n, k2
		attrs = append(attrs, Int("transB", 1))
	}
	if o.Alpha != 0 && o.Alpha != 1 {
		attrs = append(attrs, Float("alpha", o.Alpha))
	}
	if o.Beta != 0 && o.Beta != 1 {
		attrs = append(attrs, Float("beta", o.Beta))
	}
	if !sameDim(k, k2) {
		return g.fail("Gemm of %v and %v: they do not fit", a.Shape, b.Shape)
	}
	ins := []*Tensor{a, b}
	if c != nil {
		if _, ok := broadcast(c.Shape, []int64{m, n}); !ok || len(c.Shape) > 2 {
			return g.fail("Gemm of %v and %v: cannot add %v", a.Shape, b.Shape, c.Shape)
		}
		ins = append(ins, c)
	}
	return g.Node("Gemm", ins, []int64{m, n}, a.DType, attrs...)
}

// Transpose permutes the dimensions: dimension i of the result is dimension perm[i] of x.
func (g *Graph) Transpose(x *Tensor, perm ...int) *Tensor {
	if !g.ready("Transpose", x) {
		return g.Fail(nil)
	}
	shape, order, seen := make([]int64, len(perm)), make([]int64, len(perm)), make([]bool, len(perm))
	for i, p := range perm {
		if len(perm) != len(x.Shape) || p < 0 || p >= len(perm) || seen[p] {
			return g.fail("Transpose of %v by %v: not a permutation", x.Shape, perm)
		}
		shape[i], order[i], seen[p] = x.Shape[p], int64(p), true
	}
	return g.Node("Transpose", []*Tensor{x}, shape, x.DType, Ints("perm", order...))
}

// Gather picks entries of x along axis by the integers in index; the dimensions of index replace axis in the result.
func (g *Graph) Gather(x, index *Tensor, axis int) *Tensor {
	if !g.ready("Gather", x, index) {
		return g.Fail(nil)
	}
	a := axisOf(axis, len(x.Shape))
	if a < 0 {
		return g.fail("Gather along axis %d of %v", axis, x.Shape)
	}
	shape := slices.Concat(x.Shape[:a], index.Shape, x.Shape[a+1:])
	return g.Node("Gather", []*Tensor{x, index}, shape, x.DType, Int("axis", int64(a)))
}

// Split cuts x along axis into parts of the given sizes. It has no gradient.
func (g *Graph) Split(x *Tensor, axis int, sizes ...int64) []*Tensor {
	bad := func() []*Tensor { return slices.Repeat([]*Tensor{g.Fail(nil)}, len(sizes)) }
	if !g.ready("Split", x) {
		return bad()
	}
	a := axisOf(axis, len(x.Shape))
	var sum int64
	for _, s := range sizes {
		sum += s
	}
	if a < 0 || !sameDim(sum, x.Shape[a]) {
		g.fail("Split of %v along axis %d into %v", x.Shape, axis, sizes)
		return bad()
	}
	specs := make([]Spec, len(sizes))
	for i, s := range sizes {
		specs[i] = Spec{x.DType, withDim(x.Shape, a, s)}
	}
	return g.NodeN("Split", []*Tensor{x, g.Int64s(sizes...)}, specs, Int("axis", int64(a)))
}

// Slice returns x[from:to] along axis; to may be beyond the end.
func (g *Graph) Slice(x *Tensor, axis int, from, to int64) *Tensor {
	if !g.ready("Slice", x) {
		return g.Fail(nil)
	}
	a := axisOf(axis, len(x.Shape))
	if a < 0 || from < 0 || to < from {
		return g.fail("Slice [%d:%d] along axis %d of %v", from, to, axis, x.Shape)
	}
	d := int64(-1)
	if x.Shape[a] >= 0 {
		d = max(0, min(to, x.Shape[a])-from)
	}
	ins := []*Tensor{x, g.Int64s(from), g.Int64s(to), g.Int64s(int64(a))}
	return g.Node("Slice", ins, withDim(x.Shape, a, d), x.DType)
}

// Unsqueeze inserts a dimension of 1 before dimension axis of x, or at the end if axis is the rank.
func (g *Graph) Unsqueeze(x *Tensor, axis int) *Tensor {
	if !g.ready("Unsqueeze", x) {
		return g.Fail(nil)
	}
	if axis < 0 || axis > len(x.Shape) {
		return g.fail("Unsqueeze of %v at %d", x.Shape, axis)
	}
	shape := slices.Insert(slices.Clone(x.Shape), axis, 1)
	return g.Node("Unsqueeze", []*Tensor{x, g.Int64s(int64(axis))}, shape, x.DType)
}

// ShapeOf returns the dimensions that x has when the model runs, as int64[rank].
func (g *Graph) ShapeOf(x *Tensor) *Tensor {
	if !g.ready("Shape", x) {
		return g.Fail(nil)
	}
	return g.Node("Shape", []*Tensor{x}, []int64{int64(len(x.Shape))}, Int64)
}

// ReduceSum sums along the axes; keep leaves a dimension of 1 for each of them. It has no gradient.
func (g *Graph) ReduceSum(x *Tensor, keep bool, axes ...int) *Tensor {
	idx, shape := g.reduced("ReduceSum", x, keep, axes)
	if g.err != nil {
		return g.Fail(nil)
	}
	return g.Node("ReduceSum", []*Tensor{x, g.Int64s(idx...)}, shape, x.DType, Int("keepdims", flag(keep)))
}

// Reduce adds ReduceMean, ReduceMax, ReduceMin, ReduceLogSumExp, ReduceL2 or another operator of the family along the
// axes.
func (g *Graph) Reduce(op string, x *Tensor, keep bool, axes ...int) *Tensor {
	idx, shape := g.reduced(op, x, keep, axes)
	if g.err != nil {
		return g.Fail(nil)
	}
	return g.Node(op, []*Tensor{x}, shape, x.DType, Ints("axes", idx...), Int("keepdims", flag(keep)))
}

func (g *Graph) reduced(op string, x *Tensor, keep bool, axes []int) (idx, shape []int64) {
	if !g.ready(op, x) {
		return nil, nil
	}
	for i, d := range x.Shape {
		if !slices.Contains(axes, i) && !slices.Contains(axes, i-len(x.Shape)) {
			shape = append(shape, d)
			continue
		}
		idx = append(idx, int64(i))
		if keep {
			shape = append(shape, 1)
		}
	}
	if len(idx) != len(axes) || len(shape) == 0 {
		g.fail("%s of %v along %v: the axes must exist and a dimension must be left", op, x.Shape, axes)
	}
	return idx, shape
}

func flag(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

func sameDim(a, b int64) bool { return a == b || a < 0 || b < 0 }
