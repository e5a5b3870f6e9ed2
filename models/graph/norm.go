package graph

import "math"

// GroupNormEps is the epsilon of [Graph.GroupNorm]: PyTorch's default.
const GroupNormEps = 1e-5

// GroupNorm normalises each row of x[N,C] over groups of C/groups neighbouring channels (biased variance, epsilon
// 1e-5), then multiplies by gamma[C] and adds beta[C]. It has a gradient; [Graph.GroupNormInference] has none and is
// faster.
//
// Small groups are averaged by a product with a constant pooling matrix, large ones by LayerNormalization. At 16
// channels per group, the matrix makes a whole training step a sixteenth faster; at 32, both are equally fast.
func (g *Graph) GroupNorm(x, gamma, beta *Tensor, groups int) *Tensor {
	k, ok := g.groupSize("GroupNorm", x, gamma, beta, groups)
	if !ok {
		return g.Fail(nil)
	}
	if k <= 16 {
		return g.groupNormPool(x, gamma, beta, groups)
	}
	return g.groupNormLayer(x, gamma, beta, groups)
}

func (g *Graph) groupSize(op string, x, gamma, beta *Tensor, groups int) (int64, bool) {
	if !g.ready(op, x, gamma, beta) {
		return 0, false
	}
	if len(x.Shape) != 2 || groups <= 0 || x.Shape[1] <= 0 || x.Shape[1]%int64(groups) != 0 {
		g.fail("%s of %v in %d groups: the channels must divide", op, x.Shape, groups)
		return 0, false
	}
	return x.Shape[1] / int64(groups), true
}

// pool returns the matrix [C,groups] that averages each group, and the matrix [groups,C] that spreads a value over its
// group.
func (g *Graph) pool(c int64, groups int) (mean, spread *Tensor) {
	n := int64(groups)
	k := c / n
	p, e := make([]float64, c*n), make([]float64, c*n)
	for i := range c {
		p[i*n+i/k] = 1 / float64(k)
		e[(i/k)*c+i] = 1
	}
	return g.Const64(p, c, n), g.Const64(e, n, c)
}

func (g *Graph) invSqrt(v *Tensor) *Tensor {
	return g.Unary("Reciprocal", g.Unary("Sqrt", g.binary("Add", v, g.Scalar(GroupNormEps))))
}

// centred returns x minus the mean of its group.
func (g *Graph) centred(x, mean, spread *Tensor) *Tensor {
	return g.Gemm(g.MatMul(x, mean), spread, x, GemmOptions{Alpha: -1})
}

func (g *Graph) groupNormPool(x, gamma, beta *Tensor, groups int) *Tensor {
	mean, spread := g.pool(x.Shape[1], groups)
	xc := g.centred(x, mean, spread)
	inv := g.MatMul(g.invSqrt(g.MatMul(g.binary("Mul", xc, xc), mean)), spread)
	xhat := g.binary("Mul", xc, inv)
	y := g.affine(xhat, gamma, beta)
	return g.record(y, []*Tensor{x, gamma, beta}, func(dy *Tensor, need []bool) []*Tensor {
		q := g.binary("Mul", dy, xhat)
		d := g.affineGrad(dy, q, need)
		if need[0] {
			dxhat := g.binary("Mul", dy, gamma)
			b := g.MatMul(g.MatMul(g.binary("Mul", q, gamma), mean), spread)
			d[0] = g.binary("Mul", inv, g.Sub(g.centred(dxhat, mean, spread), g.binary("Mul", xhat, b)))
		}
		return d
	})
}

func (g *Graph) groupNormLayer(x, gamma, beta *Tensor, groups int) *Tensor {
	c := x.Shape[1]
	k := c / int64(groups)
	flat := g.Node("Reshape", []*Tensor{x, g.Int64s(-1, k)}, []int64{mulDim(x.Shape[0], int64(groups)), k}, x.DType)
	stat := []int64{flat.Shape[0], 1}
	// The mean and the inverse deviation are float32 whatever the type of x.
	outs := g.NodeN("LayerNormalization", []*Tensor{flat, g.ones(k)},
		[]Spec{{x.DType, flat.Shape}, {Float32, stat}, {Float32, stat}},
		Int("axis", -1), Float("epsilon", GroupNormEps))
	norm, inv := outs[0], outs[2]
	if x.DType == Float64 { // a float32 deviation would spoil a gradient check
		norm, inv = g.layerNorm64(flat)
	}
	xhat := g.Node("Reshape", []*Tensor{norm, g.Int64s(-1, c)}, x.Shape, x.DType)
	y := g.affine(xhat, gamma, beta)
	return g.record(y, []*Tensor{x, gamma, beta}, func(dy *Tensor, need []bool) []*Tensor {
		d := g.affineGrad(dy, g.binary("Mul", dy, xhat), need)
		if need[0] {
			dn := g.Node("Reshape", []*Tensor{g.binary("Mul", dy, gamma), g.Int64s(-1, k)}, flat.Shape, x.DType)
			a := g.Reduce("ReduceMean", dn, true, 1)
			b := g.Reduce("ReduceMean", g.binary("Mul", dn, norm), true, 1)
			dx := g.binary("Mul", inv, g.Sub(g.Sub(dn, a), g.binary("Mul", norm, b)))
			d[0] = g.Node("Reshape", []*Tensor{dx, g.Int64s(-1, c)}, x.Shape, x.DType)
		}
		return d
	})
}

func (g *Graph) layerNorm64(x *Tensor) (norm, inv *Tensor) {
	xc := g.Sub(x, g.Reduce("ReduceMean", x, true, 1))
	inv = g.invSqrt(g.Reduce("ReduceMean", g.binary("Mul", xc, xc), true, 1))
	return g.binary("Mul", xc, inv), inv
}

func (g *Graph) affine(xhat, gamma, beta *Tensor) *Tensor {
	return g.binary("Add", g.binary("Mul", xhat, gamma), beta)
}

// affineGrad returns the gradients of gamma and beta at indices 1 and 2; q is dy·xhat.
func (g *Graph) affineGrad(dy, q *Tensor, need []bool) []*Tensor {
	d := make([]*Tensor, 3)
	if need[1] {
		d[1] = g.ReduceSum(q, false, 0)
	}
	if need[2] {
		d[2] = g.ReduceSum(dy, false, 0)
	}
	return d
}

func (g *Graph) ones(n int64) *Tensor {
	v := make([]float64, n)
	for i := range v {
		v[i] = 1
	}
	return g.Const64(v)
}

func mulDim(a, b int64) int64 {
	if a < 0 {
		return -1
	}
	if b > 0 && a > math.MaxInt64/b {
		return -1
	}
	return a * b
}

// GroupNormInference is [Graph.GroupNorm] without a gradient, in the form that was fastest on a CPU: one group is a
// LayerNormalization, groups of 16 or more channels are an InstanceNormalization, and smaller groups use the pooling
// matrix with gamma folded into it.
func (g *Graph) GroupNormInference(x, gamma, beta *Tensor, groups int) *Tensor {
	k, ok := g.groupSize("GroupNorm", x, gamma, beta, groups)
	switch {
	case !ok:
		return g.Fail(nil)
	case groups == 1:
		return g.Node("LayerNormalization", []*Tensor{x, gamma, beta}, x.Shape, x.DType,
			Int("axis", -1), Float("epsilon", GroupNormEps))
	case k < 16:
		mean, spread := g.pool(x.Shape[1], groups)
		return g.scaleGroups(g.centred(x, mean, spread), gamma, beta, mean, spread)
	}
	one, zero := g.ones(int64(groups)), g.Const64(make([]float64, groups))
	x3 := g.Reshape(x, -1, int64(groups), k)
	y := g.Node("InstanceNormalization", []*Tensor{x3, one, zero}, x3.Shape, x.DType, Float("epsilon", GroupNormEps))
	return g.affine(g.Reshape(y, -1, x.Shape[1]), gamma, beta)
}

// GroupNormCentred is [Graph.GroupNormInference] for an x whose groups already have mean 0, as after a layer whose
// weights were centred over each group of outputs. It saves a tenth of a denoiser's time.
func (g *Graph) GroupNormCentred(x, gamma, beta *Tensor, groups int) *Tensor {
	if groups == 1 {
		return g.GroupNormInference(x, gamma, beta, groups)
	}
	if _, ok := g.groupSize("GroupNorm", x, gamma, beta, groups); !ok {
		return g.Fail(nil)
	}
	mean, spread := g.pool(x.Shape[1], groups)
	return g.scaleGroups(x, gamma, beta, mean, spread)
}

// scaleGroups divides xc, whose groups have mean 0, by the deviation of each group.
func (g *Graph) scaleGroups(xc, gamma, beta, mean, spread *Tensor) *Tensor {
	inv := g.invSqrt(g.MatMul(g.binary("Mul", xc, xc), mean))
	return g.binary("Add", g.binary("Mul", xc, g.MatMul(inv, g.binary("Mul", spread, gamma))), beta)
}
