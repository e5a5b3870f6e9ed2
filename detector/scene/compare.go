package scene

import (
	"math"
	"slices"
)

const (
	blocksX, blocksY = 8, 6 // the picture is compared in blocks
	minTexture       = 0.25 // blocks with less than this share of the mean edge energy of the reference are not compared
	minSpread        = 2    // grey levels: less is noise
)

// likeness compares a picture with a reference in the median of the blocks that have edges in the reference. The median
// ignores an object that hides less than half of them.
type likeness struct {
	change   float64 // 1 − correlation of the gradients: 0 the same edges, about 1 others. Independent of light and contrast
	contrast float64 // spread of the brightness over that of the reference
	sharp    float64 // fine detail over coarse contrast, relative to the reference
	ok       bool    // false: the reference has no edges, so nothing can be said
}

// block has the sums over one block of a picture and of the reference.
type block struct {
	ab, aa, bb   float64 // products of gradients
	n            float64
	a, a2, b, b2 float64 // brightness
	fineA, fineB float64
}

func compare(p, ref *picture) likeness {
	var blocks [blocksX * blocksY]block
	energy := 0.0
	for y := range p.height {
		for x := range p.width {
			i := y*p.width + x
			s := &blocks[y*blocksY/p.height*blocksX+x*blocksX/p.width]
			a, b := float64(p.luma[i]), float64(ref.luma[i])
			s.n++
			s.a, s.a2, s.b, s.b2 = s.a+a, s.a2+a*a, s.b+b, s.b2+b*b
			s.fineA, s.fineB = s.fineA+float64(p.fine[i]), s.fineB+float64(ref.fine[i])
			if x+1 < p.width {
				energy += s.gradient(float64(p.luma[i+1])-a, float64(ref.luma[i+1])-b)
			}
			if y+1 < p.height {
				energy += s.gradient(float64(p.luma[i+p.width])-a, float64(ref.luma[i+p.width])-b)
			}
		}
	}
	var change, contrast, sharp []float64
	for _, s := range blocks {
		if s.n == 0 || s.bb <= minTexture*energy/float64(len(blocks)) || s.bb < s.n {
			continue
		}
		spreadA, spreadB := spread(s.a, s.a2, s.n), spread(s.b, s.b2, s.n)
		change = append(change, 1-s.ab/math.Sqrt(max(s.aa*s.bb, 1e-9)))
		contrast = append(contrast, spreadA/spreadB)
		sharp = append(sharp, s.fineA/spreadA/max(1e-9, s.fineB/spreadB))
	}
	if len(change) == 0 {
		return likeness{contrast: 1, sharp: 1}
	}
	return likeness{median(change), median(contrast), median(sharp), true}
}

// gradient adds a pair of gradients and returns the energy of the reference's.
func (s *block) gradient(a, b float64) float64 {
	s.ab, s.aa, s.bb = s.ab+a*b, s.aa+a*a, s.bb+b*b
	return b * b
}

// spread returns the standard deviation, at least minSpread.
func spread(sum, squares, n float64) float64 {
	return max(minSpread, math.Sqrt(max(0, squares/n-sum*sum/(n*n))))
}

// median sorts the list, which must not be empty, and returns its middle.
func median[T float32 | float64](list []T) T {
	slices.Sort(list)
	return list[len(list)/2]
}
