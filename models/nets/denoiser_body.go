package nets

import (
	"github.com/oodcast/oodcast/models/graph"
)

// denoiserBody is the network on rows of features, without the choice of where its parameters live, how it normalises
// and where its time vectors come from.
type denoiserBody struct {
	g     *graph.Graph
	cfg   DenoiserConfig
	param func(name string) *graph.Tensor
	norm  func(x, gamma, beta *graph.Tensor) *graph.Tensor
	// normSecond is norm where x comes straight from a linear layer of Width channels and, within a block, the time
	// vector.
	normSecond func(x, gamma, beta *graph.Tensor) *graph.Tensor
	addTime    func(h *graph.Tensor, block string) *graph.Tensor
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

// forward predicts the noise in x[N, Channels].
func (b *denoiserBody) forward(x *graph.Tensor) *graph.Tensor {
	if b.cfg.InputProjection {
		x = b.linear(x, "denoiser.in_proj")
	}
	return b.blocks(x)
}

// blocks is forward behind the input projection: x[N, Width] to [N, Channels].
func (b *denoiserBody) blocks(x *graph.Tensor) *graph.Tensor {
	var skips []*graph.Tensor
	for i, blk := range b.cfg.blocks() {
		if i >= b.cfg.Blocks[0]+b.cfg.Blocks[1] {
			last := len(skips) - 1
			x = b.g.Concat(1, x, skips[last]) // the current features first, then the stored ones
			skips = skips[:last]
		}
		x = b.residual(x, blk)
		if i < b.cfg.Blocks[0] {
			skips = append(skips, x)
		}
	}
	return b.linear(b.secondNorm(x, "denoiser.out.0"), "denoiser.out.2")
}

func (b *denoiserBody) residual(x *graph.Tensor, blk block) *graph.Tensor {
	h := b.linear(b.firstNorm(x, blk.name+".in_layers.0"), blk.name+".in_layers.2")
	h = b.addTime(h, blk.name)
	h = b.linear(b.secondNorm(h, blk.name+".out_layers.0"), blk.name+".out_layers.3")
	if blk.in != b.cfg.Width {
		x = b.linear(x, blk.name+".skip_connection")
	}
	return b.g.Add(x, h)
}
