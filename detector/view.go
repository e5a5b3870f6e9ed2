package detector

import (
	"math"
	"slices"
)

const (
	viewBlocks  = 6    // the picture is compared in so many blocks by so many
	viewTexture = 0.25 // of the mean energy of edges: blocks with less have nothing to compare
)

// view is what a camera sees on the grid of its maps, faded over a while: what moves is hardly in it.
type view struct {
	width, height int
	bright        []float64 // per cell, 0 … 1
}

// add fades in the mean colours of a picture (see Encoding.Guide); share is how much of them.
func (v *view) add(guide []float32, share float64) {
	for i := range v.bright {
		now := float64(guide[3*i]+guide[3*i+1]+guide[3*i+2]) / 3
		v.bright[i] += share * (now - v.bright[i])
	}
}

func (v *view) clone() *view { return &view{v.width, v.height, slices.Clone(v.bright)} }

// apart says how much of the edges of a reference is not there any more: 1 − r, where r is the correlation of the gradients
// in the middle block of those with edges. Gradients do not care for brightness, their correlation not for contrast, and
// the median not for a thing that hides less than half of the picture.
func (v *view) apart(ref *view, judged func(i int) bool) float64 {
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
				a, b := v.bright[next]-v.bright[i], ref.bright[next]-ref.bright[i]
				s.ab, s.aa, s.bb = s.ab+a*b, s.aa+a*a, s.bb+b*b
				energy += b * b
			}
		}
	}
	var list []float64
	for _, s := range sums {
		if s.bb > 0 && s.bb >= viewTexture*energy/float64(len(sums)) {
			list = append(list, 1-s.ab/math.Sqrt(max(s.aa*s.bb, 1e-30)))
		}
	}
	if len(list) == 0 {
		return 0
	}
	slices.Sort(list)
	return list[(len(list)-1)/2]
}

// stops is how much brighter the middle cell is than in a reference, in powers of two.
func (v *view) stops(ref *view, judged func(i int) bool) float64 {
	const black = 1. / 255
	var list []float64
	for i := range v.bright {
		if judged(i) {
			list = append(list, math.Log2((v.bright[i]+black)/(ref.bright[i]+black)))
		}
	}
	slices.Sort(list)
	return list[len(list)/2]
}
