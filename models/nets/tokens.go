package nets

import (
	"math"

	"github.com/oodcast/oodcast/models/graph"
)

// The functions of this file build the parts that transformers share. Tokens are [N,n,C].

// torchNormEps is PyTorch's default epsilon of LayerNorm.
const torchNormEps = 1e-5

// patchConv adds the layer that turns patches into tokens [N,C,h,w]. Nothing is padded, so that the pictures' normalisation can
// become a part of the weights.
func (e *layers) patchConv(x *graph.Tensor, name string, c, p int, mean, std [3]float64) *graph.Tensor {
	t := e.get(name+".weight", false, c, 3, p, p)
	if t == nil {
		return e.g.Fail(nil)
	}
	bias := e.vector(name+".bias", c)
	w, b := make([]float64, len(t.Data)), make([]float64, c)
	for i, x := range t.Data {
		channel := i / (p * p) % 3
		w[i] = float64(x) / (255 * std[channel])
		b[i/(3*p*p)] -= float64(float64(x) * mean[channel] / std[channel])
	}
	for i := range bias {
		b[i] += float64(bias[i])
	}
	return e.g.Conv(x, e.g.Const64(w, int64(c), 3, int64(p), int64(p)), e.g.Const64(b), graph.ConvOptions{Stride: p})
}

// vector returns an optional list of n numbers; nil if there is none.
func (e *layers) vector(name string, n int) []float32 {
	if t := e.get(name, true, n); t != nil {
		return t.Data
	}
	return nil
}

// gelu adds the exact form, x·(1+erf(x/√2))/2. ONNX Runtime fuses the operators.
func (e *layers) gelu(x *graph.Tensor) *graph.Tensor {
	g := e.g
	erf := g.Unary("Erf", g.Div(x, g.Scalar(math.Sqrt2)))
	return g.Mul(g.Mul(x, g.Add(erf, g.Scalar(1))), g.Scalar(0.5))
}

// layerNorm normalises over the channels, which come last.
func (e *layers) layerNorm(x *graph.Tensor, name string, c int, eps float64) *graph.Tensor {
	w, b := e.get(name+".weight", false, c), e.get(name+".bias", false, c)
	if w == nil || b == nil {
		return e.g.Fail(nil)
	}
	return e.g.Node("LayerNormalization", []*graph.Tensor{x, e.g.Const(w.Data), e.g.Const(b.Data)}, x.Shape, x.DType,
		graph.Int("axis", -1), graph.Float("epsilon", float32(eps)))
}

// dense adds a layer on the last dimension; its optional scale, the name of a vector, becomes a part of the weights.
func (e *layers) dense(x *graph.Tensor, name string, in, out int, scale string) *graph.Tensor {
	w := e.get(name+".weight", false, out, in)
	if w == nil {
		return e.g.Fail(nil)
	}
	var gamma []float32
	if scale != "" {
		gamma = e.vector(scale, out)
	}
	return e.matrix(x, w.Data, e.vector(name+".bias", out), gamma, in, out)
}

// matrix adds x·wᵀ + b, both scaled by gamma. b and gamma may be nil.
func (e *layers) matrix(x *graph.Tensor, w, b, gamma []float32, in, out int) *graph.Tensor {
	if e.g.Err() != nil {
		return e.g.Fail(nil)
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
	y := e.g.MatMul(x, e.g.Const(columns, int64(in), int64(out)))
	if b == nil {
		return y
	}
	bias := make([]float32, out)
	for o := range bias {
		bias[o] = b[o] * scale(o)
	}
	return e.g.Add(y, e.g.Const(bias))
}

// tokens turns a picture [N,C,h,w] into tokens [N,h·w,C].
func (e *layers) tokens(x *graph.Tensor) *graph.Tensor {
	return e.g.Transpose(e.g.Reshape(x, 0, int64(channels(x)), -1), 0, 2, 1)
}

// onGrid turns tokens [N,h·w,C] into a picture with the height and width of grid.
func (e *layers) onGrid(x, grid *graph.Tensor) *graph.Tensor {
	if e.g.Err() != nil {
		return e.g.Fail(nil)
	}
	c := x.Shape[2]
	return e.g.Node("Reshape", []*graph.Tensor{e.g.Transpose(x, 0, 2, 1), e.like(grid, int(c))},
		[]int64{grid.Shape[0], c, grid.Shape[2], grid.Shape[3]}, graph.Float32)
}

// attention returns softmax(q·kᵀ/√d + biases)·v for all heads, whose channels lie next to one another.
func (e *layers) attention(q, k, v *graph.Tensor, heads, width int, biases ...*graph.Tensor) *graph.Tensor {
	return e.attend(e.split(q, heads, width), e.split(k, heads, width), e.split(v, heads, width), heads, width, biases...)
}

// split divides the channels of tokens among heads: [N,n,heads,d].
func (e *layers) split(x *graph.Tensor, heads, width int) *graph.Tensor {
	return e.g.Reshape(x, 0, -1, int64(heads), int64(width/heads))
}

// attend is attention for queries, keys and values that are split.
func (e *layers) attend(q, k, v *graph.Tensor, heads, width int, biases ...*graph.Tensor) *graph.Tensor {
	g := e.g
	q = g.Mul(q, g.Scalar(1/math.Sqrt(float64(width/heads))))
	scores := g.MatMul(g.Transpose(q, 0, 2, 1, 3), g.Transpose(k, 0, 2, 3, 1))
	for _, b := range biases {
		scores = g.Add(scores, b)
	}
	y := g.MatMul(g.Unary("Softmax", scores, graph.Int("axis", -1)), g.Transpose(v, 0, 2, 1, 3))
	return g.Reshape(g.Transpose(y, 0, 2, 1, 3), 0, -1, int64(width))
}
