// Package orttest makes small graphs for tests.
package orttest

import (
	"github.com/oodcast/oodcast/models"
	"github.com/oodcast/oodcast/models/graph"
)

// Spec describes the graph of MeanEncoder, for a working size of 128×64.
func Spec() models.EncoderSpec {
	return models.EncoderSpec{
		Architecture: "mean", Features: "mean@16,texture@16", Channels: 6, Stride: 16, LogitsStride: 8,
		Classes: []string{"red", "green", "blue"}, Size: models.Size{Width: 128, Height: 64},
	}
}

// MeanEncoder returns an encoder whose outputs can be checked by hand: features are the mean colour of 16×16 pixels,
// scaled to 0 … 1, and the mean of its square; logits are 10 times the mean colour of 8×8 pixels.
func MeanEncoder() ([]byte, error) {
	g := graph.New(graph.Float32)
	image := g.Input("image", graph.Uint8, -1, -1, 3)
	size := g.Input("size", graph.Int64, 2)
	x := g.ResizeTo(g.Cast(g.Unsqueeze(g.Transpose(image, 2, 0, 1), 0), graph.Float32), size)
	x = g.Mul(x, g.Scalar(1.0/255))
	features := g.Concat(1, g.AveragePool(x, 16), g.AveragePool(g.Mul(x, x), 16))
	g.Output(g.Squeeze(g.Transpose(features, 0, 2, 3, 1), 0), "features")
	logits := g.Mul(g.AveragePool(x, 8), g.Scalar(10))
	g.Output(g.Squeeze(logits, 0), "logits")
	g.Output(g.Squeeze(g.Reduce("ReduceLogSumExp", logits, false, 1), 0), "lse")
	return g.Marshal()
}
