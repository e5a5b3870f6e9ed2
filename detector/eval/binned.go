package eval

// keptBits is how much of a key a binned pool keeps: sign, exponent and 11 bits of the mantissa, so that two scores are
// taken for one only when they differ by less than one part in 2048.
const keptBits = 20

// NewBinnedPool returns a pool with room for so many images that rounds scores to 20 bits and counts equal ones: the
// fast mode. Memory no longer grows with the pixels, and a hundred images merge in milliseconds instead of seconds. Rounding
// makes ties, so metrics differ from the exact ones by what the order within a bin can change: see
// TestBinnedIsNearExact for how much that is.
func NewBinnedPool(images int) *Pool { return &Pool{blocks: make([]block, images), binned: true} }

// cells count scores by the bits of their keys that are kept.
type cells [1 << keptBits]uint32

// binnedBlock counts the finite scores of one image.
func binnedBlock(scores []float32, labels []uint8, ood uint8) block {
	pos, neg := &cells{}, &cells{}
	for i, l := range labels {
		switch {
		case l == ood:
			pos[key(scores[i])>>(32-keptBits)]++
		case l != Ignore:
			neg[key(scores[i])>>(32-keptBits)]++
		}
	}
	return block{pos: pos.list(), neg: neg.list()}
}

// list names the cells that are not empty by the key in their middle.
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
