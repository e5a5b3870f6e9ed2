package graph

// record is one differentiable operator on the tape.
type record struct {
	out *Tensor
	ins []*Tensor
	// vjp returns the gradient of each input, given the gradient of the output; nil for inputs that need excludes.
	vjp func(dy *Tensor, need []bool) []*Tensor
}

func (g *Graph) record(out *Tensor, ins []*Tensor, vjp func(*Tensor, []bool) []*Tensor) *Tensor {
	if g.err == nil {
		g.tape = append(g.tape, record{out, ins, vjp})
	}
	return out
}

// Custom makes out, which other operators compute from ins, differentiable: vjp takes the gradient of out and returns
// the gradient of each input (nil for an input without one).
func (g *Graph) Custom(out *Tensor, ins []*Tensor, vjp func(dy *Tensor) []*Tensor) *Tensor {
	return g.record(out, ins, func(dy *Tensor, _ []bool) []*Tensor { return vjp(dy) })
}

// Backward appends the operators that compute d(sum of seed·tensor)/d(w) for each w of wrt, by reverse accumulation over
// the differentiable operators added so far. It is a mistake if no seeded tensor depends on w.
func (g *Graph) Backward(seeds map[*Tensor]*Tensor, wrt []*Tensor) []*Tensor {
	out := make([]*Tensor, len(wrt))
	if g.err != nil {
		for i := range out {
			out[i] = g.Fail(nil)
		}
		return out
	}
	active := map[*Tensor]bool{} // depends on one of wrt
	for _, w := range wrt {
		active[w] = true
	}
	tape := g.tape
	for _, r := range tape {
		for _, in := range r.ins {
			active[r.out] = active[r.out] || active[in]
		}
	}
	grads := make(map[*Tensor]*Tensor, len(tape))
	for t, s := range seeds {
		grads[t] = s
	}
	for i := len(tape) - 1; i >= 0; i-- {
		if dy := grads[tape[i].out]; dy != nil && active[tape[i].out] {
			g.accumulate(grads, tape[i], dy, active)
		}
	}
	g.tape = tape // gradients of gradients are not recorded
	for i, w := range wrt {
		if out[i] = grads[w]; out[i] == nil {
			out[i] = g.fail("no gradient reaches %q%v", w.Name, w.Shape)
		}
	}
	return out
}

func (g *Graph) accumulate(grads map[*Tensor]*Tensor, r record, dy *Tensor, active map[*Tensor]bool) {
	need := make([]bool, len(r.ins))
	for i, in := range r.ins {
		need[i] = active[in]
	}
	for i, d := range r.vjp(dy, need) {
		if d == nil || !need[i] {
			continue
		}
		if old := grads[r.ins[i]]; old != nil {
			d = g.binary("Add", old, d)
		}
		grads[r.ins[i]] = d
	}
}

// sumTo sums dy over the dimensions along which t was broadcast.
func (g *Graph) sumTo(dy, t *Tensor, need bool) *Tensor {
	if !need || g.err != nil {
		return nil
	}
	lead := len(dy.Shape) - len(t.Shape)
	var drop, keep []int
	for i, d := range dy.Shape {
		switch {
		case i < lead:
			drop = append(drop, i)
		case t.Shape[i-lead] == 1 && d != 1:
			keep = append(keep, i)
		}
	}
	if len(keep) > 0 {
		dy = g.ReduceSum(dy, true, keep...)
	}
	if len(drop) > 0 {
		dy = g.ReduceSum(dy, false, drop...)
	}
	return dy
}
