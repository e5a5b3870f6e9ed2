package nets

import (
	"fmt"
	"math"

	"github.com/oodcast/oodcast/models/graph"
)

const mask2FormerPixels = "model.pixel_level_module.decoder."

// level is a picture that attention samples, the coarsest of which comes first.
type level struct {
	grown
	tokens *graph.Tensor // the picture as tokens
	places *graph.Tensor // their positions, see sines
}

// pixels adds the pixel decoder: layers of attention over samples of the last three stages, all of which have the decoder's
// width, and one finer picture made of the finest of them and the first stage. It returns the three, the coarsest first, and the
// picture that masks are products with.
func (m *mask2Former) pixels(stages []grown) (levels []level, masks grown) {
	g, d := m.g, m.cfg.PixelWidth
	var tokens, places []*graph.Tensor
	embed := m.table(mask2FormerPixels+"level_embed", mask2FormerLevels, d)
	for i := range mask2FormerLevels {
		stage := swinStages - i
		name := fmt.Sprintf("%sinput_projections.%d.", mask2FormerPixels, i)
		x := m.conv(name+"0", stages[stage-1].picture, m.cfg.Backbone.width(stage), d, 1)
		x = m.flat(m.groupNorm(name+"1", x, d), d)
		l := level{grown: grown{size: stages[stage-1].size}, places: m.sines(stages[stage-1].size, d)}
		levels, tokens = append(levels, l), append(tokens, x)
		places = append(places, g.Add(l.places, g.Slice(embed, 1, int64(i), int64(i)+1)))
	}
	x, at := g.Concat(1, tokens...), g.Concat(1, places...)
	sampling := m.sampling(levels)
	for i := range m.cfg.PixelLayers {
		name := fmt.Sprintf("%sencoder.layers.%d.", mask2FormerPixels, i)
		y := m.sampled(name+"self_attn.", x, at, sampling)
		x = m.norm(name+"self_attn_layer_norm", g.Add(x, y), d)
		x = m.perceptron(name, x, d, m.cfg.PixelHidden)
	}
	for i, part := range m.parts(x, sampling.counts, d) {
		levels[i].tokens, levels[i].picture = part, m.arranged(part, levels[i].size, d)
		m.taps[fmt.Sprintf("pixel%d", swinStages-i)] = levels[i].picture
	}
	return levels, m.finest(stages[0], levels[mask2FormerLevels-1])
}

// table returns learned rows, [1,rows,width].
func (m *mask2Former) table(name string, rows, width int) *graph.Tensor {
	t := m.get(name, false, rows, width)
	if t == nil {
		return m.g.Fail(nil)
	}
	return m.g.Const(t.Data, 1, int64(rows), int64(width))
}

// finest adds the picture at the stride of the first stage.
func (m *mask2Former) finest(first grown, last level) grown {
	d := m.cfg.PixelWidth
	x := m.conv(mask2FormerPixels+"adapter_1.0", first.picture, m.cfg.Backbone.width(1), d, 1)
	x = m.groupNorm(mask2FormerPixels+"adapter_1.1", x, d)
	x = m.g.Add(x, m.g.ResizeTo(last.picture, first.size))
	x = m.groupNorm(mask2FormerPixels+"layer_1.1", m.conv(mask2FormerPixels+"layer_1.0", x, d, d, 3), d)
	x = m.g.Unary("Relu", x)
	m.taps["pixel1"] = x
	return grown{m.conv(mask2FormerPixels+"mask_projection", x, d, m.cfg.MaskWidth, 1), first.size}
}

// sampling is what all layers of attention over samples share.
type sampling struct {
	levels []level
	counts *graph.Tensor   // int64[3]: their numbers of tokens
	from   *graph.Tensor   // [1,n,1,2]: the place of each token, x and y from -1 to 1 at the borders of the picture
	steps  []*graph.Tensor // [2]: the width and the height of a token of each level on that scale
}

func (m *mask2Former) sampling(levels []level) sampling {
	g := m.g
	s := sampling{levels: levels}
	var counts, from []*graph.Tensor
	for _, l := range levels {
		h, w := g.Slice(l.size, 0, 0, 1), g.Slice(l.size, 0, 1, 2)
		counts = append(counts, g.Mul(h, w))
		s.steps = append(s.steps, g.Div(g.Scalar(2), g.Cast(g.Concat(0, w, h), graph.Float32)))
		at := m.count(g.Mul(h, w))
		cell := g.Concat(1, g.Unsqueeze(m.modulo(at, w), 1), g.Unsqueeze(g.Div(at, w), 1))
		centre := g.Add(g.Cast(cell, graph.Float32), g.Scalar(0.5))
		from = append(from, g.Sub(g.Mul(centre, s.steps[len(s.steps)-1]), g.Scalar(1)))
	}
	s.counts = g.Concat(0, counts...)
	s.from = g.Reshape(g.Concat(0, from...), 1, -1, 1, 2)
	return s
}

// parts cuts tokens [1,n,C] into those of the levels.
func (m *mask2Former) parts(x, counts *graph.Tensor, width int) []*graph.Tensor {
	specs := make([]graph.Spec, mask2FormerLevels)
	for i := range specs {
		specs[i] = graph.Spec{DType: graph.Float32, Shape: []int64{1, -1, int64(width)}}
	}
	return m.g.NodeN("Split", []*graph.Tensor{x, counts}, specs, graph.Int("axis", 1))
}

// sampled adds attention over samples (Zhu et al., "Deformable DETR", ICLR 2021, equation 3): each head of each token weighs four
// bilinear samples of each level, at places that are linear in the token.
func (m *mask2Former) sampled(name string, x, places *graph.Tensor, s sampling) *graph.Tensor {
	const levels, points = mask2FormerLevels, mask2FormerPoints
	g, d, heads := m.g, m.cfg.PixelWidth, m.cfg.Heads
	q := g.Add(x, places)
	values := m.parts(m.dense(x, name+"value_proj", d, d, ""), s.counts, d)
	offsets := m.dense(q, name+"sampling_offsets", d, heads*levels*points*2, "")
	offsets = g.Transpose(g.Reshape(offsets, -1, int64(heads), levels, points*2), 2, 1, 0, 3)
	weights := g.Reshape(m.dense(q, name+"attention_weights", d, heads*levels*points, ""), -1, int64(heads), levels*points)
	weights = g.Reshape(g.Unary("Softmax", weights, graph.Int("axis", -1)), -1, int64(heads), levels, points)
	weights = g.Transpose(weights, 2, 1, 0, 3)
	var sum *graph.Tensor
	for i, l := range s.levels {
		at := int64(i)
		o := g.Reshape(g.Slice(offsets, 0, at, at+1), int64(heads), -1, points, 2)
		grid := g.Add(g.Mul(o, s.steps[i]), s.from)
		shape := g.Concat(0, g.Int64s(int64(heads), int64(d/heads)), l.size)
		v := g.Node("Reshape", []*graph.Tensor{g.Transpose(values[i], 0, 2, 1), shape}, []int64{int64(heads), int64(d / heads), -1, -1},
			graph.Float32)
		v = g.Node("GridSample", []*graph.Tensor{v, grid}, []int64{int64(heads), int64(d / heads), -1, points}, graph.Float32,
			graph.Str("mode", "bilinear"), graph.Str("padding_mode", "zeros"), graph.Int("align_corners", 0))
		w := g.Reshape(g.Slice(weights, 0, at, at+1), int64(heads), 1, -1, points)
		y := g.ReduceSum(g.Mul(v, w), false, 3)
		if sum != nil {
			y = g.Add(sum, y)
		}
		sum = y
	}
	return m.dense(m.flat(sum, d), name+"output_proj", d, d, "")
}

// sines returns the positions of a grid of the given size, [1,h·w,width]: half of the channels for the row and half for the column,
// each pair of them a sine and a cosine of a lower frequency than the pair before.
func (m *mask2Former) sines(size *graph.Tensor, width int) *graph.Tensor {
	g, half := m.g, width/2
	const temperature, scale, eps = 10000, 2 * math.Pi, 1e-6
	along := func(number int) *graph.Tensor { // [cells,width], zero in the channels of the other axis
		frequency, phase := make([]float64, width), make([]float64, width)
		for i := range half {
			at := number*half + i
			frequency[at] = math.Pow(temperature, -2*float64(i/2)/float64(half))
			phase[at] = float64(i%2) * math.Pi / 2 // the cosine is the sine a quarter further
		}
		n := g.Slice(size, 0, int64(number), int64(number)+1)
		whole := g.Add(g.Cast(n, graph.Float32), g.Scalar(eps))
		place := g.Mul(g.Div(g.Cast(g.Add(m.count(n), g.Int64s(1)), graph.Float32), whole), g.Scalar(scale))
		angle := g.Add(g.Mul(g.Unsqueeze(place, 1), g.Const64(frequency)), g.Const64(phase))
		return g.Unary("Sin", angle)
	}
	return g.Reshape(g.Add(g.Unsqueeze(along(0), 1), along(1)), 1, -1, int64(width))
}
