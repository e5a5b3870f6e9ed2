package graph

import (
	"errors"
	"fmt"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

const (
	irVersion = 8 // the one that belongs to opset 17
	opset     = 17
)

// Marshal returns the model as an ONNX file, or the first mistake made while building.
func (g *Graph) Marshal() ([]byte, error) {
	if g.err != nil {
		return nil, g.err
	}
	if len(g.outputs) == 0 {
		return nil, errors.New("graph: no output declared")
	}
	head, tail, size := g.parts()
	if size > math.MaxInt32-1024 {
		return nil, fmt.Errorf("graph: the model would have %d bytes; ONNX files end at 2 GiB", size)
	}
	b := make([]byte, 0, size+256)
	b = appendVarint(b, 1, irVersion)
	b = appendString(b, 2, "oodcast")
	b = protowire.AppendTag(b, 7, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(size))
	b = append(b, head...)
	for _, in := range g.inits {
		h := g.header(in)
		b = protowire.AppendTag(b, 5, protowire.BytesType)
		b = protowire.AppendVarint(b, uint64(len(h)+len(in.raw)))
		b = append(append(b, h...), in.raw...)
	}
	b = append(b, tail...)
	b = appendBytes(b, 8, appendVarint(nil, 2, opset))
	for _, d := range g.domains {
		b = appendBytes(b, 8, appendVarint(appendString(nil, 1, d), 2, 1))
	}
	return b, nil
}

// parts returns the bytes before and after the initialisers in the GraphProto, and the size of the whole message.
// Weights are by far the largest part: they are copied only once, into the final buffer.
func (g *Graph) parts() (head, tail []byte, size int) {
	for _, n := range g.nodes {
		head = appendBytes(head, 1, n.proto())
	}
	head = appendString(head, 2, "oodcast")
	for _, t := range g.inputs {
		tail = appendBytes(tail, 11, valueInfo(t))
	}
	for _, t := range g.outputs {
		tail = appendBytes(tail, 12, valueInfo(t))
	}
	size = len(head) + len(tail)
	for _, in := range g.inits {
		size += protowire.SizeTag(5) + protowire.SizeBytes(len(g.header(in))+len(in.raw))
	}
	return head, tail, size
}

// header returns the bytes of a TensorProto in front of its data.
func (g *Graph) header(in initialiser) []byte {
	b := appendTensorHeader(nil, in.tensor.Name, in.tensor.DType, in.tensor.Shape)
	if in.size > 0 {
		return append(b, g.beside.reference(in.offset, in.size)...)
	}
	return protowire.AppendVarint(protowire.AppendTag(b, tensorRaw, protowire.BytesType), uint64(len(in.raw)))
}

func (n node) proto() []byte {
	var b []byte
	for _, t := range n.ins {
		name := ""
		if t != nil {
			name = t.Name
		}
		b = appendString(b, 1, name)
	}
	for _, t := range n.outs {
		b = appendString(b, 2, t.Name)
	}
	b = appendString(b, 3, n.name)
	b = appendString(b, 4, n.op)
	for _, a := range n.attrs {
		b = appendBytes(b, 5, a.raw)
	}
	if n.domain != "" {
		b = appendString(b, 7, n.domain)
	}
	return b
}

func valueInfo(t *Tensor) []byte {
	var shape []byte
	for _, d := range t.Shape {
		var dim []byte
		if d >= 0 {
			dim = appendVarint(nil, 1, d)
		}
		shape = appendBytes(shape, 1, dim)
	}
	typ := appendBytes(nil, 1, appendBytes(appendVarint(nil, 1, int64(t.DType)), 2, shape))
	return appendBytes(appendString(nil, 1, t.Name), 2, typ)
}
