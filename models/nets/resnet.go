package nets

import (
	"fmt"
	"strings"

	"github.com/oodcast/oodcast/models/checkpoint"
	"github.com/oodcast/oodcast/models/graph"
)

// ResNet builds the encoder graph of a residual network from weights under the names of torchvision and timm.
//
// The inputs are those of [EfficientViT]. The output is features float32[N,h,w,C]; the network itself has no classes for
// single pixels. The graph resizes (bilinearly) and normalises the pictures. BatchNorm is folded into the convolutions.
func ResNet(cfg ResNetConfig, weights checkpoint.Tensors) (*graph.Graph, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	r := &resNet{layers: newLayers(weights, cfg.NormEps), cfg: cfg}
	r.build()
	if err := r.fault(); err != nil {
		return nil, fmt.Errorf("nets: resnet: %w", err)
	}
	return r.g, nil
}

type resNet struct {
	layers
	cfg ResNetConfig
}

func (r *resNet) build() {
	x, last := r.stem(), r.lastStage()
	stride, dilation := 4, 1
	for s := range last {
		step := 2
		if s == 0 {
			step = 1
		}
		first := dilation // the first kernel that reduces the resolution, or would, keeps the dilation of the stage before
		if stride*step > r.cfg.outputStride() {
			dilation *= step
			step = 1
		}
		stride *= step
		for i := range r.cfg.Depths[s] {
			x = r.block(fmt.Sprintf("%slayer%d.%d.", r.cfg.prefix, s+1, i), x, r.cfg.Widths[s], step, first, dilation)
			step, first = 1, dilation
		}
		r.taps[fmt.Sprintf("stage%d", s+1)] = x
	}
	r.ignore(last)
	r.g.Output(r.features(r.cfg.features(), r.cfg.tapSize), "features")
}

// lastStage returns the number of the last stage that the features need.
func (r *resNet) lastStage() int {
	taps, _ := parseTaps(r.cfg.features())
	last := 0
	for _, t := range taps {
		last = max(last, r.cfg.tapStage(t.name))
	}
	return last
}

// ignore marks the weights behind the last stage that the features need as used, and those of a head.
func (r *resNet) ignore(last int) {
	for _, name := range r.weights.Names() {
		inner, ours := strings.CutPrefix(name, r.cfg.prefix)
		var n int
		_, err := fmt.Sscanf(inner, "layer%d.", &n)
		if !ours || strings.HasPrefix(inner, "fc.") || err == nil && n > last {
			r.used[name] = true
		}
	}
}

// stem adds a 7×7 convolution of stride 2 and a maximum over 3×3 pixels of stride 2.
func (r *resNet) stem() *graph.Tensor {
	x := r.without(imageMean)
	k := r.kernel(r.cfg.prefix+"conv1", r.cfg.prefix+"bn1", r.outWidth(r.cfg.prefix+"conv1.weight"), 3, 7, 1)
	k.divide(imageStd)
	x = r.g.Unary("Relu", r.apply(k, x, 2))
	return r.g.Node("MaxPool", []*graph.Tensor{x}, r.halved(x), graph.Float32, graph.Ints("kernel_shape", 3, 3),
		graph.Ints("strides", 2, 2), graph.Ints("pads", 1, 1, 1, 1))
}

// block adds two 3×3 convolutions, or a 3×3 one between two 1×1 ones, and the input, which a 1×1 convolution brings into the
// shape of the result where it has another. The kernel with the stride has the dilation first.
func (r *resNet) block(name string, x *graph.Tensor, out, stride, first, dilation int) *graph.Tensor {
	in, mid := channels(x), r.outWidth(name+"conv1.weight")
	y := x
	if r.cfg.Bottleneck {
		y = r.g.Unary("Relu", r.apply(r.kernel(name+"conv1", name+"bn1", mid, in, 1, 1), y, 1))
		wide := r.outWidth(name + "conv2.weight")
		k := r.kernel(name+"conv2", name+"bn2", wide, mid, 3, r.groups(name+"conv2.weight", mid))
		y = r.g.Unary("Relu", r.dilated(k, y, stride, first))
		y = r.apply(r.kernel(name+"conv3", name+"bn3", out, wide, 1, 1), y, 1)
	} else {
		y = r.g.Unary("Relu", r.dilated(r.kernel(name+"conv1", name+"bn1", mid, in, 3, 1), y, stride, first))
		y = r.dilated(r.kernel(name+"conv2", name+"bn2", out, mid, 3, 1), y, 1, dilation)
	}
	if r.weights[name+"downsample.0.weight"] != nil {
		x = r.apply(r.kernel(name+"downsample.0", name+"downsample.1", out, in, 1, 1), x, stride)
	}
	return r.g.Unary("Relu", r.g.Add(x, y))
}

// groups returns the number of groups of a convolution of in channels.
func (r *resNet) groups(name string, in int) int {
	if t := r.get(name, false, -1, -1, -1, -1); t != nil && t.Shape[1] > 0 && in%t.Shape[1] == 0 {
		return in / t.Shape[1]
	}
	return 1
}
