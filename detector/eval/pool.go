package eval

import (
	"errors"
	"fmt"
	"math"

	"github.com/oodcast/oodcast/detector/eval/dataset"
)

// Errors of Pool.Add and Pool.Metrics.
var (
	ErrNotFinite  = errors.New("eval: a score is not finite")
	ErrNoPositive = errors.New("eval: no anomalous pixel among the valid ones")
	ErrNoNegative = errors.New("eval: no in-distribution pixel among the valid ones")
)

// Pool collects the scores of labelled pixels, one block per image. An exact pool keeps four bytes per valid pixel: a
// hundred maps of 2048×1024 take 0.8 GB. A binned pool keeps about a hundred kilobytes per image. Only Set is safe for
// concurrent use.
type Pool struct {
	blocks []block
	binned bool
}

// NewPool returns an exact pool with room for the given number of images, which Set fills.
func NewPool(images int) *Pool { return &Pool{blocks: make([]block, images)} }

// block holds the scores of the anomalous (pos) and of the in-distribution (neg) pixels of one image.
type block struct {
	pos, neg keyed
}

// keyed is a list of ascending keys: one per pixel, or with counts, one per distinct score.
type keyed struct {
	keys, counts []uint32
}

// pixels returns the number of pixels in the list.
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

// Add adds the scores and labels of one image, of equal length and row-major. A pixel with label ood is anomalous, one with
// label [dataset.Ignore] does not count, and any other is in-distribution. If the score of a pixel that counts is NaN or
// infinite, Add returns [ErrNotFinite] and adds nothing.
func (p *Pool) Add(scores []float32, labels []uint8, ood uint8) error {
	b, err := p.block(scores, labels, ood)
	if err == nil {
		p.blocks = append(p.blocks, b)
	}
	return err
}

// Set is Add for image i of a pool with room for it. Set may be called concurrently for different images.
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
		if l == dataset.Ignore && ood != dataset.Ignore {
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
		case l != dataset.Ignore:
			neg = append(neg, key(scores[i]))
		}
	}
	scratch := make([]uint32, max(positives, negatives))
	sortKeys(pos, scratch)
	sortKeys(neg, scratch)
	return block{pos: keyed{keys: pos}, neg: keyed{keys: neg}}, nil
}

// Images returns the number of images.
func (p *Pool) Images() int { return len(p.blocks) }

// Binned reports whether the pool rounds scores: see [NewBinnedPool].
func (p *Pool) Binned() bool { return p.binned }

// Count returns the number of anomalous and of in-distribution pixels.
func (p *Pool) Count() (positives, negatives int) {
	for _, b := range p.blocks {
		positives += b.pos.pixels()
		negatives += b.neg.pixels()
	}
	return positives, negatives
}

// Subset returns a pool of the images with the given indices, which shares their scores.
func (p *Pool) Subset(images []int) *Pool {
	sub := &Pool{blocks: make([]block, len(images)), binned: p.binned}
	for i, j := range images {
		sub.blocks[i] = p.blocks[j]
	}
	return sub
}

// key maps a finite score to a number that falls as the score rises: ascending keys are descending scores. Zero and
// negative zero are one score and share a key.
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

// sortKeys sorts k in ascending order by radix, least significant digit first, in three passes of eleven bits: linear in
// len(k). scratch must be at least as long as k.
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
