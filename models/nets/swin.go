package nets

import (
	"fmt"

	"github.com/oodcast/oodcast/models/graph"
)

// swin builds the backbone for one picture.
type swin struct {
	*layers
	cfg       SwinConfig
	prefix    string
	mean, std [3]float64
	index     []byte // relative positions, see bias
}

// grown is the output of a stage: a picture [1,C,h,w], and its height and width as int64[2].
type grown struct{ picture, size *graph.Tensor }

// build returns the normalised outputs of the stages for a picture of the given size (int64[2], multiples of 4). Tokens are
// [h·w,C] here.
func (s *swin) build(picture, size *graph.Tensor) []grown {
	g, c := s.g, s.cfg
	size = g.Div(size, g.Int64s(int64(c.Patch)))
	x := s.patchConv(picture, s.prefix+"embeddings.patch_embeddings.projection", c.Width, c.Patch, s.mean, s.std)
	x = g.Transpose(g.Reshape(x, int64(c.Width), -1), 1, 0)
	x = s.layerNorm(x, s.prefix+"embeddings.norm", c.Width, torchNormEps)
	var out []grown
	for stage := 1; stage <= swinStages; stage++ {
		width, layer := c.width(stage), fmt.Sprintf("%sencoder.layers.%d.", s.prefix, stage-1)
		still, shifted := s.windows(size, 0), s.windows(size, c.Window/2)
		for i := range c.Depths[stage-1] {
			w := still
			if i%2 == 1 {
				w = shifted
			}
			x = s.block(fmt.Sprintf("%sblocks.%d.", layer, i), x, w, stage)
		}
		y := s.layerNorm(x, fmt.Sprintf("%shidden_states_norms.stage%d", s.prefix, stage), width, torchNormEps)
		out = append(out, grown{s.arranged(y, size, width), size})
		if stage < swinStages {
			x, size = s.merge(layer+"downsample.", x, size, width)
		}
	}
	return out
}

// arranged turns tokens [h·w,C] or [1,h·w,C] into a picture [1,C,h,w] of the given size.
func (e *layers) arranged(x, size *graph.Tensor, width int) *graph.Tensor {
	g, c := e.g, int64(width)
	x = g.Transpose(g.Reshape(x, -1, c), 1, 0)
	return g.Node("Reshape", []*graph.Tensor{x, g.Concat(0, g.Int64s(1, c), size)}, []int64{1, c, -1, -1}, graph.Float32)
}

// block adds attention inside windows and a perceptron.
func (s *swin) block(name string, x *graph.Tensor, w windows, stage int) *graph.Tensor {
	width := s.cfg.width(stage)
	y := s.layerNorm(x, name+"layernorm_before", width, s.cfg.NormEps)
	x = s.g.Add(x, s.windowed(name+"attention.", y, w, width, s.cfg.Heads[stage-1]))
	hidden := int(s.cfg.Ratio * float64(width))
	y = s.layerNorm(x, name+"layernorm_after", width, s.cfg.NormEps)
	y = s.gelu(s.dense(y, name+"intermediate.dense", width, hidden, ""))
	return s.g.Add(x, s.dense(y, name+"output.dense", hidden, width, ""))
}

// merge joins squares of 2×2 tokens, column by column, and halves their channels. A missing row or column is zero.
func (s *swin) merge(name string, x, size *graph.Tensor, width int) (merged, half *graph.Tensor) {
	g, c := s.g, int64(width)
	half = g.Div(g.Add(size, g.Int64s(1)), g.Int64s(2))
	x = g.Node("Reshape", []*graph.Tensor{x, g.Concat(0, size, g.Int64s(c))}, []int64{-1, -1, c}, graph.Float32)
	pads := g.Concat(0, g.Int64s(0, 0, 0), g.Sub(g.Mul(half, g.Int64s(2)), size), g.Int64s(0))
	x = g.Node("Pad", []*graph.Tensor{x, pads}, []int64{-1, -1, c}, graph.Float32)
	h, w := g.Slice(half, 0, 0, 1), g.Slice(half, 0, 1, 2)
	squares := g.Concat(0, h, g.Int64s(2), w, g.Int64s(2, c))
	x = g.Node("Reshape", []*graph.Tensor{x, squares}, []int64{-1, 2, -1, 2, c}, graph.Float32)
	x = g.Reshape(g.Transpose(x, 0, 2, 3, 1, 4), -1, 4*c)
	x = s.layerNorm(x, name+"norm", 4*width, torchNormEps)
	return s.dense(x, name+"reduction", 4*width, 2*width, ""), half
}
