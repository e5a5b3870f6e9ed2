package graph

import (
	"fmt"
	"math"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

// The numbers of the fields of ONNX messages that the reader understands.
const (
	modelIR, modelGraph, modelOpset                               = 1, 7, 8
	graphNode, graphInit, graphInput, graphOutput, graphInfo      = 1, 5, 11, 12, 13
	graphSparse                                                   = 15
	nodeInput, nodeOutput, nodeName, nodeOp, nodeAttr, nodeDomain = 1, 2, 3, 4, 5, 7
	attrGraphField, attrGraphsField                               = 6, 11
)

// Value is the name and type of an input or output of a model. Shape is nil if the file does not state it.
type Value struct {
	Name  string
	DType DType
	Shape []int64 // -1 for a dimension without a fixed size
}

// Weight is an initialiser of a model.
type Weight struct {
	Name  string
	DType DType
	Shape []int64
	Bytes int // size of the data in the file; 0 if the data is in another file
}

// Operator is a node of a model.
type Operator struct {
	Name, Type, Domain string
	Inputs, Outputs    []string
}

// Model is a parsed ONNX file. It keeps unknown fields unchanged.
type Model struct {
	top     []field
	graph   []field
	at      int // index of the graph in top
	changed bool
}

// Parse reads a model. The bytes must not change afterwards.
func Parse(b []byte) (*Model, error) {
	if len(b) > math.MaxInt32 {
		return nil, fmt.Errorf("%w: %d bytes; ONNX files end at 2 GiB", ErrModel, len(b))
	}
	top, err := parseFields(b, "model")
	if err != nil {
		return nil, err
	}
	m := &Model{top: top, at: -1}
	for i, f := range top {
		if !f.isBytes(modelGraph) {
			continue
		}
		if m.at >= 0 {
			return nil, fmt.Errorf("%w: it has two graphs", ErrModel)
		}
		m.at = i
		if m.graph, err = parseFields(f.val, "graph"); err != nil {
			return nil, err
		}
	}
	if m.at < 0 {
		return nil, fmt.Errorf("%w: it has no graph", ErrModel)
	}
	if err := m.check(); err != nil {
		return nil, err
	}
	return m, nil
}

// check parses everything once, so that the accessors cannot fail, and refuses what a runtime should not see.
func (m *Model) check() error {
	for _, f := range m.graph {
		var err error
		switch {
		case f.isBytes(graphNode):
			_, err = parseOperator(f.val)
		case f.isBytes(graphInit):
			_, err = parseWeight(f.val)
		case f.isBytes(graphInput), f.isBytes(graphOutput), f.isBytes(graphInfo):
			_, err = parseValue(f.val)
		}
		if err != nil {
			return err
		}
	}
	if err := m.checkNames(); err != nil {
		return err
	}
	return m.checkSize()
}

// Marshal writes the model. An unchanged model gives the bytes that it was parsed from.
func (m *Model) Marshal() []byte {
	if !m.changed {
		return joinFields(m.top)
	}
	n := fieldsSize(m.graph)
	size := fieldsSize(m.top) - len(m.top[m.at].raw) + protowire.SizeTag(modelGraph) + protowire.SizeBytes(n)
	b := appendFields(make([]byte, 0, size), m.top[:m.at])
	b = protowire.AppendVarint(protowire.AppendTag(b, modelGraph, protowire.BytesType), uint64(n))
	return appendFields(appendFields(b, m.graph), m.top[m.at+1:])
}

// Opsets returns the versions of the operator sets that the model uses, by domain ("" is ONNX itself).
func (m *Model) Opsets() map[string]int64 {
	sets := map[string]int64{}
	for _, f := range m.top {
		if !f.isBytes(modelOpset) {
			continue
		}
		domain, version := "", int64(0)
		fs, _ := parseFields(f.val, "opset")
		for _, g := range fs {
			if g.isBytes(1) {
				domain = string(g.val)
			}
			if v, ok := g.varint(2); ok {
				version = v
			}
		}
		if domain == "ai.onnx" {
			domain = ""
		}
		sets[domain] = version
	}
	return sets
}

// Inputs returns the inputs that a caller has to provide: the declared inputs that are not initialisers.
func (m *Model) Inputs() []Value {
	given := map[string]bool{}
	for _, w := range m.Initialisers() {
		given[w.Name] = true
	}
	return slices.DeleteFunc(m.values(graphInput), func(v Value) bool { return given[v.Name] })
}

// Outputs returns the outputs in order.
func (m *Model) Outputs() []Value { return m.values(graphOutput) }

func (m *Model) values(num protowire.Number) []Value {
	var vs []Value
	for _, f := range m.graph {
		if f.isBytes(num) {
			v, _ := parseValue(f.val)
			vs = append(vs, v)
		}
	}
	return vs
}

// Initialisers returns the constants of the model in the order of the file.
func (m *Model) Initialisers() []Weight {
	var ws []Weight
	for _, f := range m.graph {
		if f.isBytes(graphInit) {
			w, _ := parseWeight(f.val)
			ws = append(ws, w)
		}
	}
	return ws
}

// Operators returns the nodes in the order of the file, in which they can run.
func (m *Model) Operators() []Operator {
	var ops []Operator
	for _, f := range m.graph {
		if f.isBytes(graphNode) {
			op, _ := parseOperator(f.val)
			ops = append(ops, op)
		}
	}
	return ops
}

// Tap makes an inner tensor the last output. It changes nothing if the tensor already is an output.
func (m *Model) Tap(tensor string) error {
	if slices.ContainsFunc(m.Outputs(), func(v Value) bool { return v.Name == tensor }) {
		return nil
	}
	known := false
	for _, op := range m.Operators() {
		known = known || slices.Contains(op.Outputs, tensor)
	}
	if !known || tensor == "" {
		return fmt.Errorf("graph: no operator of the model makes a tensor %q", tensor)
	}
	info := appendString(nil, 1, tensor) // no type: the runtime infers it
	for _, f := range m.graph {
		if f.isBytes(graphInfo) {
			if v, _ := parseValue(f.val); v.Name == tensor {
				info = f.val
			}
		}
	}
	m.graph = append(slices.Clone(m.graph), bytesField(graphOutput, info))
	m.changed = true
	return nil
}
