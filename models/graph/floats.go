package graph

import (
	"encoding/binary"
	"math"
)

// tensorFloats is the field of a TensorProto with float32 values that are not raw bytes.
const tensorFloats = 4

// constants finds the values of initialisers, also of those that a Cast makes of half precision.
type constants struct {
	inits map[string]field
	casts map[string]string // result of a Cast of an initialiser: its name
}

func (m *Model) constants() constants {
	c := constants{map[string]field{}, map[string]string{}}
	inputs := nameSet(m.values(graphInput))
	for _, f := range m.graph {
		if !f.isBytes(graphInit) {
			continue
		}
		if w, _ := parseWeight(f.val); !inputs[w.Name] { // a caller may replace one that is an input too
			c.inits[w.Name] = f
		}
	}
	for _, op := range m.Operators() {
		if op.Type == "Cast" && len(op.Inputs) == 1 && len(op.Outputs) == 1 {
			if _, ok := c.inits[op.Inputs[0]]; ok {
				c.casts[op.Outputs[0]] = op.Inputs[0]
			}
		}
	}
	return c
}

// header returns name, type and shape of a constant.
func (c constants) header(name string) (Weight, bool) {
	f, ok := c.inits[c.source(name)]
	if !ok {
		return Weight{}, false
	}
	w, _ := parseWeight(f.val)
	return w, w.DType == Float32 || w.DType == Float16
}

func (c constants) source(name string) string {
	if from, ok := c.casts[name]; ok {
		return from
	}
	return name
}

// floats returns the values of a constant in single or half precision. It reports false for any other.
func (c constants) floats(name string) ([]float64, bool) {
	w, ok := c.header(name)
	if !ok {
		return nil, false
	}
	n := int64(1)
	for _, d := range w.Shape {
		if d < 0 || d > math.MaxInt32 || n > math.MaxInt32 {
			return nil, false
		}
		n *= d
	}
	fs, _ := parseFields(c.inits[c.source(name)].val, "initialiser")
	var out []float64
	for _, f := range fs {
		switch {
		case f.isBytes(tensorRaw) && w.DType == Float16:
			for b := f.val; len(b) >= 2; b = b[2:] {
				out = append(out, fromHalf(binary.LittleEndian.Uint16(b)))
			}
		case f.isBytes(tensorRaw), f.isBytes(tensorFloats) && w.DType == Float32:
			for b := f.val; len(b) >= 4; b = b[4:] {
				out = append(out, float64(math.Float32frombits(binary.LittleEndian.Uint32(b))))
			}
		}
	}
	return out, int64(len(out)) == n
}

// fromHalf returns the value of an IEEE 754 half.
func fromHalf(bits uint16) float64 {
	sign, exp, frac := 1.0, int(bits>>10&0x1f), float64(bits&0x3ff)
	if bits>>15 == 1 {
		sign = -1
	}
	switch exp {
	case 0:
		return sign * math.Ldexp(frac, -24)
	case 0x1f:
		if frac != 0 {
			return math.NaN()
		}
		return sign * math.Inf(1)
	}
	return sign * math.Ldexp(1+frac/1024, exp-15)
}
