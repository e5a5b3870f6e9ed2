package graph

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// ErrModel means that bytes are not an ONNX model. It is normal to see it for files that users bring.
var ErrModel = errors.New("graph: not an ONNX model")

// field is one field of a protobuf message with its original bytes, so that unknown fields are written back unchanged.
type field struct {
	num protowire.Number
	typ protowire.Type
	raw []byte // tag and value
	val []byte // the value alone; bytes without their length
}

// maxFields bounds the fields of one message, and so the memory that a small file can claim.
const maxFields = 1 << 20

func parseFields(b []byte, what string) ([]field, error) {
	var fs []field
	for len(b) > 0 {
		if len(fs) == maxFields {
			return nil, fmt.Errorf("%w: %s: more than %d fields", ErrModel, what, maxFields)
		}
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return nil, fmt.Errorf("%w: %s: %w", ErrModel, what, protowire.ParseError(n))
		}
		m := protowire.ConsumeFieldValue(num, typ, b[n:])
		if m < 0 {
			return nil, fmt.Errorf("%w: %s: field %d: %w", ErrModel, what, num, protowire.ParseError(m))
		}
		f := field{num: num, typ: typ, raw: b[: n+m : n+m], val: b[n : n+m : n+m]}
		if typ == protowire.BytesType {
			f.val, _ = protowire.ConsumeBytes(f.val)
		}
		fs = append(fs, f)
		b = b[n+m:]
	}
	return fs, nil
}

// bytesField makes a field of bytes.
func bytesField(num protowire.Number, val []byte) field {
	return field{num: num, typ: protowire.BytesType, raw: appendBytes(nil, num, val), val: val}
}

// messageField makes a field of a message. It copies the fields once.
func messageField(num protowire.Number, fs []field) field {
	n := fieldsSize(fs)
	b := make([]byte, 0, protowire.SizeTag(num)+protowire.SizeBytes(n))
	b = protowire.AppendVarint(protowire.AppendTag(b, num, protowire.BytesType), uint64(n))
	head := len(b)
	b = appendFields(b, fs)
	return field{num: num, typ: protowire.BytesType, raw: b, val: b[head:]}
}

func fieldsSize(fs []field) int {
	n := 0
	for _, f := range fs {
		n += len(f.raw)
	}
	return n
}

func appendFields(b []byte, fs []field) []byte {
	for _, f := range fs {
		b = append(b, f.raw...)
	}
	return b
}

func joinFields(fs []field) []byte { return appendFields(make([]byte, 0, fieldsSize(fs)), fs) }

// isBytes reports whether f is field num and holds bytes. A known field of another wire type is treated as unknown.
func (f field) isBytes(num protowire.Number) bool {
	return f.num == num && f.typ == protowire.BytesType
}

// varint returns the value of f if f is field num and a varint.
func (f field) varint(num protowire.Number) (int64, bool) {
	if f.num != num || f.typ != protowire.VarintType {
		return 0, false
	}
	v, _ := protowire.ConsumeVarint(f.val)
	return int64(v), true
}

// varints appends the values of a repeated integer field, packed or not. It stops at one more than a shape may have.
func (f field) varints(num protowire.Number, to []int64) []int64 {
	if v, ok := f.varint(num); ok {
		return append(to, v)
	}
	if f.isBytes(num) {
		for b := f.val; len(b) > 0 && len(to) <= maxRank; {
			v, n := protowire.ConsumeVarint(b)
			if n < 0 {
				break
			}
			to, b = append(to, int64(v)), b[n:]
		}
	}
	return to
}
