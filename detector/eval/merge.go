package eval

// run is one sorted list of keys being merged.
type run struct {
	keys     []uint32
	positive bool
}

// sweep visits the distinct scores of all blocks from the highest down with the number of anomalous (tp) and
// in-distribution (fp) pixels that score at least as high. It merges the sorted runs with a binary heap.
func (p *Pool) sweep(visit func(tp, fp int)) {
	heap := make([]run, 0, 2*len(p.blocks))
	for _, b := range p.blocks {
		if len(b.pos) > 0 {
			heap = append(heap, run{b.pos, true})
		}
		if len(b.neg) > 0 {
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
			n := 1 // ties within a run, at once
			for n < len(heap[0].keys) && heap[0].keys[n] == k {
				n++
			}
			if heap[0].positive {
				tp += n
			} else {
				fp += n
			}
			heap[0].keys = heap[0].keys[n:]
			if len(heap[0].keys) == 0 {
				heap[0] = heap[len(heap)-1]
				heap = heap[:len(heap)-1]
			}
			siftDown(heap, 0)
		}
		visit(tp, fp)
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
