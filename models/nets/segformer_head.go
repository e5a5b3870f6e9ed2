package nets

import (
	"fmt"

	"github.com/oodcast/oodcast/models/graph"
)

// classify adds the head: a linear map of each stage, enlarged to stride 4; a linear map of all of them together with BatchNorm and
// ReLU; and a classifier.
//
// Interpolation commutes with linear maps of the channels. So the first two maps become one matrix per stage, applied
// before the enlargement: at stride 4, where a map costs most, the channels of stage 1 alone are multiplied, not four times
// the head's.
func (s *segFormer) classify() *graph.Tensor {
	if s.g.Err() != nil {
		return s.g.Fail(nil)
	}
	maps := s.fused()
	var sum *graph.Tensor
	for i, k := range maps {
		y := s.apply(k, s.taps[fmt.Sprintf("stage%d", i+1)], 1)
		y = s.g.Upsample(y, segFormerStride(i+1)/segFormerStrides[0])
		if sum == nil {
			sum = y
		} else {
			sum = s.g.Add(sum, y)
		}
	}
	if sum == nil {
		return s.g.Fail(nil)
	}
	width := channels(sum)
	return s.apply(s.kernel("decode_head.classifier", "", s.cfg.Classes, width, 1, 1), s.g.Unary("Relu", sum), 1)
}

// fused returns one 1×1 convolution per stage: the map of the stage, its part of the map of all stages, and BatchNorm. The
// first has the bias of all.
func (s *segFormer) fused() []kernel {
	const fuse = "decode_head.linear_fuse"
	stages, out := len(s.cfg.Widths), s.outWidth(fuse+".weight")
	width := s.rows("decode_head.linear_c.0.proj.weight")
	both := s.kernel(fuse, "", out, stages*width, 1, 1)
	total := 0
	for _, w := range s.cfg.Widths {
		total += w
	}
	all := kernel{w: make([]float64, out*total), b: make([]float64, out), out: out, in: total, k: 1, groups: 1}
	copy(all.b, both.b)
	at := 0
	for i, in := range s.cfg.Widths {
		name := fmt.Sprintf("decode_head.linear_c.%d.proj", i)
		w, b := s.get(name+".weight", false, width, in), s.get(name+".bias", false, width)
		if w == nil || b == nil {
			return nil
		}
		for o := range out {
			row := all.w[o*total+at:][:in]
			from := both.w[o*stages*width+(stages-1-i)*width:][:width] // the last stage comes first
			for j, f := range from {
				all.b[o] += float64(f * float64(b.Data[j]))
				for c, v := range w.Data[j*in:][:in] {
					row[c] += float64(f * float64(v))
				}
			}
		}
		at += in
	}
	s.foldNorm(&all, "decode_head.batch_norm")
	if s.g.Err() != nil {
		return nil
	}
	return split(all, s.cfg.Widths)
}

// split cuts a 1×1 convolution into one per range of its inputs, whose results add up to its result.
func split(all kernel, widths []int) []kernel {
	parts, at := make([]kernel, len(widths)), 0
	for i, in := range widths {
		k := kernel{w: make([]float64, 0, all.out*in), out: all.out, in: in, k: 1, groups: 1}
		for o := range all.out {
			k.w = append(k.w, all.w[o*all.in+at:][:in]...)
		}
		parts[i] = k
		at += in
	}
	parts[0].b = all.b
	return parts
}
