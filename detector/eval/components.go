package eval

import (
	"errors"
	"math"
)

// ComponentSizes are the sizes in pixels below which components do not count.
type ComponentSizes struct {
	Predicted int `json:"predicted"` // a smaller predicted component is dropped before anything is compared
	Truth     int `json:"truth"`     // a smaller true component becomes a region that does not count
}

// Sizes returns the sizes that SegmentMeIfYouCan uses: 500 and 100 for its anomaly track, 50 and 10 for its obstacle
// track. The sets of small obstacles on the road (RoadObstacle21, Fishyscapes Lost & Found) take the latter, as the
// benchmark does for Lost & Found; all others the former.
func (d *Dataset) Sizes() ComponentSizes {
	switch d.Name {
	case "roadobstacle21", "fs_lostfound":
		return ComponentSizes{Predicted: 50, Truth: 10}
	default:
		return ComponentSizes{Predicted: 500, Truth: 100}
	}
}

// Components are the component-level metrics of "SegmentMeIfYouCan: A Benchmark for Anomaly Segmentation" (Chan et al.,
// 2021, section 4): means over all components of all images, as fractions in 0..1.
type Components struct {
	Threshold float32        `json:"threshold"` // pixels at or above it are predicted anomalous: the best pooled F1
	Sizes     ComponentSizes `json:"min_size"`
	Truth     int            `json:"truth"`     // true components that count
	Predicted int            `json:"predicted"` // predicted components
	SIoU      float64        `json:"siou"`      // adjusted intersection over union, mean over the true components
	PPV       float64        `json:"ppv"`       // share that is true, mean over the predicted components
	F1        float64        `json:"f1"`        // mean over the thresholds 0.25, 0.30 … 0.75
}

// f1Thresholds are 0.25 to 0.75 in steps of 0.05.
const f1Thresholds = 11

// ComponentCounter gathers component metrics over images.
type ComponentCounter struct {
	Threshold float32
	Sizes     ComponentSizes

	siou, ppv []float64
	labels    labeller
	truth     []int32
	predicted []int32
}

// Add compares the components of one image: scores and labels of width × height pixels, row-major. A pixel that scores at
// least the threshold is predicted, except where the label is [Ignore]. Components hang together over edges and
// corners. True ones smaller than Sizes.Truth turn into regions that do not count, and what was predicted there is cut
// off, after small predictions were dropped: the order of the benchmark's own code.
func (c *ComponentCounter) Add(scores []float32, labels []uint8, ood uint8, width, height int) error {
	n := width * height
	if len(scores) != n || len(labels) != n {
		return errors.New("eval: components: scores, labels and size do not match")
	}
	for i, l := range labels {
		if s := scores[i]; l != Ignore && (math.IsNaN(float64(s)) || math.IsInf(float64(s), 0)) {
			return ErrNotFinite
		}
	}
	var truthSizes, predictedSizes []int
	c.truth, truthSizes = c.labels.label(c.truth, width, height, func(i int) bool { return labels[i] == ood })
	c.predicted, predictedSizes = c.labels.label(c.predicted, width, height, func(i int) bool {
		return labels[i] != Ignore && scores[i] >= c.Threshold
	})
	o := newOverlaps(len(truthSizes), len(predictedSizes))
	for i, l := range labels {
		t, p := c.truth[i], c.predicted[i]
		if p > 0 && predictedSizes[p] < c.Sizes.Predicted {
			p = 0
		}
		if l == Ignore || t > 0 && truthSizes[t] < c.Sizes.Truth {
			continue
		}
		o.add(t, p)
	}
	siou, ppv := o.measure()
	c.siou, c.ppv = append(c.siou, siou...), append(c.ppv, ppv...)
	return nil
}

// Result returns the metrics of all images added.
func (c *ComponentCounter) Result() Components {
	r := Components{Threshold: c.Threshold, Sizes: c.Sizes, Truth: len(c.siou), Predicted: len(c.ppv)}
	for _, v := range c.siou {
		r.SIoU += v / float64(len(c.siou))
	}
	for _, v := range c.ppv {
		r.PPV += v / float64(len(c.ppv))
	}
	for i := range f1Thresholds {
		at := 0.25 + 0.05*float64(i)
		var tp, fn, fp float64
		for _, v := range c.siou {
			if v >= at {
				tp++
			} else {
				fn++
			}
		}
		for _, v := range c.ppv {
			if v < at {
				fp++
			}
		}
		if tp > 0 {
			r.F1 += 2 * tp / (2*tp + fn + fp) / f1Thresholds
		}
	}
	return r
}

// overlaps counts the pixels that each pair of a true and a predicted component share; index 0 is no component.
type overlaps struct {
	shared           map[[2]int32]int
	truth, predicted []int // pixels of each component
}

func newOverlaps(truth, predicted int) *overlaps {
	return &overlaps{shared: map[[2]int32]int{}, truth: make([]int, truth), predicted: make([]int, predicted)}
}

func (o *overlaps) add(t, p int32) {
	if t == 0 && p == 0 {
		return
	}
	o.truth[t]++
	o.predicted[p]++
	if t > 0 && p > 0 {
		o.shared[[2]int32{t, p}]++
	}
}

// measure returns sIoU for each true and PPV for each predicted component that has pixels left.
//
// For a true component k and the union P of all predicted components that touch it,
// sIoU(k) = |k ∩ P| / |k ∪ P \ (other true components)|: a prediction that covers two objects is not punished twice.
// For a predicted component p and the union K of the true ones, PPV(p) = |p ∩ K| / |p|.
func (o *overlaps) measure() (siou, ppv []float64) {
	hitTruth, hitPredicted := make([]int, len(o.truth)), make([]int, len(o.predicted))
	for pair, n := range o.shared {
		hitTruth[pair[0]] += n
		hitPredicted[pair[1]] += n
	}
	union := make([]int, len(o.truth)) // of k and P, without P's pixels on other true components
	for pair, n := range o.shared {
		union[pair[0]] += o.predicted[pair[1]] - hitPredicted[pair[1]] + n
	}
	for k := 1; k < len(o.truth); k++ {
		if o.truth[k] > 0 {
			siou = append(siou, float64(hitTruth[k])/float64(o.truth[k]+union[k]-hitTruth[k]))
		}
	}
	for p := 1; p < len(o.predicted); p++ {
		if o.predicted[p] > 0 {
			ppv = append(ppv, float64(hitPredicted[p])/float64(o.predicted[p]))
		}
	}
	return siou, ppv
}
