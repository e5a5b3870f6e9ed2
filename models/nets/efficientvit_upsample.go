package nets

import "github.com/oodcast/oodcast/models/graph"

// enlarge enlarges x by an integer factor in the way that the configuration names.
func (e *efficientViT) enlarge(x *graph.Tensor, factor int) *graph.Tensor {
	if e.cfg.Upsample == "bilinear" {
		return e.g.Upsample(x, factor)
	}
	return UpsampleBicubic(e.g, x, factor)
}

// UpsampleBicubic enlarges x[N,C,H,W] by an integer factor with Keys' cubic kernel (a = -0.75), with pixel centres at ½
// and a repeated border. This is PyTorch's bicubic interpolation with align_corners=False.
//
// It is written as a convolution: with an integer factor, all output pixels of a phase have the same weights, so a
// depthwise convolution computes all factor² phases of a channel, and DepthToSpace arranges them. ONNX Runtime's cubic
// Resize computes the weights anew for every pixel and is many times slower.
func UpsampleBicubic(g *graph.Graph, x *graph.Tensor, factor int) *graph.Tensor {
	const taps, reach = 5, 2 // a phase reaches at most two pixels to either side
	c := channels(x)
	rows := make([][taps]float64, factor)
	for p := range rows {
		rows[p] = cubicRow(p, factor)
	}
	w := make([]float64, 0, c*factor*factor*taps*taps)
	for range c {
		for py := range factor {
			for px := range factor {
				for ky := range taps {
					for kx := range taps {
						w = append(w, rows[py][ky]*rows[px][kx])
					}
				}
			}
		}
	}
	kernels := g.Const64(w, int64(c*factor*factor), 1, taps, taps)
	y := g.Conv(g.PadEdge(x, reach), kernels, nil, graph.ConvOptions{Groups: c})
	return g.DepthToSpace(y, factor)
}

// cubicRow returns the weights of the pixels i-2..i+2 for the output pixel factor·i+phase, with pixel centres at ½ (Keys'
// cubic convolution with a = -0.75, as in PyTorch).
func cubicRow(phase, factor int) (row [5]float64) {
	at := (float64(phase)+0.5)/float64(factor) - 0.5
	for i := range row {
		row[i] = cubic(at - float64(i-2))
	}
	return row
}

func cubic(d float64) float64 {
	const a = -0.75
	if d < 0 {
		d = -d
	}
	switch {
	case d <= 1:
		return ((a+2)*d-(a+3))*d*d + 1
	case d < 2:
		return ((a*d-5*a)*d+8*a)*d - 4*a
	}
	return 0
}
