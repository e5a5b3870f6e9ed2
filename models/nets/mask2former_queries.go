package nets

import (
	"fmt"

	"github.com/oodcast/oodcast/models/graph"
)

const (
	mask2FormerQueries = "model.transformer_module."
	mask2FormerLayers  = mask2FormerQueries + "decoder."
)

// blocked is what is added to the logits of attention to pixels outside a query's mask. It is within the range of half precision.
const blocked = -1e4

// decide adds the transformer decoder: in each layer, the queries attend to the pixels of a level that belong to their masks so
// far, and to one another. It returns their class logits [1,Q,K+1] and mask logits [1,Q,h,w].
func (m *mask2Former) decide(levels []level, masks grown) (classes, masked *graph.Tensor) {
	g, d, q := m.g, m.cfg.Width, m.cfg.Queries
	table := func(name string, rows int) *graph.Tensor {
		return m.table(mask2FormerQueries+name+".weight", rows, d)
	}
	x, places, embed := table("queries_features", q), table("queries_embedder", q), table("level_embed", mask2FormerLevels)
	var values, keys, small []*graph.Tensor
	for i, l := range levels {
		y := l.tokens
		if d != m.cfg.PixelWidth || m.cfg.Project {
			name := fmt.Sprintf("%sinput_projections.%d", mask2FormerQueries, i)
			y, l.places = m.flat(m.conv(name, l.picture, m.cfg.PixelWidth, d, 1), d), m.sines(l.size, d)
		}
		y = g.Add(y, g.Slice(embed, 1, int64(i), int64(i)+1))
		values, keys = append(values, y), append(keys, g.Add(y, l.places))
		// Interpolation commutes with the product that makes masks of queries and pixels.
		small = append(small, m.columns(g.ResizeTo(masks.picture, l.size)))
	}
	for i := range m.cfg.Layers - 1 {
		name, at := fmt.Sprintf("%slayers.%d.", mask2FormerLayers, i), i%mask2FormerLevels
		outside := m.outside(g.MatMul(m.maskQueries(m.norm(mask2FormerLayers+"layernorm", x, d)), small[at]))
		x = m.look(name+"cross_attn", x, places, keys[at], values[at], outside)
		x = m.compare(name+"self_attn", x, places)
		x = m.perceptron(name, x, d, m.cfg.Hidden)
	}
	x = m.norm(mask2FormerLayers+"layernorm", x, d)
	classes = m.dense(x, mask2FormerClasses, d, m.cfg.Classes+1, "")
	masked = g.MatMul(m.maskQueries(x), m.columns(masks.picture))
	shape := g.Concat(0, g.Int64s(1, int64(q)), masks.size)
	return classes, g.Node("Reshape", []*graph.Tensor{masked, shape}, []int64{1, int64(q), -1, -1}, graph.Float32)
}

// columns lists the pixels of a picture of MaskWidth channels, [1,C,h·w].
func (m *mask2Former) columns(x *graph.Tensor) *graph.Tensor {
	return m.g.Reshape(x, 1, int64(m.cfg.MaskWidth), -1)
}

// maskQueries returns what the masks of queries are products with, [1,Q,MaskWidth].
func (m *mask2Former) maskQueries(x *graph.Tensor) *graph.Tensor {
	const layers = 3
	for i := range layers {
		out := m.cfg.Width
		if i == layers-1 {
			out = m.cfg.MaskWidth
		}
		x = m.dense(x, fmt.Sprintf("%smask_predictor.mask_embedder.%d.0", mask2FormerLayers, i), m.cfg.Width, out, "")
		if i < layers-1 {
			x = m.g.Unary("Relu", x)
		}
	}
	return x
}

// outside returns what keeps queries from attending to pixels outside their masks, [1,1,Q,n]: the pixels whose mask logit is
// negative, unless all are.
func (m *mask2Former) outside(masks *graph.Tensor) *graph.Tensor {
	g := m.g
	out := g.Cast(g.Node("Less", []*graph.Tensor{masks, g.Scalar(0)}, masks.Shape, graph.Bool), graph.Float32)
	all := g.Reduce("ReduceMin", out, true, 2)
	return g.Unsqueeze(g.Mul(g.Sub(out, all), g.Scalar(blocked)), 1)
}

// look adds attention of the queries to pixels.
func (m *mask2Former) look(name string, x, places, keys, values, outside *graph.Tensor) *graph.Tensor {
	g, d := m.g, m.cfg.Width
	w, b := m.get(name+".in_proj_weight", false, 3*d, d), m.get(name+".in_proj_bias", false, 3*d)
	if w == nil || b == nil {
		return g.Fail(nil)
	}
	part := func(number int, x *graph.Tensor) *graph.Tensor {
		return m.matrix(x, w.Data[number*d*d:][:d*d], b.Data[number*d:][:d], nil, d, d)
	}
	y := m.attention(part(0, g.Add(x, places)), part(1, keys), part(2, values), m.cfg.Heads, d, outside)
	return m.norm(name+"_layer_norm", g.Add(x, m.dense(y, name+".out_proj", d, d, "")), d)
}

// compare adds attention of the queries to one another.
func (m *mask2Former) compare(name string, x, places *graph.Tensor) *graph.Tensor {
	g, d := m.g, m.cfg.Width
	with := g.Add(x, places)
	part := func(kind string, x *graph.Tensor) *graph.Tensor { return m.dense(x, name+"."+kind+"_proj", d, d, "") }
	y := m.attention(part("q", with), part("k", with), part("v", x), m.cfg.Heads, d)
	return m.norm(name+"_layer_norm", g.Add(x, m.dense(y, name+".out_proj", d, d, "")), d)
}
