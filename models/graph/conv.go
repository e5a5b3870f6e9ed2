package graph

import "slices"

// The operators of this file work on pictures [N, C, H, W] and have no gradient.

// ConvOptions are the attributes of [Graph.Conv]. The zero value is stride 1, no padding, one group and no dilation.
type ConvOptions struct {
	Stride, Pad, Groups int
	// Dilation is the distance between the taps of the kernel.
	Dilation int
	// PadEnd is how many zeros x is padded with at the bottom and on the right beyond those at the top and on the left.
	PadEnd int
}

// Conv returns the convolution of x[N,C,H,W] with w[O,C/groups,k,k] plus b[O], which may be nil. x is padded with Pad
// zeros on all sides, and with PadEnd more at the bottom and on the right.
func (g *Graph) Conv(x, w, b *Tensor, o ConvOptions) *Tensor {
	if !g.ready("Conv", x, w) {
		return g.Fail(nil)
	}
	stride, groups := int64(max(o.Stride, 1)), int64(max(o.Groups, 1))
	dilation, pad, end := int64(max(o.Dilation, 1)), int64(o.Pad), int64(o.Pad+o.PadEnd)
	if len(x.Shape) != 4 || len(w.Shape) != 4 || !sameDim(x.Shape[1], w.Shape[1]*groups) || w.Shape[0]%groups != 0 ||
		b != nil && !slices.Equal(b.Shape, w.Shape[:1]) {
		return g.fail("Conv of %v by %v in %d groups: they do not fit", x.Shape, w.Shape, groups)
	}
	k := w.Shape[2]
	shape := slices.Clone(x.Shape)
	shape[1] = w.Shape[0]
	for i := 2; i < 4; i++ {
		if shape[i] >= 0 {
			shape[i] = (shape[i]+pad+end-dilation*(k-1)-1)/stride + 1
		}
	}
	ins := []*Tensor{x, w}
	if b != nil {
		ins = append(ins, b)
	}
	attrs := []Attr{
		Ints("kernel_shape", k, k), Ints("strides", stride, stride), Ints("pads", pad, pad, end, end), Int("group", groups),
	}
	if dilation > 1 {
		attrs = append(attrs, Ints("dilations", dilation, dilation))
	}
	return g.Node("Conv", ins, shape, x.DType, attrs...)
}

// AveragePool returns the means of non-overlapping k×k squares of x[N,C,H,W].
func (g *Graph) AveragePool(x *Tensor, k int) *Tensor {
	if !g.ready("AveragePool", x) {
		return g.Fail(nil)
	}
	if len(x.Shape) != 4 || k < 1 {
		return g.fail("AveragePool of %v by %d", x.Shape, k)
	}
	shape := slices.Clone(x.Shape)
	for i := 2; i < 4; i++ {
		if shape[i] >= 0 {
			shape[i] /= int64(k)
		}
	}
	n := int64(k)
	return g.Node("AveragePool", []*Tensor{x}, shape, x.DType, Ints("kernel_shape", n, n), Ints("strides", n, n))
}

// ResizeTo resamples x[N,C,H,W] bilinearly to the height and width in size (int64[2]). Pixel centres are at ½, as with
// PyTorch's align_corners=False and OpenCV's INTER_LINEAR.
func (g *Graph) ResizeTo(x, size *Tensor) *Tensor {
	if !g.ready("Resize", x, size) {
		return g.Fail(nil)
	}
	if len(x.Shape) != 4 || size.DType != Int64 || !slices.Equal(size.Shape, []int64{2}) || x.Shape[1] < 0 {
		return g.fail("Resize of %v to the values of %v%v", x.Shape, size.DType, size.Shape)
	}
	front := g.Int64s(max(0, x.Shape[0]), x.Shape[1])
	if x.Shape[0] < 0 {
		front = g.Slice(g.ShapeOf(x), 0, 0, 2)
	}
	sizes := g.Concat(0, front, size)
	return g.Node("Resize", []*Tensor{x, nil, nil, sizes}, []int64{x.Shape[0], x.Shape[1], -1, -1}, x.DType,
		Str("mode", "linear"), Str("coordinate_transformation_mode", "half_pixel"))
}

// Upsample enlarges x[N,C,H,W] bilinearly by an integer factor. Pixel centres are at ½.
func (g *Graph) Upsample(x *Tensor, factor int) *Tensor {
	if !g.ready("Resize", x) || factor == 1 {
		return x
	}
	if len(x.Shape) != 4 || factor < 1 {
		return g.fail("Resize of %v by %d", x.Shape, factor)
	}
	shape := slices.Clone(x.Shape)
	for i := 2; i < 4; i++ {
		if shape[i] >= 0 {
			shape[i] *= int64(factor)
		}
	}
	f := float32(factor)
	// The scales are float even in a double graph.
	scales := g.Cast(g.Const([]float32{1, 1, f, f}, 4), Float32)
	return g.Node("Resize", []*Tensor{x, nil, scales}, shape, x.DType,
		Str("mode", "linear"), Str("coordinate_transformation_mode", "half_pixel"))
}

// PadEdge repeats the border of x[N,C,H,W] n times on all four sides.
func (g *Graph) PadEdge(x *Tensor, n int) *Tensor {
	if !g.ready("Pad", x) {
		return g.Fail(nil)
	}
	if len(x.Shape) != 4 || n < 0 {
		return g.fail("Pad of %v by %d", x.Shape, n)
	}
	shape, p := slices.Clone(x.Shape), int64(n)
	for i := 2; i < 4; i++ {
		shape[i] = addDims(shape[i], 2*p)
	}
	return g.Node("Pad", []*Tensor{x, g.Int64s(0, 0, p, p, 0, 0, p, p)}, shape, x.DType, Str("mode", "edge"))
}

// DepthToSpace turns each run of n² channels into a square of n×n pixels: [N, C·n², H, W] to [N, C, H·n, W·n].
func (g *Graph) DepthToSpace(x *Tensor, n int) *Tensor {
	if !g.ready("DepthToSpace", x) {
		return g.Fail(nil)
	}
	k := int64(n)
	if len(x.Shape) != 4 || n < 1 || x.Shape[1]%(k*k) != 0 {
		return g.fail("DepthToSpace of %v by %d", x.Shape, n)
	}
	shape := slices.Clone(x.Shape)
	shape[1] /= k * k
	for i := 2; i < 4; i++ {
		if shape[i] >= 0 {
			shape[i] *= k
		}
	}
	return g.Node("DepthToSpace", []*Tensor{x}, shape, x.DType, Int("blocksize", k), Str("mode", "CRD"))
}

// Squeeze removes dimension axis, which must be 1.
func (g *Graph) Squeeze(x *Tensor, axis int) *Tensor {
	if !g.ready("Squeeze", x) {
		return g.Fail(nil)
	}
	a := axisOf(axis, len(x.Shape))
	if a < 0 || !sameDim(x.Shape[a], 1) || len(x.Shape) < 2 {
		return g.fail("Squeeze of %v at %d", x.Shape, axis)
	}
	return g.Node("Squeeze", []*Tensor{x, g.Int64s(int64(a))}, slices.Delete(slices.Clone(x.Shape), a, a+1), x.DType)
}
