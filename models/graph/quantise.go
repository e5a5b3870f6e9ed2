package graph

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
)

// Quantise makes the named operators of [Model.Quantisable] compute with 8-bit integers. It writes each as QuantizeLinear
// and DequantizeLinear around the operator, which runtimes fuse: ONNX Runtime computes convolutions by QLinearConv.
// Inputs and outputs are uint8 over the given ranges, with one scale for a tensor; weights are int8 around 0 with one scale for
// each output channel, and biases int32. Operators in between, such as the sums of residual networks, stay in float32.
//
// The rounding of weights moves the mean of each output channel by the rounding error times the mean of the input. Where the
// range has that mean, the bias takes the shift back (Nagel et al., Data-Free Quantization Through Weight Equalization and
// Bias Correction, ICCV 2019, section 4.2).
//
// A product of uint8 and int8 fits no 16-bit accumulator, and processors without VNNI have none that is longer: the
// runtime must be told to be exact there (session.x64quantprecision in ONNX Runtime).
func (m *Model) Quantise(names []string, ranges map[string]Range) error {
	q := quantiser{
		m: m, c: m.constants(), names: m.names(), ranges: ranges, chosen: map[string]Quantisable{}, folded: map[string]bool{},
		eight: map[string]string{}, float: map[string]string{}, scales: map[string][2]string{},
	}
	all := m.Quantisable()
	for _, name := range names {
		i := slices.IndexFunc(all, func(o Quantisable) bool { return o.Name == name })
		if i < 0 {
			return fmt.Errorf("graph: quantise: no operator with constant weights makes %q", name)
		}
		o := all[i]
		for _, t := range []string{o.Input, o.Output} {
			if r, ok := ranges[t]; (o.conv || t == o.Input) && (!ok || math.IsNaN(r.Max-r.Min) || math.IsInf(r.Max-r.Min, 0)) {
				return fmt.Errorf("graph: quantise: no finite range of %q", t)
			}
		}
		q.chosen[name] = o
		if o.activate != "" {
			q.folded[o.activate] = true
		}
	}
	for _, f := range m.graph {
		if err := q.field(f); err != nil {
			return err
		}
	}
	m.graph, m.changed = append(q.out, q.inits...), true
	m.prune()
	return nil
}

// quantiser rewrites the fields of a graph.
type quantiser struct {
	m            *Model
	c            constants
	names        map[string]bool
	ranges       map[string]Range
	chosen       map[string]Quantisable
	folded       map[string]bool      // activations that go
	eight, float map[string]string    // tensor: its integers, and these as float32
	scales       map[string][2]string // tensor: constants with its scale and zero
	out, inits   []field
}

func (q *quantiser) field(f field) error {
	if !f.isBytes(graphNode) {
		q.out = append(q.out, f)
		return nil
	}
	op, err := parseOperator(f.val)
	if err != nil {
		return err
	}
	made := first(op.Outputs)
	if q.folded[made] {
		return nil
	}
	o, ok := q.chosen[made]
	switch {
	case !ok:
		q.out = append(q.out, f)
		return nil
	case o.conv:
		return q.conv(f, o)
	}
	return q.product(f, o)
}

// steps returns the names of the constants with scale and zero of a tensor.
func (q *quantiser) steps(tensor string) (scale, zero string) {
	if s, ok := q.scales[tensor]; ok {
		return s[0], s[1]
	}
	s, z := q.ranges[tensor].steps()
	scale = q.constant(tensor+"_scale", Float32, appendFloats(nil, s))
	zero = q.constant(tensor+"_zero", Uint8, []byte{z})
	q.scales[tensor] = [2]string{scale, zero}
	return scale, zero
}

// input returns the name of a tensor after rounding to integers, as float32.
func (q *quantiser) input(tensor string) string {
	if name, ok := q.float[tensor]; ok {
		return name
	}
	scale, zero := q.steps(tensor)
	if _, ok := q.eight[tensor]; !ok {
		q.eight[tensor] = q.fresh(tensor + "_u8")
		q.node("QuantizeLinear", q.eight[tensor], tensor, scale, zero)
	}
	q.float[tensor] = q.fresh(tensor + "_rounded")
	q.node("DequantizeLinear", q.float[tensor], q.eight[tensor], scale, zero)
	return q.float[tensor]
}

// weights adds int8 weights and returns their name as float32 and their scales. values has the output channels along axis.
func (q *quantiser) weights(name string, w rounded, axis int64) string {
	shape, _ := q.c.header(name)
	ints := q.constant(name+"_s8", Int8, w.ints, shape.Shape...)
	scales := q.constant(name+"_scales", Float32, appendFloats(nil, w.scales...), int64(len(w.scales)))
	float := q.fresh(name + "_rounded")
	q.node("DequantizeLinear", float, ints, scales)
	q.out[len(q.out)-1] = withAttr(q.out[len(q.out)-1], Int("axis", axis))
	return float
}

func (q *quantiser) conv(f field, o Quantisable) error {
	values, ok := q.c.floats(o.op.Inputs[1])
	head, _ := q.c.header(o.op.Inputs[1])
	channels := int(head.Shape[0])
	bias := make([]float64, channels)
	if len(o.op.Inputs) > 2 && o.op.Inputs[2] != "" && ok {
		bias, ok = q.c.floats(o.op.Inputs[2])
	}
	if !ok || len(bias) != channels || channels == 0 {
		return fmt.Errorf("graph: quantise: the weights of %q are not as long as their shape says", o.Name)
	}
	seen := q.ranges[o.Input]
	step, _ := seen.steps()
	w := roundWeights(values, channels, bias, step)
	w.correct(bias, values, seen.Mean, int(head.Shape[1]), channels)
	units := make([]float64, channels)
	ints := []byte{}
	for i, s := range w.scales {
		units[i] = float64(float32(s)) * float64(float32(step))
		ints = binary.LittleEndian.AppendUint32(ints, uint32(int32(math.Round(bias[i]/units[i]))))
	}
	x, weights := q.input(o.Input), q.weights(o.op.Inputs[1], w, 0)
	b := q.fresh(o.Name + "_bias")
	q.node("DequantizeLinear", b, q.constant(o.Name+"_s32", Int32, ints, int64(channels)),
		q.constant(o.Name+"_units", Float32, appendFloats(nil, units...), int64(channels)))
	q.out[len(q.out)-1] = withAttr(q.out[len(q.out)-1], Int("axis", 0))
	exact := q.fresh(o.Name + "_exact")
	if err := q.operator(f, []string{x, weights, b}, exact); err != nil {
		return err
	}
	scale, zero := q.steps(o.Output)
	q.eight[o.Output] = q.fresh(o.Output + "_u8")
	q.node("QuantizeLinear", q.eight[o.Output], exact, scale, zero)
	for _, user := range o.Feeds {
		if _, ok := q.chosen[user]; !ok {
			o.Floats = true
		}
	}
	if o.Floats {
		q.float[o.Output] = o.Output
		q.node("DequantizeLinear", o.Output, q.eight[o.Output], scale, zero)
	}
	return nil
}

// product writes a MatMul, whose result stays float32.
func (q *quantiser) product(f field, o Quantisable) error {
	values, ok := q.c.floats(o.op.Inputs[1])
	if !ok {
		return fmt.Errorf("graph: quantise: the weights of %q are not as long as their shape says", o.Name)
	}
	head, _ := q.c.header(o.op.Inputs[1])
	rows, columns := int(head.Shape[0]), int(head.Shape[1])
	turned := transpose(values, rows, columns)
	w := roundWeights(turned, columns, nil, 1)
	ints := make([]byte, len(w.ints))
	for i, v := range w.ints {
		ints[i%rows*columns+i/rows] = v
	}
	w.ints = ints
	x := q.input(o.Input)
	return q.operator(f, []string{x, q.weights(o.op.Inputs[1], w, 1)}, o.Name)
}

// operator adds the node of f with other inputs and another output.
func (q *quantiser) operator(f field, inputs []string, output string) error {
	fs, err := parseFields(f.val, "node")
	if err != nil {
		return err
	}
	var out []field
	for _, in := range inputs {
		out = append(out, bytesField(nodeInput, []byte(in)))
	}
	out = append(out, bytesField(nodeOutput, []byte(output)))
	for _, g := range fs {
		if !g.isBytes(nodeInput) && !g.isBytes(nodeOutput) {
			out = append(out, g)
		}
	}
	q.out = append(q.out, messageField(graphNode, out))
	return nil
}

// node adds a node with one output.
func (q *quantiser) node(op, output string, inputs ...string) {
	var b []byte
	for _, in := range inputs {
		b = appendString(b, nodeInput, in)
	}
	b = appendString(b, nodeOutput, output)
	b = appendString(appendString(b, nodeName, q.fresh(output+"_"+op)), nodeOp, op)
	q.out = append(q.out, bytesField(graphNode, b))
}

func (q *quantiser) constant(name string, dt DType, raw []byte, shape ...int64) string {
	name = q.fresh(name)
	q.inits = append(q.inits, bytesField(graphInit, appendBytes(appendTensorHeader(nil, name, dt, shape), tensorRaw, raw)))
	return name
}

func (q *quantiser) fresh(name string) string {
	name = freshName(q.names, name)
	q.names[name] = true
	return name
}

func withAttr(node field, a Attr) field {
	return bytesField(graphNode, appendBytes(slices.Clone(node.val), nodeAttr, a.raw))
}

func appendFloats(b []byte, values ...float64) []byte {
	for _, v := range values {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(float32(v)))
	}
	return b
}

func transpose(v []float64, rows, columns int) []float64 {
	out := make([]float64, len(v))
	for i, x := range v {
		out[i%columns*rows+i/columns] = x
	}
	return out
}
