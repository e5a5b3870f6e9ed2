package npy

import (
	"encoding/binary"
	"math"
	"slices"
)

// Numbers are the types of real numbers whose values float32 holds or rounds, with their sizes in bytes: for ReadRows.
var Numbers = map[string]int{
	"|b1": 1, "|u1": 1, "|i1": 1,
	"<f2": 2, "<f4": 4, "<f8": 8, "<u2": 2, "<i2": 2, "<u4": 4, "<i4": 4,
	">f2": 2, ">f4": 4, ">f8": 8, ">u2": 2, ">i2": 2, ">u4": 4, ">i4": 4,
}

// AppendFloat32 appends the numbers in b, which are of one of the types in Numbers.
func AppendFloat32(dst []float32, typ string, b []byte) []float32 {
	var order binary.ByteOrder = binary.LittleEndian
	if typ[0] == '>' {
		order = binary.BigEndian
	}
	number := map[string]func([]byte) float32{
		"b1": func(v []byte) float32 { return float32(v[0]) },
		"u1": func(v []byte) float32 { return float32(v[0]) },
		"i1": func(v []byte) float32 { return float32(int8(v[0])) },
		"u2": func(v []byte) float32 { return float32(order.Uint16(v)) },
		"i2": func(v []byte) float32 { return float32(int16(order.Uint16(v))) },
		"u4": func(v []byte) float32 { return float32(order.Uint32(v)) },
		"i4": func(v []byte) float32 { return float32(int32(order.Uint32(v))) },
		"f2": func(v []byte) float32 { return half(order.Uint16(v)) },
		"f4": func(v []byte) float32 { return math.Float32frombits(order.Uint32(v)) },
		"f8": func(v []byte) float32 { return float32(math.Float64frombits(order.Uint64(v))) },
	}[typ[1:]]
	for v := range slices.Chunk(b, Numbers[typ]) {
		dst = append(dst, number(v))
	}
	return dst
}

// half is the value of an IEEE 754 number of 16 bits: one of sign, five of exponent, ten of fraction.
func half(bits uint16) float32 {
	sign, exponent, fraction := float64(1), int(bits>>10&31), float64(bits&0x3FF)
	if bits>>15 == 1 {
		sign = -1
	}
	switch {
	case exponent == 31 && fraction != 0:
		return float32(math.NaN())
	case exponent == 31:
		return float32(math.Inf(int(sign)))
	case exponent == 0:
		return float32(sign * math.Ldexp(fraction, -24))
	default:
		return float32(sign * math.Ldexp(1024+fraction, exponent-25))
	}
}
