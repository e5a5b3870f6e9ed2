package eval

import (
	"fmt"
	"math"

	"github.com/oodcast/oodcast/detector/eval/dataset"
)

// Tally is the pool of a whole stream: it rounds scores as [NewBinnedPool] does, and its memory does not grow with the
// number of frames. The zero Tally is ready to use.
type Tally struct {
	pos, neg cells
	pixels   uint64 // since the last block
	pool     Pool
}

// tallyPixels is the number of pixels after which a count could overflow.
const tallyPixels = math.MaxUint32 / 2

// Add adds the scores of one frame, as [Pool.Add] does those of an image. The scores of a frame with an error may be
// counted in part.
func (t *Tally) Add(scores []float32, labels []uint8, ood uint8) error {
	if t.pixels += uint64(len(labels)); t.pixels > tallyPixels {
		t.flush()
		t.pixels = uint64(len(labels))
	}
	for i, l := range labels {
		if l == dataset.Ignore && ood != dataset.Ignore {
			continue
		}
		if s := float64(scores[i]); math.IsNaN(s) || math.IsInf(s, 0) {
			return fmt.Errorf("%w: pixel %d is %v", ErrNotFinite, i, s)
		}
		if k := key(scores[i]) >> (32 - keptBits); l == ood {
			t.pos[k]++
		} else {
			t.neg[k]++
		}
	}
	return nil
}

func (t *Tally) flush() {
	t.pool.binned = true
	t.pool.blocks = append(t.pool.blocks, block{pos: t.pos.list(), neg: t.neg.list()})
	clear(t.pos[:])
	clear(t.neg[:])
}

// Metrics returns the metrics of the scores added so far.
func (t *Tally) Metrics() (Metrics, error) {
	t.flush()
	return t.pool.Metrics()
}
