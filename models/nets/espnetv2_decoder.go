package nets

import (
	"fmt"

	"github.com/oodcast/oodcast/models/graph"
)

// decode adds the decoder and returns the logits at LogitsStride. Each level enlarges the one before and adds the stage of the same
// stride, weighted by its own mean.
func (e *espNet) decode(x *graph.Tensor) *graph.Tensor {
	x = e.pyramid("bu_dec_l1.", x, 1)
	x = e.prelu("bu_dec_l1.br.br.1", e.norm("bu_dec_l1.br.br.0", x))
	e.taps["decoder1"] = x
	for level := 2; level <= 4; level++ {
		stage := e.taps[fmt.Sprintf("stage%d", 5-level)]
		x = e.g.Add(e.weighted(fmt.Sprintf("merge_enc_dec_l%d.", level), stage, channels(x)), e.corners(x, e.twice(x)))
		join := fmt.Sprintf("bu_br_l%d.", level)
		x = e.prelu(join+"1", e.norm(join+"0", x))
		name := fmt.Sprintf("bu_dec_l%d.", level)
		x = e.pyramid(name, x, level)
		if level < 4 {
			x = e.prelu(name+"br.br.1", e.norm(name+"br.br.0", x))
			e.taps[fmt.Sprintf("decoder%d", level)] = x
		}
	}
	return x
}

// weighted adds a grouped 3×3 convolution of a stage, times a weight for each channel between 0 and 1 that depends on the means of the
// stage's channels.
func (e *espNet) weighted(name string, x *graph.Tensor, out int) *graph.Tensor {
	in := channels(x)
	mean := e.g.Reduce("ReduceMean", x, true, 2, 3)
	weight := e.g.Unary("Sigmoid", e.apply(e.kernel(name+"wt_layer.1", "", out, in, 1, 1), mean, 1))
	const conv = "expansion_layer.cbr."
	y := e.apply(e.kernel(name+conv+"0", name+conv+"1", out, in, 3, gcd(in, out)), x, 1)
	return e.g.Mul(e.prelu(name+conv+"2", y), weight)
}

func gcd(a, b int) int {
	for b > 0 {
		a, b = b, a%b
	}
	return max(a, 1)
}

// pyramid adds an efficient pyramid pooling: a projection to a few channels, a depthwise convolution of it at five scales, and a
// merger. Level 4 ends with the classes, at LogitsStride: means commute with its last 1×1 convolution.
func (e *espNet) pyramid(name string, x *graph.Tensor, level int) *graph.Tensor {
	const merge = "merge_layer."
	n := e.outWidth(name + "projection_layer.cbr.0.weight")
	y := e.apply(e.kernel(name+"projection_layer.cbr.0", name+"projection_layer.cbr.1", n, channels(x), 1, 1), x, 1)
	y = e.prelu(name+"projection_layer.cbr.2", y)
	var all []*graph.Tensor
	for i, scale := range espScales {
		z := e.enlarge(y, scale)
		z = e.apply(e.kernel(fmt.Sprintf("%sstages.%d", name, i), "", n, n, 3, n), z, 1)
		all = append(all, e.restore(z, y, scale, level))
	}
	y = e.prelu(name+merge+"0.br.1", e.norm(name+merge+"0.br.0", e.g.Concat(1, all...)))
	y = e.g.Gather(y, e.g.Int64s(shuffled(n, len(all))...), 1)
	y = e.apply(e.kernel(name+merge+"2.cbr.0", name+merge+"2.cbr.1", n, n*len(all), 3, n), y, 1)
	y = e.prelu(name+merge+"2.cbr.2", y)
	out := e.cfg.Classes
	if level < 4 {
		out = e.cfg.DecoderWidths[level-1]
	} else {
		y = e.g.AveragePool(y, LogitsStride/2)
	}
	return e.apply(e.kernel(name+merge+"3", "", out, n, 1, 1), y, 1)
}

// shuffled returns the order that brings the same channel of all scales together.
func shuffled(channels, scales int) []int64 {
	order := make([]int64, 0, channels*scales)
	for c := range channels {
		for s := range scales {
			order = append(order, int64(s*channels+c))
		}
	}
	return order
}

// espScale is a scale of the pyramid: a side of n pixels becomes ⌈n·Num/Den⌉, at least five.
type espScale struct{ num, den int64 }

var espScales = []espScale{{2, 1}, {3, 2}, {1, 1}, {1, 2}, {1, 10}}

const espLeast = 5

// sides returns the height and width of x at a scale, int64[1] each.
func (e *espNet) sides(x *graph.Tensor, s espScale) (h, w *graph.Tensor) {
	g := e.g
	side := func(axis int64) *graph.Tensor {
		n := g.Slice(g.ShapeOf(x), 0, axis, axis+1)
		if s.den > 1 || s.num > 1 {
			n = g.Div(g.Add(g.Mul(n, g.Int64s(s.num)), g.Int64s(s.den-1)), g.Int64s(s.den))
			n = g.Max(n, g.Int64s(espLeast))
		}
		return n
	}
	return side(2), side(3)
}

// enlarge brings x to a scale: bilinearly to a larger one, by means to a smaller one.
func (e *espNet) enlarge(x *graph.Tensor, s espScale) *graph.Tensor {
	switch {
	case s.num > s.den:
		h, w := e.sides(x, s)
		return e.corners(x, e.g.Concat(0, h, w))
	case s.num < s.den:
		h, w := e.sides(x, s)
		return e.means(x, h, w)
	}
	return x
}

// restore brings z, which is at a scale, back to the size of x. Sizes that leave the smallest scale out, which all levels but the
// first have, are exact multiples, for which the means are a pooling or a fixed convolution.
func (e *espNet) restore(z, x *graph.Tensor, s espScale, level int) *graph.Tensor {
	g := e.g
	switch {
	case s.num < s.den:
		return e.corners(z, g.Slice(g.ShapeOf(x), 0, 2, 4))
	case s.num == s.den:
		return z
	case level > 1 && s.den == 1:
		return g.AveragePool(z, int(s.num))
	case level > 1:
		return e.twoThirds(z)
	}
	return e.means(z, g.Slice(g.ShapeOf(x), 0, 2, 3), g.Slice(g.ShapeOf(x), 0, 3, 4))
}

// twoThirds adds the means of pixels that three become two of: of the first and second, and of the second and third.
func (e *espNet) twoThirds(x *graph.Tensor) *graph.Tensor {
	n := channels(x)
	var w []float64
	for range n {
		for phase := range 4 { // of the result: row, column
			for i := range 9 {
				v := 0.25
				if dy, dx := i/3-phase/2, i%3-phase%2; dy < 0 || dy > 1 || dx < 0 || dx > 1 {
					v = 0
				}
				w = append(w, v)
			}
		}
	}
	y := e.g.Conv(x, e.g.Const64(w, int64(4*n), 1, 3, 3), nil, graph.ConvOptions{Stride: 3, Groups: n})
	return e.g.DepthToSpace(y, 2)
}

// twice returns twice the height and width of x, int64[2].
func (e *espNet) twice(x *graph.Tensor) *graph.Tensor {
	return e.g.Mul(e.g.Slice(e.g.ShapeOf(x), 0, 2, 4), e.g.Int64s(2))
}

// corners resizes x bilinearly to a height and width, int64[2], so that the corners' centres stay.
func (e *espNet) corners(x, size *graph.Tensor) *graph.Tensor {
	if e.g.Err() != nil {
		return e.g.Fail(nil)
	}
	sizes := e.g.Concat(0, e.g.Slice(e.g.ShapeOf(x), 0, 0, 2), size)
	return e.g.Node("Resize", []*graph.Tensor{x, nil, nil, sizes}, []int64{x.Shape[0], x.Shape[1], -1, -1}, x.DType,
		graph.Str("mode", "linear"), graph.Str("coordinate_transformation_mode", "align_corners"))
}

// means reduces x to a height and width, int64[1] each, by the means of what PyTorch's adaptive pooling takes for a cell. It is linear
// on both axes.
func (e *espNet) means(x, h, w *graph.Tensor) *graph.Tensor {
	g := e.g
	if g.Err() != nil {
		return g.Fail(nil)
	}
	rows := e.meaning(g.Slice(g.ShapeOf(x), 0, 2, 3), h)
	columns := g.Transpose(e.meaning(g.Slice(g.ShapeOf(x), 0, 3, 4), w), 1, 0)
	return g.MatMul(g.MatMul(rows, x), columns)
}

// meaning returns the matrix [out, in] whose row i takes the mean of the elements from ⌊i·in/out⌋ to ⌈(i+1)·in/out⌉.
func (e *espNet) meaning(in, out *graph.Tensor) *graph.Tensor {
	g := e.g
	count := func(n *graph.Tensor, shape ...int64) *graph.Tensor {
		r := g.Node("Range", []*graph.Tensor{g.Int64s(0), n, g.Int64s(1)}, []int64{-1}, graph.Int64)
		return g.Reshape(r, shape...)
	}
	one := g.Int64s(1)
	i, j := count(out, -1, 1), count(in, 1, -1)
	from := g.Div(g.Mul(i, in), out)
	to := g.Div(g.Add(g.Mul(g.Add(i, one), in), g.Sub(out, one)), out)
	matrix := []int64{-1, -1}
	inside := g.Node("And", []*graph.Tensor{
		g.Node("GreaterOrEqual", []*graph.Tensor{j, from}, matrix, graph.Bool), g.Node("Less", []*graph.Tensor{j, to}, matrix, graph.Bool),
	}, matrix, graph.Bool)
	return g.Div(g.Cast(inside, graph.Float32), g.Cast(g.Sub(to, from), graph.Float32))
}
