package eval

import "sort"

// rangeKeys is the number of keys that are sorted at a time: as many as fit into a processor's cache.
const rangeKeys = 1 << 19

// sweep visits the distinct scores of all blocks from the highest to the lowest, with their key and the numbers of
// anomalous (tp) and in-distribution (fp) pixels that score at least as high.
func (p *Pool) sweep(visit func(key uint32, tp, fp int)) {
	if p.binned {
		p.sweepCells(visit)
		return
	}
	s := sweeper{blocks: p.blocks, visit: visit}
	s.between(0, 1<<32)
}

// sweepCells adds up the counts of binned blocks.
func (p *Pool) sweepCells(visit func(key uint32, tp, fp int)) {
	const shift = 32 - keptBits
	pos, neg := make([]int, 1<<keptBits), make([]int, 1<<keptBits) // int: the sum over all images may exceed 32 bits
	for _, b := range p.blocks {
		for i, k := range b.pos.keys {
			pos[k>>shift] += int(b.pos.counts[i])
		}
		for i, k := range b.neg.keys {
			neg[k>>shift] += int(b.neg.counts[i])
		}
	}
	tp, fp := 0, 0
	for i := range pos {
		if pos[i]+neg[i] > 0 {
			tp += pos[i]
			fp += neg[i]
			visit(uint32(i)<<shift|1<<(shift-1), tp, fp)
		}
	}
}

// sweeper merges the sorted lists of exact blocks. It halves the range of keys until the lists together hold at most
// rangeKeys of them in it, then gathers and sorts these. This takes a few operations per key and a fixed amount of memory,
// whereas a heap takes a number of cache misses per key that grows with the logarithm of the images.
type sweeper struct {
	blocks            []block
	visit             func(key uint32, tp, fp int)
	tp, fp            int
	pos, neg, scratch []uint32
}

// between visits the keys from low up to, but not including, high.
func (s *sweeper) between(low, high uint64) {
	positives, negatives := 0, 0
	for _, b := range s.blocks {
		positives += len(cut(b.pos.keys, low, high))
		negatives += len(cut(b.neg.keys, low, high))
	}
	switch n := positives + negatives; {
	case n == 0:
	case high-low == 1: // ties
		s.tp += positives
		s.fp += negatives
		s.visit(uint32(low), s.tp, s.fp)
	case n > rangeKeys:
		middle := low + (high-low)/2
		s.between(low, middle)
		s.between(middle, high)
	default:
		s.gather(low, high)
	}
}

// gather collects the keys of all lists in a range, sorts them and visits them.
func (s *sweeper) gather(low, high uint64) {
	s.pos, s.neg = s.pos[:0], s.neg[:0]
	for _, b := range s.blocks {
		s.pos = append(s.pos, cut(b.pos.keys, low, high)...)
		s.neg = append(s.neg, cut(b.neg.keys, low, high)...)
	}
	if len(s.blocks) > 1 {
		if n := max(len(s.pos), len(s.neg)); cap(s.scratch) < n {
			s.scratch = make([]uint32, n)
		}
		sortKeys(s.pos, s.scratch)
		sortKeys(s.neg, s.scratch)
	}
	pos, neg := s.pos, s.neg
	for len(pos) > 0 || len(neg) > 0 {
		var k uint32
		switch {
		case len(neg) == 0 || len(pos) > 0 && pos[0] < neg[0]:
			k = pos[0]
		default:
			k = neg[0]
		}
		for len(pos) > 0 && pos[0] == k {
			pos = pos[1:]
			s.tp++
		}
		for len(neg) > 0 && neg[0] == k {
			neg = neg[1:]
			s.fp++
		}
		s.visit(k, s.tp, s.fp)
	}
}

// cut returns the keys of a sorted list from low up to, but not including, high.
func cut(keys []uint32, low, high uint64) []uint32 {
	from := sort.Search(len(keys), func(i int) bool { return uint64(keys[i]) >= low })
	keys = keys[from:]
	return keys[:sort.Search(len(keys), func(i int) bool { return uint64(keys[i]) >= high })]
}
