package eval

// run is a sorted list of keys being merged.
type run struct {
	keyed
	positive bool
}

// sweep visits the distinct scores of all blocks from the highest down with their key and the number of anomalous (tp)
// and in-distribution (fp) pixels that score at least as high. It merges the sorted runs with a binary heap.
func (p *Pool) sweep(visit func(key uint32, tp, fp int)) {
	heap := make([]run, 0, 2*len(p.blocks))
	for _, b := range p.blocks {
		if len(b.pos.keys) > 0 {
			heap = append(heap, run{b.pos, true})
		}
		if len(b.neg.keys) > 0 {
			heap = append(heap, run{b.neg, false})
		}
	}
	for i := len(heap)/2 - 1; i >= 0; i-- {
		siftDown(heap, i)
	}
	tp, fp := 0, 0
	for len(heap) > 0 {
		k := heap[0].keys[0]
		for len(heap) > 0 && heap[0].keys[0] == k {
			n := heap[0].pop(k)
			if heap[0].positive {
				tp += n
			} else {
				fp += n
			}
			if len(heap[0].keys) == 0 {
				heap[0] = heap[len(heap)-1]
				heap = heap[:len(heap)-1]
			}
			siftDown(heap, 0)
		}
		visit(k, tp, fp)
	}
}

// siftDown restores the heap order (smallest first key on top) below i.
func siftDown(heap []run, i int) {
	for {
		least := i
		for c := 2*i + 1; c <= 2*i+2 && c < len(heap); c++ {
			if heap[c].keys[0] < heap[least].keys[0] {
				least = c
			}
		}
		if least == i {
			return
		}
		heap[i], heap[least] = heap[least], heap[i]
		i = least
	}
}

// pop removes the keys equal to k, the first, and returns how many pixels had them.
func (r *run) pop(k uint32) (pixels int) {
	if r.counts != nil { // keys are distinct
		pixels = int(r.counts[0])
		r.keys, r.counts = r.keys[1:], r.counts[1:]
		return pixels
	}
	for pixels = 1; pixels < len(r.keys) && r.keys[pixels] == k; {
		pixels++
	}
	r.keys = r.keys[pixels:]
	return pixels
}
