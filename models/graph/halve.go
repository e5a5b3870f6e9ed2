package graph

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
)

// halvedSuffix is what the name of a halved initialiser ends with.
const halvedSuffix = "_half"

// Halve stores float32 initialisers of at least minBytes as float16, and adds an operator for each that casts it back
// under its old name, so that no other operator changes. ONNX Runtime casts once, when it opens the model: this halves the
// file and changes nothing in speed or memory.
//
// Halve leaves alone what would lose more than the rounding to 11 bits: initialisers with values beyond the range of
// float16, and those whose values are so small that they are lost. It also leaves alone initialisers that a caller may
// replace because they are inputs too, and data that is not stored as raw bytes. Values are rounded to the nearest, ties
// to even.
func (m *Model) Halve(minBytes int) error {
	inputs, names := nameSet(m.values(graphInput)), m.names()
	var casts []field
	out := slices.Clone(m.graph)
	for i, f := range out {
		if !f.isBytes(graphInit) {
			continue
		}
		w, err := parseWeight(f.val)
		if err != nil {
			return err
		}
		if w.DType != Float32 || w.Bytes < minBytes || w.Name == "" || inputs[w.Name] {
			continue
		}
		to := freshName(names, w.Name+halvedSuffix)
		halved, ok, err := halve(f, to)
		if err != nil {
			return fmt.Errorf("initialiser %q: %w", w.Name, err)
		}
		if !ok {
			continue
		}
		names[to] = true
		out[i] = halved
		node := freshName(names, w.Name+"_float")
		names[node] = true
		casts = append(casts, bytesField(graphNode, castNode(node, to, w.Name, Float32)))
	}
	if casts == nil {
		return nil
	}
	first := slices.IndexFunc(out, func(f field) bool { return f.isBytes(graphNode) })
	m.graph, m.changed = slices.Insert(out, max(first, 0), casts...), true
	return nil
}

// halve returns an initialiser of float32 as one of float16 under another name. It reports false for one that has to stay.
func halve(f field, name string) (field, bool, error) {
	fs, err := parseFields(f.val, "initialiser")
	if err != nil {
		return f, false, err
	}
	found := false
	for i, g := range fs {
		switch {
		case g.isBytes(tensorRaw) && !found:
			half, ok := halfBytes(g.val)
			if !ok {
				return f, false, nil
			}
			found, fs[i] = true, bytesField(tensorRaw, half)
		case g.num == tensorType:
			raw := appendVarint(nil, tensorType, int64(Float16))
			fs[i] = field{num: g.num, typ: g.typ, raw: raw, val: raw[1:]}
		case g.isBytes(tensorName):
			fs[i] = bytesField(tensorName, []byte(name))
		case g.num > tensorType && g.num < tensorName, g.num > tensorName && g.num <= tensorLocation && g.num != tensorDoc: // other data
			return f, false, nil
		}
	}
	return messageField(graphInit, fs), found, nil
}

// maxHalvingError is the largest error of a halved initialiser, as a share of its root mean square. Rounding to 11 bits
// costs at most 2^-11 of a value; more comes from values that are too small for float16.
const maxHalvingError = 1.0 / (1 << 11)

// halfBytes rounds little-endian float32 values to float16. It reports false if they do not fit.
func halfBytes(raw []byte) ([]byte, bool) {
	if len(raw)%4 != 0 {
		return nil, false
	}
	out := make([]byte, 0, len(raw)/2)
	var lost, sum float64
	for ; len(raw) > 0; raw = raw[4:] {
		v := math.Float32frombits(binary.LittleEndian.Uint32(raw))
		h, rounded := toHalf(v)
		if math.IsInf(rounded, 0) || math.IsNaN(rounded) {
			return nil, false
		}
		d := float64(v) - rounded
		lost, sum = lost+d*d, sum+float64(v)*float64(v)
		out = binary.LittleEndian.AppendUint16(out, h)
	}
	return out, lost <= maxHalvingError*maxHalvingError*sum
}

// toHalf rounds v to an IEEE 754 half, ties to even, and returns its bits and its value.
func toHalf(v float32) (bits uint16, value float64) {
	if v != v {
		return 0x7e00, math.NaN()
	}
	sign := uint16(0)
	if math.Signbit(float64(v)) {
		sign = 1 << 15
	}
	a := math.Abs(float64(v))
	exp := max(math.Ilogb(a), -14) // of the lowest binade, which the subnormals share
	if a == 0 {
		exp = -14
	}
	n := math.RoundToEven(math.Ldexp(a, 10-exp)) // in units of the last bit: 1024 … 2048, less for subnormals
	value = math.Copysign(math.Ldexp(n, exp-10), float64(v))
	if a := math.Abs(value); a > 65504 {
		return sign | 0x7c00, math.Copysign(math.Inf(1), float64(v))
	}
	// n carries into the exponent where it is 2048, and has no hidden bit where it is below 1024.
	return sign | uint16((exp+14)<<10) + uint16(n), value
}
