package nets

import (
	"fmt"
	"math"

	"github.com/oodcast/oodcast/models/checkpoint"
	"github.com/oodcast/oodcast/models/graph"
)

// transformer is a block of attention and a perceptron.
type transformer struct {
	blockNames
	prefix       string
	width, heads int
	normEps      float64
}

// backboneBlock adds block i as far as it is needed.
func (v *vit) backboneBlock(i int, x *graph.Tensor) *graph.Tensor {
	b := transformer{
		blockNames: v.cfg.names.blockNames, prefix: v.cfg.blockName(i), width: v.cfg.Width, heads: v.cfg.Heads,
		normEps: v.cfg.NormEps,
	}
	name := func(kind string) string { return fmt.Sprintf("block%d.%s", i, kind) }
	wanted := v.wanted[name(kindQueries)] || v.wanted[name(kindKeys)] || v.wanted[name(kindValues)]
	if i > v.last && !wanted {
		return x
	}
	y := v.layerNorm(x, b.prefix+b.norm1, b.width, b.normEps)
	parts := map[string]*graph.Tensor{}
	for n, kind := range []string{kindQueries, kindKeys, kindValues} {
		if i <= v.last || v.wanted[name(kind)] {
			parts[kind] = v.part(b, y, n)
			v.tap(name(kind), parts[kind])
		}
	}
	if i > v.last {
		return x
	}
	x = v.mix(b, x, parts[kindQueries], parts[kindKeys], parts[kindValues])
	v.tap(name(kindTokens), x)
	return x
}

// block adds a whole block.
func (v *vit) block(b transformer, x *graph.Tensor) *graph.Tensor {
	y := v.layerNorm(x, b.prefix+b.norm1, b.width, b.normEps)
	return v.mix(b, x, v.part(b, y, 0), v.part(b, y, 1), v.part(b, y, 2))
}

// part adds the layer of the queries (0), keys (1) or values (2).
func (v *vit) part(b transformer, x *graph.Tensor, n int) *graph.Tensor {
	if b.joint == "" {
		return v.linear(x, b.prefix+[]string{b.query, b.key, b.value}[n]+".", b.width, b.width, "")
	}
	c := b.width
	w := v.get(b.prefix+b.joint+"weight", false, 3*c, c)
	if w == nil {
		return v.g.Fail(nil)
	}
	bias := v.vector(b.prefix+b.joint+"bias", 3*c)
	if bias != nil {
		bias = bias[n*c:][:c]
	}
	return v.matrix(x, w.Data[n*c*c:][:c*c], bias, nil, c, c)
}

// mix adds attention and the perceptron.
func (v *vit) mix(b transformer, x, q, k, values *graph.Tensor) *graph.Tensor {
	y := v.attention(b, q, k, values)
	x = v.g.Add(x, v.linear(y, b.prefix+b.proj+".", b.width, b.width, b.prefixed(b.scale1)))
	y = v.layerNorm(x, b.prefix+b.norm2, b.width, b.normEps)
	hidden, packed := b.hidden(v.weights)
	switch gate := b.prefix + b.gate; {
	case packed:
		both := v.g.Split(v.linear(y, b.prefix+b.fc1+".", b.width, 2*hidden, ""), 2, int64(hidden), int64(hidden))
		y = v.g.Mul(v.activation(both[0]), both[1])
	case b.gate != "" && v.weights[gate+".weight"] != nil:
		open := v.activation(v.linear(y, gate+".", b.width, hidden, ""))
		y = v.g.Mul(open, v.linear(y, b.prefix+b.fc1+".", b.width, hidden, ""))
	default:
		y = v.activation(v.linear(y, b.prefix+b.fc1+".", b.width, hidden, ""))
	}
	return v.g.Add(x, v.linear(y, b.prefix+b.fc2+".", hidden, b.width, b.prefixed(b.scale2)))
}

// hidden returns the number of channels between the layers of the perceptron, and whether the first layer makes as many again
// for the gate, which come first (SwiGLU, Shazeer, "GLU Variants Improve Transformer", 2020).
func (b transformer) hidden(weights checkpoint.Tensors) (n int, packed bool) {
	first, second := weights[b.prefix+b.fc1+".weight"], weights[b.prefix+b.fc2+".weight"]
	if first == nil || second == nil || len(first.Shape) != 2 || len(second.Shape) != 2 {
		return 4 * b.width, false
	}
	return second.Shape[1], second.Shape[1] > 0 && first.Shape[0] == 2*second.Shape[1]
}

// activation adds the function of the perceptrons.
func (v *vit) activation(x *graph.Tensor) *graph.Tensor {
	if v.cfg.Activation == actSiLU {
		return v.g.SiLU(x)
	}
	return v.gelu(x)
}

// prefixed returns the name of a block's weights, or "".
func (b transformer) prefixed(name string) string {
	if name == "" {
		return ""
	}
	return b.prefix + name
}

// attention returns softmax(q·kᵀ/√d)·v for all heads.
func (v *vit) attention(b transformer, q, k, values *graph.Tensor) *graph.Tensor {
	g, d := v.g, b.width/b.heads
	split := func(x *graph.Tensor) *graph.Tensor { return g.Reshape(x, 0, -1, int64(b.heads), int64(d)) }
	q, k = v.turn(split(g.Mul(q, g.Scalar(1/math.Sqrt(float64(d)))))), v.turn(split(k))
	scores := g.Unary("Softmax", g.MatMul(g.Transpose(q, 0, 2, 1, 3), g.Transpose(k, 0, 2, 3, 1)), graph.Int("axis", -1))
	y := g.MatMul(scores, g.Transpose(split(values), 0, 2, 1, 3))
	return g.Reshape(g.Transpose(y, 0, 2, 1, 3), 0, -1, int64(b.width))
}

// gelu adds the exact form, x·(1+erf(x/√2))/2. ONNX Runtime fuses the operators.
func (v *vit) gelu(x *graph.Tensor) *graph.Tensor {
	g := v.g
	erf := g.Unary("Erf", g.Div(x, g.Scalar(math.Sqrt2)))
	return g.Mul(g.Mul(x, g.Add(erf, g.Scalar(1))), g.Scalar(0.5))
}

// layerNorm normalises over the channels, which come last.
func (v *vit) layerNorm(x *graph.Tensor, name string, c int, eps float64) *graph.Tensor {
	w, b := v.get(name+".weight", false, c), v.get(name+".bias", false, c)
	if w == nil || b == nil {
		return v.g.Fail(nil)
	}
	return v.g.Node("LayerNormalization", []*graph.Tensor{x, v.g.Const(w.Data), v.g.Const(b.Data)}, x.Shape, x.DType,
		graph.Int("axis", -1), graph.Float("epsilon", float32(eps)))
}

// linear adds a layer on the last dimension; its optional scale, the name of a vector, becomes a part of the weights.
func (v *vit) linear(x *graph.Tensor, name string, in, out int, scale string) *graph.Tensor {
	w := v.get(name+"weight", false, out, in)
	if w == nil {
		return v.g.Fail(nil)
	}
	var gamma []float32
	if scale != "" {
		gamma = v.vector(scale, out)
	}
	return v.matrix(x, w.Data, v.vector(name+"bias", out), gamma, in, out)
}

// matrix adds x·wᵀ + b, both scaled by gamma. b and gamma may be nil.
func (v *vit) matrix(x *graph.Tensor, w, b, gamma []float32, in, out int) *graph.Tensor {
	if v.g.Err() != nil {
		return v.g.Fail(nil)
	}
	scale := func(o int) float32 {
		if gamma == nil {
			return 1
		}
		return gamma[o]
	}
	columns := make([]float32, in*out)
	for o := range out {
		s := scale(o)
		for i, x := range w[o*in:][:in] {
			columns[i*out+o] = x * s
		}
	}
	y := v.g.MatMul(x, v.g.Const(columns, int64(in), int64(out)))
	if b == nil {
		return y
	}
	bias := make([]float32, out)
	for o := range bias {
		bias[o] = b[o] * scale(o)
	}
	return v.g.Add(y, v.g.Const(bias))
}
