package graph

import (
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// Attr is one attribute of an operator, already encoded as an AttributeProto.
type Attr struct {
	raw []byte
}

// AttributeProto.type values.
const (
	attrFloat  = 1
	attrInt    = 2
	attrString = 3
	attrInts   = 7
)

// Int makes an integer attribute.
func Int(name string, v int64) Attr {
	return closeAttr(appendVarint(appendString(nil, 1, name), 3, v), attrInt)
}

// Ints makes an attribute that is a list of integers.
func Ints(name string, vs ...int64) Attr {
	b := appendString(nil, 1, name)
	for _, v := range vs {
		b = appendVarint(b, 8, v)
	}
	return closeAttr(b, attrInts)
}

// Float makes a float32 attribute.
func Float(name string, v float32) Attr {
	b := protowire.AppendTag(appendString(nil, 1, name), 2, protowire.Fixed32Type)
	return closeAttr(protowire.AppendFixed32(b, math.Float32bits(v)), attrFloat)
}

// Str makes a string attribute.
func Str(name, v string) Attr {
	return closeAttr(appendString(appendString(nil, 1, name), 4, v), attrString)
}

func closeAttr(b []byte, kind int64) Attr { return Attr{appendVarint(b, 20, kind)} }

func appendString(b []byte, field protowire.Number, s string) []byte {
	return protowire.AppendString(protowire.AppendTag(b, field, protowire.BytesType), s)
}

func appendBytes(b []byte, field protowire.Number, v []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, field, protowire.BytesType), v)
}

func appendVarint(b []byte, field protowire.Number, v int64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, field, protowire.VarintType), uint64(v))
}

// appendTensorHeader writes dims, type and name of a TensorProto; the caller adds raw_data (field 9).
func appendTensorHeader(b []byte, name string, dt DType, shape []int64) []byte {
	for _, d := range shape {
		b = appendVarint(b, 1, d)
	}
	b = appendVarint(b, 2, int64(dt))
	if name != "" {
		b = appendString(b, 8, name)
	}
	return b
}
