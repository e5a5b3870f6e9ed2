package eval

import (
	"fmt"
	"math"
)

// tally pools the scores of a whole stream, rounded as in [NewBinnedPool], in memory that does not grow with its length.
type tally struct {
	pos, neg cells
	pixels   uint64 // since the last block
	pool     Pool
}

// tallyPixels is how many pixels may be counted before a count could overflow.
const tallyPixels = math.MaxUint32 / 2

// add takes the scores of one frame; see [Pool.Add].
func (t *tally) add(scores []float32, labels []uint8, ood uint8) error {
	if t.pixels += uint64(len(labels)); t.pixels > tallyPixels {
		t.flush()
		t.pixels = uint64(len(labels))
	}
	for i, l := range labels {
		if l == Ignore && ood != Ignore {
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

func (t *tally) flush() {
	t.pool.binned = true
	t.pool.blocks = append(t.pool.blocks, block{pos: t.pos.list(), neg: t.neg.list()})
	clear(t.pos[:])
	clear(t.neg[:])
}

// rates returns the metrics of what was added; nothing more may be.
func (t *tally) rates() (Rates, error) {
	t.flush()
	m, err := t.pool.Metrics()
	return Rates{AP: m.AP, AUROC: m.AUROC, FPR95: m.FPR95}, err
}
