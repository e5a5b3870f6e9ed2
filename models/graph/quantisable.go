package graph

import (
	"math"
	"slices"
)

// Quantisable is an operator that [Model.Quantise] can compute with 8-bit integers: a convolution, or a product with a
// matrix, of constant weights.
type Quantisable struct {
	Name   string // the tensor that the operator makes; identifies it
	Input  string // the tensor that it reads
	Output string // Name, or the tensor that a Relu or a Clip at 0 behind it makes: the integers end at the same value
	// Work is the number of multiplications for an element of the output.
	Work int
	// Feeds lists the operators of this kind that read Output. Floats says that others do, or that Output is one of the model's.
	Feeds  []string
	Floats bool

	conv     bool
	op       Operator
	activate string // node that Output replaces; "" for none
}

// quantOpset is the first version of the operator set with a scale for each channel.
const quantOpset = 13

// Quantisable lists the operators that can be quantised, in the order of the file. A model with control flow has none.
func (m *Model) Quantisable() []Quantisable {
	if m.Opsets()[""] < quantOpset || m.branches() {
		return nil
	}
	u, c := m.usage(), m.constants()
	var list []Quantisable
	for _, op := range u.ops {
		if q, ok := u.quantisable(op, c); ok {
			list = append(list, q)
		}
	}
	at := map[string]int{}
	for i, q := range list {
		at[q.Name] = i
	}
	for i := range list {
		q := &list[i]
		q.Floats = u.outputs[q.Output]
		for _, user := range u.users[q.Output] {
			j, ok := at[first(u.ops[user].Outputs)]
			if ok && list[j].Input == q.Output {
				q.Feeds = append(q.Feeds, list[j].Name)
			} else {
				q.Floats = true
			}
		}
	}
	return list
}

// usage says who reads the tensors of a model.
type usage struct {
	ops     []Operator
	users   map[string][]int // operators that read a tensor, once for each input
	outputs map[string]bool
}

func (m *Model) usage() usage {
	u := usage{ops: m.Operators(), users: map[string][]int{}, outputs: nameSet(m.Outputs())}
	for i, op := range u.ops {
		for _, name := range op.Inputs {
			u.users[name] = append(u.users[name], i)
		}
	}
	return u
}

// quantisable describes one operator. It reports false for one that stays as it is.
func (u usage) quantisable(op Operator, c constants) (Quantisable, bool) {
	none := Quantisable{}
	if op.Domain != "" && op.Domain != "ai.onnx" || len(op.Inputs) < 2 || len(op.Outputs) != 1 {
		return none, false
	}
	q := Quantisable{Name: op.Outputs[0], Input: op.Inputs[0], Output: op.Outputs[0], op: op, conv: op.Type == "Conv"}
	w, ok := c.header(op.Inputs[1])
	if _, constant := c.header(q.Input); !ok || constant || q.Input == "" || slices.Min(append(w.Shape, 1)) < 1 {
		return none, false
	}
	switch {
	case q.conv && len(w.Shape) == 4:
		q.Work = int(w.Shape[1] * w.Shape[2] * w.Shape[3])
		if len(op.Inputs) > 2 && op.Inputs[2] != "" {
			if _, ok := c.header(op.Inputs[2]); !ok {
				return none, false
			}
		}
		u.fold(&q, c)
		return q, true
	case op.Type == "MatMul" && len(w.Shape) == 2:
		q.Work = int(w.Shape[0])
		return q, true
	}
	return none, false
}

// fold finds an activation behind a convolution that integers which end at its bounds make superfluous.
func (u usage) fold(q *Quantisable, c constants) {
	users := u.users[q.Name]
	if len(users) != 1 || u.outputs[q.Name] {
		return
	}
	op := u.ops[users[0]]
	if op.Domain != "" && op.Domain != "ai.onnx" || len(op.Outputs) != 1 || op.Inputs[0] != q.Name {
		return
	}
	switch {
	case op.Type == "Relu":
	case op.Type == "Clip" && len(op.Inputs) > 1:
		if low, ok := c.floats(op.Inputs[1]); !ok || len(low) != 1 || low[0] != 0 {
			return
		}
	default:
		return
	}
	q.Output, q.activate = op.Outputs[0], op.Outputs[0]
}

// branches reports whether an operator holds graphs of its own, which may read any tensor.
func (m *Model) branches() bool {
	return slices.ContainsFunc(m.graph, func(f field) bool {
		if !f.isBytes(graphNode) {
			return false
		}
		fs, _ := parseFields(f.val, "node")
		return slices.ContainsFunc(fs, func(n field) bool {
			if !n.isBytes(nodeAttr) {
				return false
			}
			attr, _ := parseFields(n.val, "attribute")
			return slices.ContainsFunc(attr, func(a field) bool { return a.isBytes(attrGraphField) || a.isBytes(attrGraphsField) })
		})
	})
}

// Range is what was seen of a tensor.
type Range struct {
	Min, Max float64
	// Mean of each channel of a convolution's input; nil: unknown.
	Mean []float64
}

// steps returns the value of a step and the integer of 0, for 256 integers from Min to Max, which always hold 0.
func (r Range) steps() (scale float64, zero uint8) {
	low, high := min(r.Min, 0), max(r.Max, 0)
	scale = max((high-low)/255, math.SmallestNonzeroFloat32*(1<<24))
	return scale, uint8(min(max(math.Round(-low/scale), 0), 255))
}

func first(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[0]
}
