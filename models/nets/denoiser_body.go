package nets

import (
	"github.com/oodcast/oodcast/models"
	"github.com/oodcast/oodcast/models/graph"
)

// denoiserBody is the network on rows of features. Its fields supply the parameters, the normalisation and the time
// vectors, which differ between scoring and training.
type denoiserBody struct {
	g     *graph.Graph
	cfg   models.DenoiserConfig
	param func(name string) *graph.Tensor
	norm  func(x, gamma, beta *graph.Tensor) *graph.Tensor
	// normSecond is norm for an x that comes directly from a linear layer of Width channels and, within a block, from
	// adding the time vector.
	normSecond func(x, gamma, beta *graph.Tensor) *graph.Tensor
	addTime    func(h *graph.Tensor, block string) *graph.Tensor

	side int64 // side length of the window at the current block; 0 without a window
}

func (b *denoiserBody) linear(x *graph.Tensor, name string) *graph.Tensor {
	return b.g.Linear(x, b.param(name+".weight"), b.param(name+".bias"))
}

func (b *denoiserBody) firstNorm(x *graph.Tensor, name string) *graph.Tensor {
	return b.g.SiLU(b.norm(x, b.param(name+".weight"), b.param(name+".bias")))
}

func (b *denoiserBody) secondNorm(x *graph.Tensor, name string) *graph.Tensor {
	return b.g.SiLU(b.normSecond(x, b.param(name+".weight"), b.param(name+".bias")))
}

// conv applies a linear layer to each row or, in a window, to each cell with its neighbours.
func (b *denoiserBody) conv(x *graph.Tensor, name string) *graph.Tensor {
	if b.side > 0 {
		around := b.g.Neighbours(b.grid(x))
		x = b.g.Reshape(around, -1, around.Shape[3])
	}
	return b.linear(x, name)
}

// grid turns rows [side·side·N, C] into a grid [side, side, N, C].
func (b *denoiserBody) grid(x *graph.Tensor) *graph.Tensor {
	return b.g.Reshape(x, b.side, b.side, -1, x.Shape[1])
}

// halve goes to half the side length of the window; double goes back.
func (b *denoiserBody) halve(x *graph.Tensor) *graph.Tensor {
	x = b.g.Reshape(b.g.Halve(b.grid(x)), -1, x.Shape[1])
	b.side /= 2
	return x
}

func (b *denoiserBody) double(x *graph.Tensor) *graph.Tensor {
	x = b.g.Reshape(b.g.Double(b.grid(x)), -1, x.Shape[1])
	b.side *= 2
	return x
}

// forward predicts the noise in x[N, Channels].
func (b *denoiserBody) forward(x *graph.Tensor) *graph.Tensor {
	if b.cfg.InputProjection {
		x = b.linear(x, "denoiser.in_proj")
	}
	return b.blocks(x)
}

// blocks is the network after the input projection: x[N, Width] to [N, Channels].
func (b *denoiserBody) blocks(x *graph.Tensor) *graph.Tensor {
	var skips []*graph.Tensor
	b.side = int64(b.cfg.Window)
	for i, blk := range denoiserBlocks(b.cfg) {
		if b.side > 0 && i > 0 && i < b.cfg.Blocks[0] {
			x = b.halve(x)
		}
		if first := b.cfg.Blocks[0] + b.cfg.Blocks[1]; b.side > 0 && i > first {
			x = b.double(x)
		}
		if i >= b.cfg.Blocks[0]+b.cfg.Blocks[1] {
			last := len(skips) - 1
			x = b.g.Concat(1, x, skips[last]) // current features first, then the stored ones
			skips = skips[:last]
		}
		x = b.residual(x, blk)
		if i < b.cfg.Blocks[0] {
			skips = append(skips, x)
		}
	}
	return b.conv(b.secondNorm(x, "denoiser.out.0"), "denoiser.out.2")
}

func (b *denoiserBody) residual(x *graph.Tensor, blk block) *graph.Tensor {
	h := b.conv(b.firstNorm(x, blk.name+".in_layers.0"), blk.name+".in_layers.2")
	h = b.addTime(h, blk.name)
	h = b.conv(b.secondNorm(h, blk.name+".out_layers.0"), blk.name+".out_layers.3")
	if blk.in != b.cfg.Width {
		x = b.linear(x, blk.name+".skip_connection")
	}
	return b.g.Add(x, h)
}
