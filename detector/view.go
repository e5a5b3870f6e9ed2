package detector

import (
	"math"
	"slices"
)

const (
	viewBlocks     = 6    // the picture is compared in viewBlocks × viewBlocks blocks
	viewMinTexture = 0.25 // blocks with less than this share of the mean edge energy are not compared
)

// view is a camera's picture on the grid of its maps, averaged over time so that moving objects hardly contribute.
type view struct {
	width, height int
	brightness    []float64 // per cell, 0 … 1
}

// add blends in the mean colours of a picture (see Encoding.Guide) with weight share.
func (v *view) add(guide []float32, share float64) {
	for i := range v.brightness {
		now := float64(guide[3*i]+guide[3*i+1]+guide[3*i+2]) / 3
		v.brightness[i] += share * (now - v.brightness[i])
	}
}

func (v *view) clone() *view { return &view{v.width, v.height, slices.Clone(v.brightness)} }

// layoutChange measures how many of the edges of a reference have gone: it returns 1 − r, where r is the correlation of the
// gradients in the median of the blocks with edges. Gradients are independent of brightness, their correlation is
// independent of contrast, and the median ignores an object that hides less than half of the picture.
func (v *view) layoutChange(ref *view, judged func(i int) bool) float64 {
	var sums [viewBlocks * viewBlocks]struct{ ab, aa, bb float64 }
	energy := 0.0
	for y := range v.height - 1 {
		for x := range v.width - 1 {
			i := y*v.width + x
			if !judged(i) {
				continue
			}
			s := &sums[y*viewBlocks/v.height*viewBlocks+x*viewBlocks/v.width]
			for _, next := range [2]int{i + 1, i + v.width} {
				a, b := v.brightness[next]-v.brightness[i], ref.brightness[next]-ref.brightness[i]
				s.ab, s.aa, s.bb = s.ab+a*b, s.aa+a*a, s.bb+b*b
				energy += b * b
			}
		}
	}
	var list []float64
	for _, s := range sums {
		if s.bb > 0 && s.bb >= viewMinTexture*energy/float64(len(sums)) {
			list = append(list, 1-s.ab/math.Sqrt(max(s.aa*s.bb, 1e-30)))
		}
	}
	if len(list) == 0 {
		return 0
	}
	slices.Sort(list)
	return list[(len(list)-1)/2]
}

// lightChange returns the median over the cells of how much brighter they are than in a reference, in powers of two.
func (v *view) lightChange(ref *view, judged func(i int) bool) float64 {
	const black = 1. / 255
	var list []float64
	for i := range v.brightness {
		if judged(i) {
			list = append(list, math.Log2((v.brightness[i]+black)/(ref.brightness[i]+black)))
		}
	}
	slices.Sort(list)
	return list[len(list)/2]
}
