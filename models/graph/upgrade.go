package graph

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

// ErrOpset means that a model uses operators that are too old to be brought up to date.
var ErrOpset = errors.New("graph: operator set")

// The operator sets that Upgrade reads and the one that it writes.
const (
	oldestOpset   = 9
	upgradedOpset = 13
)

// Upgrade brings a model of operator set 9 to 12 to set 13, and leaves a newer one as it is. Where an operator's meaning has
// changed, others that keep the old one take its place: Upsample and the first Resize (which puts pixel i at i/scale), the
// softmax over all dimensions from an axis on, and the attributes that have become inputs (ONNX, Changelog.md).
func (m *Model) Upgrade() error {
	from := m.Opsets()[""]
	if from >= upgradedOpset {
		return nil
	}
	if from < oldestOpset {
		return fmt.Errorf("%w %d is too old: export with %d or later", ErrOpset, from, oldestOpset)
	}
	if fs := m.Functions(); len(fs) > 0 {
		return fmt.Errorf("%w %d with the function %q: export with %d or later", ErrOpset, from, fs[0], upgradedOpset)
	}
	u := &upgrader{from: from, taken: m.names(), typeOf: m.TypeOf, other: Float32}
	if types := m.Types(); slices.Contains(types, Float16) {
		u.other = Float16
	}
	var err error
	if m.graph, err = u.graph(m.graph, 0); err != nil {
		return err
	}
	m.changed = true
	m.SetOpset(upgradedOpset)
	return nil
}

// upgrader rewrites nodes.
type upgrader struct {
	from   int64
	taken  map[string]bool
	typeOf func(tensor string) DType
	other  DType // of tensors whose type the file does not state
	before [][]byte
	after  [][]byte
}

// graph rewrites the nodes of a graph and of the graphs in their attributes.
func (u *upgrader) graph(fs []field, depth int) ([]field, error) {
	if depth >= maxDepth {
		return nil, fmt.Errorf("%w: graphs nested deeper than %d", ErrModel, maxDepth)
	}
	out := make([]field, 0, len(fs))
	for _, f := range fs {
		if !f.isBytes(graphNode) {
			out = append(out, f)
			continue
		}
		n, err := parseNode(f.val)
		if err != nil {
			return nil, err
		}
		if err := u.inner(n, depth); err != nil {
			return nil, err
		}
		u.before, u.after = nil, nil
		if n.domain == "" || n.domain == "ai.onnx" {
			u.node(n)
		}
		for _, b := range u.before {
			out = append(out, bytesField(graphNode, b))
		}
		out = append(out, bytesField(graphNode, n.marshal()))
		for _, b := range u.after {
			out = append(out, bytesField(graphNode, b))
		}
	}
	return out, nil
}

// inner rewrites the graphs in the attributes of a node.
func (u *upgrader) inner(n *protoNode, depth int) error {
	for i, a := range n.attrs {
		fs, err := parseFields(a.raw, "attribute")
		if err != nil {
			return err
		}
		changed := false
		for j, f := range fs {
			if !f.isBytes(attrGraphField) && !f.isBytes(attrGraphsField) {
				continue
			}
			inner, err := parseFields(f.val, "graph")
			if err != nil {
				return err
			}
			if inner, err = u.graph(inner, depth+1); err != nil {
				return err
			}
			fs[j], changed = messageField(f.num, inner), true
		}
		if changed {
			n.attrs[i].raw = joinFields(fs)
		}
	}
	return nil
}

// fresh returns an unused name.
func (u *upgrader) fresh() string {
	name := freshName(u.taken, fmt.Sprintf("upgraded_%d", len(u.taken)))
	u.taken[name] = true
	return name
}

// constant puts a constant in front of the node and returns its name. A nil shape makes a scalar.
func (u *upgrader) constant(dtype DType, raw []byte, shape []int64) string {
	name := u.fresh()
	value := appendBytes(appendTensorHeader(nil, "", dtype, shape), tensorRaw, raw)
	const attrTensorType = 4
	attr := closeAttr(appendBytes(appendString(nil, 1, "value"), attrTensor, value), attrTensorType)
	b := appendString(appendString(appendString(nil, nodeOutput, name), nodeName, name), nodeOp, "Constant")
	u.before = append(u.before, appendBytes(b, nodeAttr, attr.raw))
	return name
}

func (u *upgrader) int64s(v []int64) string {
	raw := make([]byte, 8*len(v))
	for i, x := range v {
		binary.LittleEndian.PutUint64(raw[8*i:], uint64(x))
	}
	return u.constant(Int64, raw, []int64{int64(len(v))})
}

func (u *upgrader) float32s(v []float32) string {
	raw := make([]byte, 4*len(v))
	for i, x := range v {
		binary.LittleEndian.PutUint32(raw[4*i:], math.Float32bits(x))
	}
	return u.constant(Float32, raw, []int64{int64(len(v))})
}

// like makes a scalar of the type of a tensor.
func (u *upgrader) like(tensor string, v float32) string {
	dtype := u.typeOf(tensor)
	if dtype == 0 {
		dtype = u.other
	}
	raw := binary.LittleEndian.AppendUint32(nil, math.Float32bits(v))
	name := u.constant(Float32, raw, nil)
	if dtype == Float32 {
		return name
	}
	cast := u.fresh()
	u.before = append(u.before, castNode(cast, name, cast, dtype))
	return cast
}

// protoNode is a node that can be changed.
type protoNode struct {
	ins, outs        []string
	name, op, domain string
	attrs            []namedAttr
	rest             []field
}

// namedAttr is an attribute in its encoded form.
type namedAttr struct {
	name string
	raw  []byte
}

func parseNode(b []byte) (*protoNode, error) {
	op, err := parseOperator(b)
	if err != nil {
		return nil, err
	}
	n := &protoNode{ins: op.Inputs, outs: op.Outputs, name: op.Name, op: op.Type, domain: op.Domain}
	fs, _ := parseFields(b, "node")
	for _, f := range fs {
		switch {
		case f.isBytes(nodeAttr):
			parts, err := parseFields(f.val, "attribute")
			if err != nil {
				return nil, err
			}
			a := namedAttr{raw: f.val}
			for _, p := range parts {
				if p.isBytes(1) {
					a.name = string(p.val)
				}
			}
			n.attrs = append(n.attrs, a)
		case f.isBytes(nodeInput), f.isBytes(nodeOutput), f.isBytes(nodeName), f.isBytes(nodeOp), f.isBytes(nodeDomain):
		default:
			n.rest = append(n.rest, f)
		}
	}
	return n, nil
}

func (n *protoNode) marshal() []byte {
	var b []byte
	for _, s := range n.ins {
		b = appendString(b, nodeInput, s)
	}
	for _, s := range n.outs {
		b = appendString(b, nodeOutput, s)
	}
	b = appendString(appendString(b, nodeName, n.name), nodeOp, n.op)
	for _, a := range n.attrs {
		b = appendBytes(b, nodeAttr, a.raw)
	}
	if n.domain != "" {
		b = appendString(b, nodeDomain, n.domain)
	}
	return appendFields(b, n.rest)
}

// take removes an attribute and returns its fields, or nil.
func (n *protoNode) take(name string) []field {
	for i, a := range n.attrs {
		if a.name == name {
			n.attrs = slices.Delete(n.attrs, i, i+1)
			fs, _ := parseFields(a.raw, "attribute")
			return fs
		}
	}
	return nil
}

// ints removes a list of integers.
func (n *protoNode) ints(name string) (v []int64, ok bool) {
	fs := n.take(name)
	for _, f := range fs {
		if f.num == 8 {
			v = f.varints(8, v)
		}
	}
	return v, fs != nil
}

// integer removes an integer.
func (n *protoNode) integer(name string, absent int64) int64 {
	for _, f := range n.take(name) {
		if v, ok := f.varint(3); ok {
			return v
		}
	}
	return absent
}

// floats removes a number or a list of numbers.
func (n *protoNode) floats(name string) (v []float32, ok bool) {
	fs := n.take(name)
	for _, f := range fs {
		switch {
		case (f.num == 2 || f.num == 7) && f.typ == protowire.Fixed32Type:
			bits, _ := protowire.ConsumeFixed32(f.val)
			v = append(v, math.Float32frombits(bits))
		case f.isBytes(7): // packed
			for b := f.val; len(b) >= 4; b = b[4:] {
				v = append(v, math.Float32frombits(binary.LittleEndian.Uint32(b)))
			}
		}
	}
	return v, fs != nil
}

// set adds an attribute in place of the one of its name.
func (n *protoNode) set(name string, a Attr) {
	n.take(name)
	n.attrs = append(n.attrs, namedAttr{name, a.raw})
}

// input returns input i, or "".
func (n *protoNode) input(i int) string {
	if i < len(n.ins) {
		return n.ins[i]
	}
	return ""
}
