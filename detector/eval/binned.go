package eval

import "github.com/oodcast/oodcast/detector/eval/dataset"

// keptBits is the number of leading bits of a key that a binned pool keeps: sign, exponent and 11 bits of the mantissa. Two
// scores fall into one bin only if they differ by less than one part in 2048.
const keptBits = 20

// NewBinnedPool returns a pool of the fast mode with room for the given number of images: it rounds scores to 20 bits and
// counts equal ones. Its memory does not grow with the pixels, and a hundred images merge in milliseconds instead of
// seconds. Rounding makes ties, so the metrics differ from the exact ones by the effect of the order within a bin;
// TestBinnedIsNearExact bounds the difference.
func NewBinnedPool(images int) *Pool { return &Pool{blocks: make([]block, images), binned: true} }

// cells counts scores by the kept bits of their keys.
type cells [1 << keptBits]uint32

// binnedBlock counts the finite scores of one image.
func binnedBlock(scores []float32, labels []uint8, ood uint8) block {
	pos, neg := &cells{}, &cells{}
	for i, l := range labels {
		switch {
		case l == ood:
			pos[key(scores[i])>>(32-keptBits)]++
		case l != dataset.Ignore:
			neg[key(scores[i])>>(32-keptBits)]++
		}
	}
	return block{pos: pos.list(), neg: neg.list()}
}

// list returns the counts of the non-empty cells, each with the key in the middle of the cell.
func (c *cells) list() keyed {
	const shift = 32 - keptBits
	n := 0
	for _, count := range c {
		if count > 0 {
			n++
		}
	}
	k := keyed{keys: make([]uint32, 0, n), counts: make([]uint32, 0, n)}
	for i, count := range c {
		if count > 0 {
			k.keys = append(k.keys, uint32(i)<<shift|1<<(shift-1))
			k.counts = append(k.counts, count)
		}
	}
	return k
}

// lowestOf returns the lowest score that falls into the cell of s: the pixels of a cell are all at or above it.
func lowestOf(s float32) float32 { return score(key(s) | (1<<(32-keptBits) - 1)) }
