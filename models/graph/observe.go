package graph

import "fmt"

// Observed names the outputs that say what happens to a tensor in a run: its smallest and largest value, its
// shape (int64) and, for a picture [N,C,H,W], the mean of each channel; Mean is "" otherwise.
type Observed struct {
	Tensor, Min, Max, Shape, Mean string
}

// Observe replaces the outputs of the model by what happens to the inputs and outputs of operators. The runtime needs no more
// memory than for the model itself.
func (m *Model) Observe(ops []Quantisable) ([]Observed, error) {
	if err := m.KeepOutputs(); err != nil {
		return nil, err
	}
	names, at := m.names(), map[string]int{}
	var list []Observed
	name := func(n int, what string) string {
		fresh := freshName(names, fmt.Sprintf("observed_%d_%s", n, what))
		names[fresh] = true
		return fresh
	}
	for _, op := range ops {
		for _, tensor := range []string{op.Input, op.Output} {
			i, ok := at[tensor]
			if !ok {
				i = len(list)
				at[tensor] = i
				o := Observed{Tensor: tensor, Min: name(i, "min"), Max: name(i, "max"), Shape: name(i, "shape")}
				list = append(list, o)
				m.summarise("ReduceMin", tensor, o.Min, Float32)
				m.summarise("ReduceMax", tensor, o.Max, Float32)
				m.summarise("Shape", tensor, o.Shape, Int64)
			}
			if op.conv && tensor == op.Input && list[i].Mean == "" {
				list[i].Mean = name(i, "mean")
				m.summarise("GlobalAveragePool", tensor, list[i].Mean, Float32)
			}
		}
	}
	return list, nil
}

// summarise adds an operator on one tensor and makes its result an output.
func (m *Model) summarise(op, tensor, to string, dt DType) {
	b := appendString(appendString(nil, nodeInput, tensor), nodeOutput, to)
	b = appendString(appendString(b, nodeName, to+"_node"), nodeOp, op)
	value := appendString(nil, 1, to)
	value = appendBytes(value, 2, appendBytes(nil, 1, appendVarint(nil, 1, int64(dt)))) // of any shape
	m.graph = append(m.graph, bytesField(graphNode, b), bytesField(graphOutput, value))
	m.changed = true
}
