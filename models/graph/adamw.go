package graph

// AdamWOptions are the constants of [Graph.AdamW].
type AdamWOptions struct {
	Beta1, Beta2 float64 // 0 stands for 0.9 and 0.999
}

// AdamW appends one step of AdamW (Loshchilov and Hutter 2019) on tensors of one shape: parameters p, gradient grad,
// moments m and v. The values that change from step to step are three tensors of shape [1], see nets.AdamW.Hyper:
//
//	decay = 1 - lr·weight_decay
//	scale = (1-beta1^s) / (lr·sqrt(1-beta2^s))
//	bias  = epsilon·(1-beta1^s) / lr
//	p' = p·decay - m' / (sqrt(v')·scale + bias)
//
// This is the usual update with the bias corrections moved into scalars.
func (g *Graph) AdamW(p, grad, m, v, decay, scale, bias *Tensor, o AdamWOptions) (p2, m2, v2 *Tensor) {
	if o.Beta1 == 0 {
		o.Beta1 = 0.9
	}
	if o.Beta2 == 0 {
		o.Beta2 = 0.999
	}
	m2 = g.binary("Add", grad, g.binary("Mul", g.Sub(m, grad), g.Scalar(o.Beta1)))
	sq := g.binary("Mul", grad, grad)
	v2 = g.binary("Add", sq, g.binary("Mul", g.Sub(v, sq), g.Scalar(o.Beta2)))
	den := g.binary("Add", g.binary("Mul", g.Unary("Sqrt", v2), scale), bias)
	p2 = g.Sub(g.binary("Mul", p, decay), g.Div(m2, den))
	return p2, m2, v2
}
