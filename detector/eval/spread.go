package eval

import (
	"context"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"

	"golang.org/x/sync/errgroup"
)

// Spread is where the metrics of a row fall when its images are drawn anew: the 5 % and the 95 % quantile over N draws, with
// replacement, of as many images.
type Spread struct {
	N     int        `json:"n"`
	AP    [2]float64 `json:"ap"`
	FPR95 [2]float64 `json:"fpr95"`
}

// spreadTail is the share of the draws below the first, and above the second, number of a Spread.
const spreadTail = 0.05

// Spread draws the images n times. The same seed draws the same images from pools of as many images, so that the rows of a
// table can be compared. It rounds the scores of an exact pool as a binned pool does. A draw without anomalous or without
// in-distribution pixels is drawn again. If most draws are, Spread returns [ErrNoPositive].
func (p *Pool) Spread(ctx context.Context, n int, seed uint64, fpr FPRConvention) (*Spread, error) {
	if p.Images() == 0 {
		return nil, ErrNoPositive
	}
	s := newResampler(p)
	draws, err := s.draw(n, seed)
	if err != nil {
		return nil, err
	}
	ap, rate := make([]float64, n), make([]float64, n)
	workers := min(n, runtime.GOMAXPROCS(0))
	g, ctx := errgroup.WithContext(ctx)
	for w := range workers {
		g.Go(func() error {
			pos, neg := make([]int, s.cells), make([]int, s.cells)
			for i := w; i < n; i += workers {
				if err := ctx.Err(); err != nil {
					return err
				}
				m := s.metrics(draws[i], pos, neg)
				ap[i], rate[i] = m.AP, m.fpr(fpr)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	return &Spread{N: n, AP: tails(ap), FPR95: tails(rate)}, nil
}

// tails returns the quantiles of a Spread, interpolated between two values.
func tails(v []float64) [2]float64 {
	slices.Sort(v)
	at := func(q float64) float64 {
		i, f := math.Modf(q * float64(len(v)-1))
		if int(i) == len(v)-1 {
			return v[int(i)]
		}
		return v[int(i)] + f*(v[int(i)+1]-v[int(i)])
	}
	return [2]float64{at(spreadTail), at(1 - spreadTail)}
}

// resampler holds the histograms of a pool's images over the cells that occur in any of them.
type resampler struct {
	images []imageCells
	keys   []uint32 // of the cells, ascending
	cells  int
}

// imageCells are the histograms of one image. Cells are indices into resampler.keys.
type imageCells struct {
	pos, neg            []cellCount
	positives, ordinary int
}

type cellCount struct {
	cell  int32
	count uint32
}

func newResampler(p *Pool) *resampler {
	const shift = 32 - keptBits
	index := make([]int32, 1<<keptBits)
	mark := func(k keyed) {
		for _, v := range k.keys {
			index[v>>shift] = 1
		}
	}
	for _, b := range p.blocks {
		mark(b.pos)
		mark(b.neg)
	}
	s := &resampler{}
	for i := range index {
		if index[i] > 0 {
			index[i] = int32(s.cells)
			s.keys = append(s.keys, uint32(i)<<shift|1<<(shift-1))
			s.cells++
		}
	}
	histogram := func(k keyed) (list []cellCount, pixels int) {
		for i, v := range k.keys {
			n := uint32(1)
			if k.counts != nil {
				n = k.counts[i]
			}
			pixels += int(n)
			cell := index[v>>shift]
			if last := len(list) - 1; last >= 0 && list[last].cell == cell { // keys ascend
				list[last].count += n
			} else {
				list = append(list, cellCount{cell, n})
			}
		}
		return list, pixels
	}
	for _, b := range p.blocks {
		var im imageCells
		im.pos, im.positives = histogram(b.pos)
		im.neg, im.ordinary = histogram(b.neg)
		s.images = append(s.images, im)
	}
	return s
}

// draw returns, for each draw, how often each image is in it.
func (s *resampler) draw(n int, seed uint64) ([][]int, error) {
	r := rand.New(rand.NewPCG(seed, 0x73707265))
	draws := make([][]int, 0, n)
	for tries := 0; len(draws) < n; tries++ {
		if tries >= 2*n+20 {
			return nil, ErrNoPositive
		}
		times := make([]int, len(s.images))
		positives, ordinary := 0, 0
		for range s.images {
			i := r.IntN(len(s.images))
			times[i]++
			positives, ordinary = positives+s.images[i].positives, ordinary+s.images[i].ordinary
		}
		if positives > 0 && ordinary > 0 {
			draws = append(draws, times)
		}
	}
	return draws, nil
}

// metrics returns the metrics of a draw. pos and neg are scratch memory of one number for each cell.
func (s *resampler) metrics(times, pos, neg []int) Metrics {
	clear(pos)
	clear(neg)
	positives, negatives := 0, 0
	for i, n := range times {
		if n == 0 {
			continue
		}
		im := s.images[i]
		positives, negatives = positives+n*im.positives, negatives+n*im.ordinary
		for _, c := range im.pos {
			pos[c.cell] += n * int(c.count)
		}
		for _, c := range im.neg {
			neg[c.cell] += n * int(c.count)
		}
	}
	acc := newAccumulator(positives, negatives)
	tp, fp := 0, 0
	for c := range pos {
		if pos[c]+neg[c] > 0 {
			tp += pos[c]
			fp += neg[c]
			acc.add(s.keys[c], tp, fp)
		}
	}
	return acc.close()
}
