package eval

import (
	"errors"
	"fmt"
	"math"
)

// Errors of Pool.Add and Pool.Metrics.
var (
	ErrNotFinite  = errors.New("eval: a score is not finite")
	ErrNoPositive = errors.New("eval: no anomalous pixel among the valid ones")
	ErrNoNegative = errors.New("eval: no in-distribution pixel among the valid ones")
)

// Ignore is the label of a pixel that does not count.
const Ignore = 255

// Pool collects the scores of labelled pixels, one block an image. An exact one keeps four bytes a valid pixel: a
// hundred maps of 2048×1024 take 0.8 GB; a binned one keeps some hundred kilobytes an image. It is not safe for
// concurrent use, but for Set.
type Pool struct {
	blocks []block
	binned bool
}

// NewPool returns an exact pool with room for so many images, to be filled by Set.
func NewPool(images int) *Pool { return &Pool{blocks: make([]block, images)} }

// block holds the scores of one image, those of anomalous and those of in-distribution pixels.
type block struct {
	pos, neg keyed
}

// keyed is a list of ascending keys, one a pixel, or with counts, one a distinct score.
type keyed struct {
	keys, counts []uint32
}

// pixels is the number of pixels in the list.
func (k keyed) pixels() int {
	if k.counts == nil {
		return len(k.keys)
	}
	n := 0
	for _, c := range k.counts {
		n += int(c)
	}
	return n
}

// Add takes the scores and labels of one image, equally long, row-major. A label equal to ood is anomalous, one equal
// to [Ignore] is left out, any other is in-distribution. A NaN or infinite score is [ErrNotFinite] and adds nothing.
func (p *Pool) Add(scores []float32, labels []uint8, ood uint8) error {
	b, err := p.block(scores, labels, ood)
	if err == nil {
		p.blocks = append(p.blocks, b)
	}
	return err
}

// Set is Add for image number i of [NewPool]; different images may be set at the same time.
func (p *Pool) Set(i int, scores []float32, labels []uint8, ood uint8) (err error) {
	p.blocks[i], err = p.block(scores, labels, ood)
	return err
}

func (p *Pool) block(scores []float32, labels []uint8, ood uint8) (block, error) {
	if len(scores) != len(labels) {
		return block{}, fmt.Errorf("eval: %d scores for %d labels", len(scores), len(labels))
	}
	positives, negatives := 0, 0
	for i, l := range labels {
		if l == Ignore && ood != Ignore {
			continue
		}
		if s := float64(scores[i]); math.IsNaN(s) || math.IsInf(s, 0) {
			return block{}, fmt.Errorf("%w: pixel %d is %v", ErrNotFinite, i, scores[i])
		}
		if l == ood {
			positives++
		} else {
			negatives++
		}
	}
	if p.binned {
		return binnedBlock(scores, labels, ood), nil
	}
	pos, neg := make([]uint32, 0, positives), make([]uint32, 0, negatives)
	for i, l := range labels {
		switch {
		case l == ood:
			pos = append(pos, key(scores[i]))
		case l != Ignore:
			neg = append(neg, key(scores[i]))
		}
	}
	scratch := make([]uint32, max(positives, negatives))
	sortKeys(pos, scratch)
	sortKeys(neg, scratch)
	return block{pos: keyed{keys: pos}, neg: keyed{keys: neg}}, nil
}

// Images returns the number of images added.
func (p *Pool) Images() int { return len(p.blocks) }

// Binned says that scores were rounded: see [NewBinnedPool].
func (p *Pool) Binned() bool { return p.binned }

// Count returns the number of anomalous and of in-distribution pixels.
func (p *Pool) Count() (positives, negatives int) {
	for _, b := range p.blocks {
		positives += b.pos.pixels()
		negatives += b.neg.pixels()
	}
	return positives, negatives
}

// Subset returns a pool of the images with the given indices; it shares their scores.
func (p *Pool) Subset(images []int) *Pool {
	sub := &Pool{blocks: make([]block, len(images)), binned: p.binned}
	for i, j := range images {
		sub.blocks[i] = p.blocks[j]
	}
	return sub
}

// key maps a finite float32 to an unsigned number such that a larger score has a smaller key: ascending keys are
// descending scores. Zero and negative zero are one score, so they share a key.
func key(s float32) uint32 {
	b := math.Float32bits(s + 0) // -0 + 0 = +0
	if b>>31 != 0 {
		return b
	}
	return ^b &^ (1 << 31)
}

// score is the inverse of key.
func score(k uint32) float32 {
	if k>>31 != 0 {
		return math.Float32frombits(k)
	}
	return math.Float32frombits(^k &^ (1 << 31))
}

// sortKeys sorts ascending: least significant digit first, three passes of eleven bits, linear in len(k). scratch has
// room for as many.
func sortKeys(k, scratch []uint32) {
	const digits = 1 << 11
	if len(k) < 2 {
		return
	}
	src, dst := k, scratch[:len(k)]
	for shift := 0; shift < 32; shift += 11 {
		var next [digits + 1]int
		for _, v := range src {
			next[v>>shift&(digits-1)+1]++
		}
		for i := range digits {
			next[i+1] += next[i]
		}
		for _, v := range src {
			d := v >> shift & (digits - 1)
			dst[next[d]] = v
			next[d]++
		}
		src, dst = dst, src
	}
	copy(k, src) // after three passes src is the scratch
}
