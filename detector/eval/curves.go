package eval

import "sort"

// Point is a point of a curve, both coordinates in 0..1.
type Point struct{ X, Y float64 }

// Curves are the curves of a pool, thinned to the resolution of a figure.
type Curves struct {
	ROC []Point // X false positive rate, Y true positive rate, from (0, 0) to (1, 1)
	PR  []Point // X recall, rising to 1, Y precision; a step function, each point closes its step
	// Low and High bound the middle 99.8 % of the scores.
	Low, High float32
}

// curveStep is the smallest distance, on either axis, between two points: half a pixel of a figure of 250 pixels.
const curveStep = 1.0 / 500

// tailShare is the fraction of the scores beyond Low, and beyond High.
const tailShare = 0.001

// tracer builds Curves from a sweep.
type tracer struct {
	c                    *Curves
	positives, negatives float64
	roc, pr              Point // last points
	high, low            bool  // whether Curves.High and Curves.Low are found
}

func newTracer(c *Curves, positives, negatives int) *tracer {
	c.ROC = append(c.ROC, Point{})
	return &tracer{c: c, positives: float64(positives), negatives: float64(negatives)}
}

func (t *tracer) add(key uint32, tp, fp int) {
	s := score(key)
	t.roc = Point{X: float64(fp) / t.negatives, Y: float64(tp) / t.positives}
	t.pr = Point{X: t.roc.Y, Y: float64(tp) / float64(tp+fp)}
	t.c.ROC = thin(t.c.ROC, t.roc)
	if tp > 0 {
		t.c.PR = thin(t.c.PR, t.pr)
	}
	share := float64(tp+fp) / (t.positives + t.negatives)
	if !t.high {
		t.c.High, t.high = s, share >= tailShare
	}
	if !t.low {
		t.c.Low, t.low = s, share >= 1-tailShare
	}
}

// close adds the end points, which thinning may have left out.
func (t *tracer) close() {
	if n := len(t.c.ROC); t.c.ROC[n-1] != t.roc {
		t.c.ROC = append(t.c.ROC, t.roc)
	}
	if n := len(t.c.PR); t.c.PR[n-1] != t.pr {
		t.c.PR = append(t.c.PR, t.pr)
	}
}

// thin appends p if it lies far enough from the last point.
func thin(points []Point, p Point) []Point {
	if n := len(points); n > 0 {
		dx, dy := p.X-points[n-1].X, p.Y-points[n-1].Y
		if max(dx, -dx) < curveStep && max(dy, -dy) < curveStep {
			return points
		}
	}
	return append(points, p)
}

// Histogram is the distribution of the scores of a pool over bins of equal width.
type Histogram struct {
	Low, High           float32 // edges of the first and the last bin, which include the scores beyond
	Anomalous, Ordinary []float64
}

// Histogram returns the fraction of the anomalous and of the in-distribution pixels in each of n bins between low and high.
// Each list sums to 1. Because the blocks are sorted, this takes a search for n edges instead of a pass over the pixels.
func (p *Pool) Histogram(low, high float32, n int) Histogram {
	h := Histogram{Low: low, High: high, Anomalous: make([]float64, n), Ordinary: make([]float64, n)}
	positives, negatives := p.Count()
	for _, b := range p.blocks {
		b.pos.fill(h.Anomalous, low, high, float64(max(1, positives)))
		b.neg.fill(h.Ordinary, low, high, float64(max(1, negatives)))
	}
	return h
}

// fill adds the pixels of the list, divided by total, to the bins.
func (k keyed) fill(bins []float64, low, high float32, total float64) {
	rest := k
	for i := len(bins) - 1; i > 0; i-- { // ascending keys are descending scores
		edge := key(low + (high-low)*float32(i)/float32(len(bins)))
		n := sort.Search(len(rest.keys), func(j int) bool { return rest.keys[j] > edge })
		head := keyed{keys: rest.keys[:n]}
		rest.keys = rest.keys[n:]
		if k.counts != nil {
			head.counts, rest.counts = rest.counts[:n], rest.counts[n:]
		}
		bins[i] += float64(head.pixels()) / total
	}
	bins[0] += float64(rest.pixels()) / total
}
