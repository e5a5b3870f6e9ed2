package graph

import (
	"fmt"
	"slices"
)

// TypeOf returns the element type of a tensor as far as the file states it, or 0.
func (m *Model) TypeOf(tensor string) DType {
	for _, v := range slices.Concat(m.values(graphInput), m.Outputs(), m.values(graphInfo)) {
		if v.Name == tensor && v.DType != 0 {
			return v.DType
		}
	}
	for _, w := range m.Initialisers() {
		if w.Name == tensor {
			return w.DType
		}
	}
	return 0
}

// KindOf returns what a value is if it is not a tensor, as far as the file states it; see [Value].
func (m *Model) KindOf(name string) string {
	for _, v := range slices.Concat(m.values(graphInput), m.Outputs(), m.values(graphInfo)) {
		if v.Name == name && v.Kind != "" {
			return v.Kind
		}
	}
	for _, op := range m.Operators() {
		if !slices.Contains(op.Outputs, name) {
			continue
		}
		switch op.Type {
		case "SplitToSequence", "SequenceConstruct", "SequenceEmpty", "SequenceErase", "SequenceInsert", "SequenceMap":
			return "sequence"
		case "Optional":
			return "optional"
		}
	}
	return ""
}

// Types returns the element types of the inputs, the initialisers and the results of Cast operators, each once.
func (m *Model) Types() []DType {
	var types []DType
	for _, v := range m.Inputs() {
		types = append(types, v.DType)
	}
	for _, w := range m.Initialisers() {
		types = append(types, w.DType)
	}
	for _, f := range m.graph {
		if op, _ := parseOperator(f.val); f.isBytes(graphNode) && op.Type == "Cast" {
			types = append(types, castType(f.val))
		}
	}
	slices.Sort(types)
	return slices.Compact(types)
}

// castType returns the type in the attributes of a Cast operator, or 0.
func castType(node []byte) DType {
	fs, _ := parseFields(node, "node")
	for _, f := range fs {
		if !f.isBytes(nodeAttr) {
			continue
		}
		attr, _ := parseFields(f.val, "attribute")
		for _, a := range attr {
			if v, ok := a.varint(3); ok {
				return DType(v)
			}
		}
	}
	return 0
}

// Cast adds an operator that converts a tensor and returns the name of the result.
func (m *Model) Cast(tensor string, to DType) (string, error) {
	known := false
	for _, op := range m.Operators() {
		known = known || slices.Contains(op.Outputs, tensor)
	}
	if !known || tensor == "" {
		return "", fmt.Errorf("graph: no operator of the model makes a tensor %q", tensor)
	}
	name := freshName(m.names(), tensor+"_"+to.String())
	m.graph = append(slices.Clone(m.graph), bytesField(graphNode, castNode(name, tensor, name, to)))
	m.changed = true
	return name, nil
}

// castNode returns the NodeProto of a Cast.
func castNode(name, from, to string, dtype DType) []byte {
	b := appendString(appendString(nil, nodeInput, from), nodeOutput, to)
	b = appendString(appendString(b, nodeName, name), nodeOp, "Cast")
	return appendBytes(b, nodeAttr, Int("to", int64(dtype)).raw)
}

// freshName returns name, or name with as many _ as it needs to differ from all names.
func freshName(names map[string]bool, name string) string {
	for names[name] {
		name += "_"
	}
	return name
}
