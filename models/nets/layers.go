package nets

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/oodcast/oodcast/models/checkpoint"
	"github.com/oodcast/oodcast/models/graph"
)

// layers builds the convolutions of an encoder from named weights. It records which weights the network uses and which
// tensors may become features.
type layers struct {
	weights checkpoint.Tensors
	eps     float64 // BatchNorm's
	g       *graph.Graph
	taps    map[string]*graph.Tensor
	used    map[string]bool
}

// pictureTap is the name of the resized picture among the taps; it cannot be a feature.
const pictureTap = "picture"

// newLayers starts an empty graph; an eps of 0 stands for 1e-5.
func newLayers(weights checkpoint.Tensors, eps float64, opts ...graph.Option) layers {
	if eps == 0 {
		eps = 1e-5
	}
	return layers{
		weights: weights, eps: eps, g: graph.New(graph.Float32, opts...), taps: map[string]*graph.Tensor{}, used: map[string]bool{},
	}
}

// picture returns the images, resized to [N,3,h,w] at the working size. The first call adds the graph's inputs.
func (e *layers) picture() *graph.Tensor {
	if e.taps[pictureTap] == nil {
		images := e.g.Input("image", graph.Uint8, -1, -1, -1, 3)
		e.taps[pictureTap] = resample(e.g, e.g.Transpose(images, 0, 3, 1, 2), e.g.Input("size", graph.Int64, 2))
	}
	return e.taps[pictureTap]
}

// without returns the picture minus a mean of pixels in 0..1. The first convolution contains the division by the deviation, see
// divide, but not the subtraction, because zero padding must mean the mean colour.
func (e *layers) without(mean [3]float64) *graph.Tensor {
	return e.g.Sub(e.picture(), e.g.Const64([]float64{255 * mean[0], 255 * mean[1], 255 * mean[2]}, 1, 3, 1, 1))
}

// unused returns an error if the network does not use all weights. Counters of BatchNorm do not count.
func (e *layers) unused() error {
	for _, name := range e.weights.Names() {
		if !e.used[name] && !strings.HasSuffix(name, ".num_batches_tracked") {
			return fmt.Errorf("the network does not use the weights %q", name)
		}
	}
	return nil
}

// fault returns the graph's first mistake or, if there is none, weights that the network does not use.
func (e *layers) fault() error {
	if err := e.g.Err(); err != nil {
		return err
	}
	return e.unused()
}

// get returns weights, checks their shape, and records that the network uses them. Missing optional weights are nil.
func (e *layers) get(name string, optional bool, shape ...int) *checkpoint.Tensor {
	e.used[name] = true
	if optional && e.weights[name] == nil {
		return nil
	}
	t, err := e.weights.Get(name, shape...)
	if err != nil {
		e.g.Fail(err)
	}
	return t
}

// kernel is a convolution ready for the graph: weights [out, in/groups, k, k] and bias, with BatchNorm folded in.
type kernel struct {
	w, b       []float64
	out, in, k int
	groups     int
}

// kernel reads a convolution with its optional bias and its optional BatchNorm; norm is "" if there cannot be one.
func (e *layers) kernel(conv, norm string, out, in, k, groups int) kernel {
	res := kernel{w: make([]float64, out*in/groups*k*k), out: out, in: in, k: k, groups: groups}
	w := e.get(conv+".weight", false, out, in/groups, k, k)
	if w == nil {
		return res // the graph keeps the mistake
	}
	for i, v := range w.Data {
		res.w[i] = float64(v)
	}
	if b := e.get(conv+".bias", true, out); b != nil {
		res.b = make([]float64, out)
		for i, v := range b.Data {
			res.b[i] = float64(v)
		}
	}
	if norm != "" && e.weights[norm+".weight"] != nil {
		e.foldNorm(&res, norm)
	}
	return res
}

// foldNorm applies y = (x-mean)/sqrt(var+e.eps)·γ + β to the convolution's result.
func (e *layers) foldNorm(k *kernel, norm string) {
	var p [4][]float32
	for i, name := range []string{".weight", ".bias", ".running_mean", ".running_var"} {
		t := e.get(norm+name, false, k.out)
		if t == nil {
			return
		}
		p[i] = t.Data
	}
	if k.b == nil {
		k.b = make([]float64, k.out)
	}
	n := len(k.w) / k.out
	for o := range k.out {
		s := float64(p[0][o]) / math.Sqrt(float64(p[3][o])+e.eps)
		for i := range n {
			k.w[o*n+i] *= s
		}
		// The conversion keeps processors with fused operations from rounding once: the same weights give the same bytes.
		k.b[o] = float64((k.b[o]-float64(p[2][o]))*s) + float64(p[1][o])
	}
}

// divide makes a convolution of a picture without its mean, [out, 3, k, k], one of pixels in 0..255: it divides by the deviations of
// red, green and blue, which are those of pixels in 0..1.
func (k kernel) divide(std [3]float64) {
	for i := range k.w {
		k.w[i] /= 255 * std[i/(k.k*k.k)%3]
	}
}

// apply adds the convolution to the graph, with "same" padding.
func (e *layers) apply(k kernel, x *graph.Tensor, stride int) *graph.Tensor {
	return e.dilated(k, x, stride, 1)
}

// dilated is apply for a kernel whose taps lie dilation pixels apart.
func (e *layers) dilated(k kernel, x *graph.Tensor, stride, dilation int) *graph.Tensor {
	var b *graph.Tensor
	if k.b != nil {
		b = e.g.Const64(k.b)
	}
	w := e.g.Const64(k.w, int64(k.out), int64(k.in/k.groups), int64(k.k), int64(k.k))
	return e.g.Conv(x, w, b, graph.ConvOptions{Stride: stride, Pad: dilation * (k.k / 2), Groups: k.groups, Dilation: dilation})
}

// halved returns the shape of pictures of half the height and width.
func (e *layers) halved(x *graph.Tensor) []int64 {
	shape := slices.Clone(x.Shape)
	for i := 2; i < len(shape); i++ {
		if shape[i] >= 0 {
			shape[i] = (shape[i] + 1) / 2
		}
	}
	return shape
}

// fill adds output and input channels whose weights are zero. A depthwise convolution stays one.
func (k kernel) fill(out, in int) kernel {
	if k.groups > 1 {
		k.w = append(slices.Clone(k.w), make([]float64, (out-k.out)*k.k*k.k)...)
		k.groups = in
	} else {
		w, area := make([]float64, out*in*k.k*k.k), k.k*k.k
		for o := range k.out {
			copy(w[o*in*area:], k.w[o*k.in*area:(o+1)*k.in*area])
		}
		k.w = w
	}
	if k.b != nil {
		k.b = append(slices.Clone(k.b), make([]float64, out-k.out)...)
	}
	k.out, k.in = out, in
	return k
}

// outWidth returns the number of output channels of a convolution.
func (e *layers) outWidth(name string) int {
	if t := e.get(name, false, -1, -1, -1, -1); t != nil {
		return t.Shape[0]
	}
	return 1
}

// features resamples the taps of a feature list to one stride, concatenates them and puts the channels last. size returns
// the channels and the stride of a tap.
func (e *layers) features(spec string, size func(name string) (channels, stride int)) *graph.Tensor {
	g := e.g
	list, err := parseTaps(spec)
	if err != nil {
		return g.Fail(err)
	}
	parts := make([]*graph.Tensor, len(list))
	for i, t := range list {
		_, stride := size(t.name)
		x := e.taps[t.name]
		switch {
		case t.stride > stride:
			x = g.AveragePool(x, t.stride/stride)
		case t.stride < stride:
			x = g.Upsample(x, stride/t.stride)
		}
		parts[i] = x
	}
	x := parts[0]
	if len(parts) > 1 {
		x = g.Concat(1, parts...)
	}
	return g.Transpose(x, 0, 2, 3, 1)
}

// like returns the shape [N, c, h, w] with the height and width of x, for a Reshape, where 0 keeps N.
func (e *layers) like(x *graph.Tensor, c int) *graph.Tensor {
	return e.g.Concat(0, e.g.Int64s(0, int64(c)), e.g.Slice(e.g.ShapeOf(x), 0, 2, 4))
}

func channels(x *graph.Tensor) int {
	if len(x.Shape) != 4 {
		return 1 // an earlier mistake, kept in the graph
	}
	return int(x.Shape[1])
}
