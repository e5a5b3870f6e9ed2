package eval

import "math"

// TPRTarget is the true positive rate at which the false positive rate is reported.
const TPRTarget = 0.95

// Metrics are the pooled metrics of pixels, as fractions in 0..1.
type Metrics struct {
	AP    float64 // step-wise over distinct scores: Σ (R_n − R_{n−1})·P_n, as sklearn.metrics.average_precision_score
	AUROC float64 // trapezoids over distinct scores
	// FPR95 is the FPR at the point whose TPR is nearest to 0.95, the first such point on ties, of the ROC curve that
	// sklearn.metrics.roc_curve returns, without collinear points: the convention of DOoD and cDNP.
	FPR95 float64
	// FPR95First is the FPR at the first TPR ≥ 0.95: the convention of Fishyscapes and SegmentMeIfYouCan.
	FPR95First float64
	// F1 is the best harmonic mean of precision and recall over all thresholds, and Threshold the highest threshold that
	// reaches it. Pixels at or above the threshold are predicted anomalous.
	F1        float64
	Threshold float32
}

// Metrics computes the pooled metrics. It returns [ErrNoPositive] or [ErrNoNegative] if a class is empty.
func (p *Pool) Metrics() (Metrics, error) {
	m, _, err := p.metrics(nil)
	return m, err
}

// Curves computes the pooled metrics and their curves in one pass over the scores.
func (p *Pool) Curves() (Metrics, Curves, error) { return p.metrics(&Curves{}) }

func (p *Pool) metrics(c *Curves) (Metrics, Curves, error) {
	positives, negatives := p.Count()
	switch {
	case positives == 0:
		return Metrics{}, Curves{}, ErrNoPositive
	case negatives == 0:
		return Metrics{}, Curves{}, ErrNoNegative
	}
	acc := newAccumulator(positives, negatives)
	if c == nil {
		p.sweep(acc.add)
	} else {
		trace := newTracer(c, positives, negatives)
		p.sweep(func(key uint32, tp, fp int) {
			acc.add(key, tp, fp)
			trace.add(key, tp, fp)
		})
		trace.close()
	}
	m := acc.close()
	if p.binned {
		m.Threshold = lowestOf(m.Threshold)
	}
	if c == nil {
		return m, Curves{}, nil
	}
	return m, *c, nil
}

// point is a point of the ROC curve, in pixels.
type point struct{ tp, fp int }

// accumulator computes Metrics from the points of a sweep.
type accumulator struct {
	m                    Metrics
	positives, negatives float64
	prev                 point
	window               []point // last two points of the curve, to detect collinear ones
	best                 float64 // |TPR − 0.95| of the point of FPR95
	reached              bool
}

func newAccumulator(positives, negatives int) *accumulator {
	a := &accumulator{positives: float64(positives), negatives: float64(negatives), best: math.Inf(1)}
	a.window = append(a.window, point{})
	a.near(point{}) // the curve starts at (0, 0)
	return a
}

// close returns the metrics after the last point.
func (a *accumulator) close() Metrics {
	a.near(a.window[len(a.window)-1])
	return a.m
}

func (a *accumulator) add(key uint32, tp, fp int) {
	cur := point{tp, fp}
	if dtp := cur.tp - a.prev.tp; dtp > 0 {
		a.m.AP += float64(dtp) / a.positives * float64(cur.tp) / float64(cur.tp+cur.fp)
	}
	a.m.AUROC += float64(cur.fp-a.prev.fp) / a.negatives * float64(cur.tp+a.prev.tp) / 2 / a.positives
	if !a.reached && float64(cur.tp)/a.positives >= TPRTarget {
		a.reached, a.m.FPR95First = true, float64(cur.fp)/a.negatives
	}
	if f1 := 2 * float64(cur.tp) / (a.positives + float64(cur.tp+cur.fp)); f1 > a.m.F1 {
		a.m.F1, a.m.Threshold = f1, score(key)
	}
	a.prev = cur
	// sklearn keeps the first and the last point, and an inner point where the second difference of either count is not
	// zero. Its list of thresholds starts with the first distinct score; sklearn prepends (0, 0) only later.
	a.window = append(a.window, cur)
	if n := len(a.window); n > 2 {
		l, m, r := a.window[n-3], a.window[n-2], a.window[n-1]
		if l == (point{}) || r.tp-2*m.tp+l.tp != 0 || r.fp-2*m.fp+l.fp != 0 {
			a.near(m)
		}
		a.window = append(a.window[:0], m, r)
	}
}

// near reads FPR95 at p if the TPR of p is nearer to 0.95 than any before.
func (a *accumulator) near(p point) {
	if d := math.Abs(float64(p.tp)/a.positives - TPRTarget); d < a.best {
		a.best, a.m.FPR95 = d, float64(p.fp)/a.negatives
	}
}
