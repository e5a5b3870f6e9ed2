package nets

import (
	"fmt"

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
		return v.dense(x, b.prefix+[]string{b.query, b.key, b.value}[n], b.width, b.width, "")
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
	split := func(x *graph.Tensor) *graph.Tensor { return v.split(x, b.heads, b.width) }
	y := v.attend(v.turn(split(q)), v.turn(split(k)), split(values), b.heads, b.width)
	x = v.g.Add(x, v.dense(y, b.prefix+b.proj, b.width, b.width, b.prefixed(b.scale1)))
	y = v.layerNorm(x, b.prefix+b.norm2, b.width, b.normEps)
	hidden, packed := b.hidden(v.weights)
	switch gate := b.prefix + b.gate; {
	case packed:
		both := v.g.Split(v.dense(y, b.prefix+b.fc1, b.width, 2*hidden, ""), 2, int64(hidden), int64(hidden))
		y = v.g.Mul(v.activation(both[0]), both[1])
	case b.gate != "" && v.weights[gate+".weight"] != nil:
		open := v.activation(v.dense(y, gate, b.width, hidden, ""))
		y = v.g.Mul(open, v.dense(y, b.prefix+b.fc1, b.width, hidden, ""))
	default:
		y = v.activation(v.dense(y, b.prefix+b.fc1, b.width, hidden, ""))
	}
	return v.g.Add(x, v.dense(y, b.prefix+b.fc2, hidden, b.width, b.prefixed(b.scale2)))
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
