package checkpoint

import (
	"encoding/binary"
	"io"
	"math"
	"slices"
)

// elem is an element type: its size in bytes and its conversion to float32.
type elem struct {
	size    int
	float32 func(b []byte) float32
}

// The element types of both formats, little-endian.
var (
	elemF64  = elem{8, func(b []byte) float32 { return float32(math.Float64frombits(binary.LittleEndian.Uint64(b))) }}
	elemF32  = elem{4, func(b []byte) float32 { return math.Float32frombits(binary.LittleEndian.Uint32(b)) }}
	elemF16  = elem{2, func(b []byte) float32 { return float16(binary.LittleEndian.Uint16(b)) }}
	elemBF16 = elem{2, func(b []byte) float32 {
		return math.Float32frombits(uint32(binary.LittleEndian.Uint16(b)) << 16)
	}}
	elemI64 = elem{8, func(b []byte) float32 { return float32(int64(binary.LittleEndian.Uint64(b))) }}
	elemI32 = elem{4, func(b []byte) float32 { return float32(int32(binary.LittleEndian.Uint32(b))) }}
	elemI16 = elem{2, func(b []byte) float32 { return float32(int16(binary.LittleEndian.Uint16(b))) }}
	elemI8  = elem{1, func(b []byte) float32 { return float32(int8(b[0])) }}
	elemU8  = elem{1, func(b []byte) float32 { return float32(b[0]) }}
)

// floats converts the first n elements of raw, which must be long enough.
func (e elem) floats(raw []byte, n int) []float32 {
	out := make([]float32, n)
	for i := range out {
		out[i] = e.float32(raw[i*e.size:])
	}
	return out
}

// blockElements is how many elements are converted together between a file and memory.
const blockElements = 1 << 14

// read converts the elements that begin at an offset of r.
func (e elem) read(dst []float32, r io.ReaderAt, offset int64) error {
	buf := make([]byte, min(len(dst), blockElements)*e.size)
	for block := range slices.Chunk(dst, blockElements) {
		raw := buf[:len(block)*e.size]
		if _, err := r.ReadAt(raw, offset); err != nil {
			return err
		}
		for i := range block {
			block[i] = e.float32(raw[i*e.size:])
		}
		offset += int64(len(raw))
	}
	return nil
}

// float16 widens an IEEE 754 half. It is exact for every value, including infinities and NaN.
func float16(h uint16) float32 {
	sign := uint32(h>>15) << 31
	exp := uint32(h>>10) & 0x1f
	mant := uint32(h) & 0x3ff
	switch exp {
	case 0: // zero and subnormals: mant · 2^-24
		f := float32(mant) * (1.0 / (1 << 24))
		return math.Float32frombits(math.Float32bits(f) | sign)
	case 0x1f:
		return math.Float32frombits(sign | 0x7f800000 | mant<<13)
	default:
		return math.Float32frombits(sign | (exp+127-15)<<23 | mant<<13)
	}
}
