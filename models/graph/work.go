package graph

import (
	"fmt"
	"slices"
)

// Work counts what a model multiplies. [Model.Work] makes it.
type Work struct {
	ops     []Operator
	weights map[string][]int64 // shapes of initialisers
	shapes  map[string]string  // outputs that hold the shapes of tensors
	scores  map[string]bool    // results of Softmax
}

// Work replaces the outputs of the model by the shapes of the tensors that its convolutions and matrix products read and make, one
// int64 tensor each. A run of the model for any input then tells [Work.Multiplications] how much it multiplies.
func (m *Model) Work() *Work {
	w := &Work{weights: map[string][]int64{}, shapes: map[string]string{}, scores: map[string]bool{}}
	for _, init := range m.Initialisers() {
		w.weights[init.Name] = init.Shape
	}
	for _, op := range m.Operators() {
		if op.Type == "Softmax" && len(op.Outputs) == 1 {
			w.scores[op.Outputs[0]] = true
		}
		if !op.multiplies() {
			continue
		}
		w.ops = append(w.ops, op)
		// A tensor whose shape is asked for may be kept to the end. The scores of attention, which are the largest, are not.
		asked := []string{op.Inputs[0], op.Inputs[1]}
		if op.Type != "MatMul" {
			asked = append(asked, op.Outputs[0])
		} else if w.scores[op.Inputs[0]] {
			asked[0] = op.Outputs[0]
		}
		for _, t := range asked {
			if w.weights[t] == nil && w.shapes[t] == "" {
				w.shapes[t] = fmt.Sprintf("oodcast.shape.%d", len(w.shapes))
			}
		}
	}
	var fields []field
	tell := func(tensor string) {
		if to := w.shapes[tensor]; to != "" {
			node := appendString(appendString(appendString(nil, nodeInput, tensor), nodeOutput, to), nodeOp, "Shape")
			fields = append(fields, bytesField(graphNode, node), bytesField(graphOutput, appendString(nil, 1, to)))
		}
	}
	for _, in := range m.Inputs() {
		tell(in.Name)
	}
	for _, f := range m.graph {
		if f.isBytes(graphOutput) {
			continue
		}
		fields = append(fields, f)
		if f.isBytes(graphNode) { // at once, so that the tensor need not be kept
			op, _ := parseOperator(f.val)
			for _, t := range op.Outputs {
				tell(t)
			}
		}
	}
	m.graph, m.changed = fields, true
	return w
}

// multiplies reports whether an operator counts: all others are elementwise, or move data.
func (op Operator) multiplies() bool {
	return (op.Domain == "" || op.Domain == "ai.onnx") && len(op.Inputs) > 1 && len(op.Outputs) > 0 &&
		slices.Contains([]string{"Conv", "ConvTranspose", "MatMul", "Gemm"}, op.Type)
}

// Multiplications returns the number of multiplications, each with an addition, of a run whose outputs were shapes.
func (w *Work) Multiplications(shapes map[string][]int64) (int64, error) {
	shape := func(tensor string) []int64 {
		if s, ok := w.weights[tensor]; ok {
			return s
		}
		return shapes[w.shapes[tensor]]
	}
	var sum int64
	for _, op := range w.ops {
		a, b, out := shape(op.Inputs[0]), shape(op.Inputs[1]), shape(op.Outputs[0])
		scores := w.scores[op.Inputs[0]]
		if len(b) < 2 || !scores && len(a) < 2 || (scores || op.Type != "MatMul") && len(out) < 2 {
			return 0, fmt.Errorf("graph: the shapes of %s %q are not known", op.Type, op.Name)
		}
		switch {
		case op.Type == "Conv": // every result is the product of a kernel [out, in/groups, …]
			sum += elements(out) * elements(b[1:])
		case op.Type == "ConvTranspose": // and here of every input, with a kernel [in, out/groups, …]
			sum += elements(a) * elements(b[1:])
		case op.Type == "Gemm": // of which either matrix may be transposed
			sum += elements(a) * elements(out) / max(1, out[0])
		case scores:
			sum += elements(out) * b[len(b)-2]
		default:
			batch, _ := broadcast(a[:len(a)-2], b[:len(b)-2])
			sum += elements(batch) * elements(a[len(a)-2:]) * b[len(b)-1]
		}
	}
	return sum, nil
}

func elements(shape []int64) int64 {
	n := int64(1)
	for _, d := range shape {
		n *= d
	}
	return n
}
