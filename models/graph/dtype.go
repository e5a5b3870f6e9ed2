package graph

import "fmt"

// DType is the type of a tensor's elements, with the numbers of ONNX's TensorProto.DataType.
type DType int32

// The element types that the builder can write.
const (
	Float32 DType = 1
	Uint8   DType = 2
	Int8    DType = 3
	Int32   DType = 6
	Int64   DType = 7
	Bool    DType = 9
	Float16 DType = 10
	Float64 DType = 11

	BFloat16 DType = 16
)

// Size returns the size of an element in bytes, or 0 for types without a fixed size here (strings, 4-bit types, unknown
// types).
func (d DType) Size() int {
	switch d {
	case Uint8, Int8, Bool:
		return 1
	case Float16, BFloat16:
		return 2
	case Float32, Int32, 12: // 12: uint32
		return 4
	case Int64, Float64, 13: // 13: uint64
		return 8
	}
	return 0
}

// String returns ONNX's name of the type.
func (d DType) String() string {
	switch d {
	case Float32:
		return "float"
	case Uint8:
		return "uint8"
	case Int8:
		return "int8"
	case Int32:
		return "int32"
	case Int64:
		return "int64"
	case Bool:
		return "bool"
	case Float16:
		return "float16"
	case Float64:
		return "double"
	case BFloat16:
		return "bfloat16"
	}
	return fmt.Sprintf("type(%d)", int32(d))
}
