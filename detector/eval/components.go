package eval

import (
	"fmt"
	"math"

	"github.com/oodcast/oodcast/detector/eval/dataset"
)

// ComponentSizes are the smallest sizes, in pixels, of components that count.
type ComponentSizes struct {
	Predicted int `json:"predicted"` // a smaller predicted component is dropped before anything is compared
	Truth     int `json:"truth"`     // the pixels of a smaller true component do not count
}

// ComponentSizesOf returns the sizes of SegmentMeIfYouCan for the named data set: 50 and 10, as on the obstacle track, for
// the sets of small obstacles on the road (RoadObstacle21 and, as in the benchmark, Fishyscapes Lost & Found), and 500 and
// 100, as on the anomaly track, for all others.
func ComponentSizesOf(name string) ComponentSizes {
	switch name {
	case "roadobstacle21", "fs_lostfound":
		return ComponentSizes{Predicted: 50, Truth: 10}
	default:
		return ComponentSizes{Predicted: 500, Truth: 100}
	}
}

// Components are the component-level metrics of "SegmentMeIfYouCan: A Benchmark for Anomaly Segmentation" (Chan et al.,
// 2021, section 4): means over the components of all images, as fractions in 0..1.
type Components struct {
	Threshold float32        `json:"threshold"` // of the best pooled F1: a pixel at or above it is predicted anomalous
	Sizes     ComponentSizes `json:"min_size"`
	Truth     int            `json:"truth"`             // true components that count
	Predicted int            `json:"predicted"`         // predicted components
	SIoU      float64        `json:"siou"`              // mean adjusted intersection over union of the true components
	PPV       float64        `json:"ppv"`               // mean true fraction of the predicted components
	F1        float64        `json:"f1"`                // mean over the thresholds 0.25, 0.30 … 0.75 of sIoU and PPV
	ByArea    []AreaClass    `json:"by_area,omitempty"` // classes that have true components
}

// f1Thresholds is the number of thresholds from 0.25 to 0.75 in steps of 0.05.
const f1Thresholds = 11

// ComponentCounter gathers component metrics over images.
type ComponentCounter struct {
	threshold float32
	sizes     ComponentSizes
	images    []componentRates
	areas     []areaRates
	binned    bool // round the scores of areas
}

// componentRates are the sIoU of the true and the PPV of the predicted components of one image.
type componentRates struct{ siou, ppv []float64 }

// NewComponentCounter returns a counter with room for the given number of images. It cuts maps at threshold.
func NewComponentCounter(images int, threshold float32, sizes ComponentSizes) *ComponentCounter {
	return &ComponentCounter{
		threshold: threshold, sizes: sizes, images: make([]componentRates, images), areas: make([]areaRates, images),
	}
}

// Set compares the components of image i, given scores and labels of width × height pixels, row-major. A pixel whose score
// reaches the threshold is predicted, unless its label is [dataset.Ignore]. Components are 8-connected. As in the
// benchmark's own code, small predicted components are dropped first; then the pixels of small true components stop
// counting, including those of predictions that lie there. Set may be called concurrently for different images.
func (c *ComponentCounter) Set(i int, scores []float32, labels []uint8, ood uint8, width, height int) error {
	if n := width * height; len(scores) != n || len(labels) != n {
		return fmt.Errorf("eval: %d scores and %d labels for %d×%d pixels", len(scores), len(labels), width, height)
	}
	for i, l := range labels {
		if s := float64(scores[i]); l != dataset.Ignore && (math.IsNaN(s) || math.IsInf(s, 0)) {
			return fmt.Errorf("%w: pixel %d is %v", ErrNotFinite, i, scores[i])
		}
	}
	var all components
	all.truth, all.truthSizes = ConnectedComponents(width, height, func(i int) bool { return labels[i] == ood })
	all.predicted, all.predictedSizes = ConnectedComponents(width, height, func(i int) bool {
		return labels[i] != dataset.Ignore && scores[i] >= c.threshold
	})
	c.images[i] = all.overlaps(labels, c.sizes).rates()
	c.areas[i] = all.areas(scores, labels, ood, c.binned)
	return nil
}

// Result returns the metrics over all images that were set.
func (c *ComponentCounter) Result() Components {
	var all componentRates
	for _, im := range c.images {
		all.siou, all.ppv = append(all.siou, im.siou...), append(all.ppv, im.ppv...)
	}
	r := Components{Threshold: c.threshold, Sizes: c.sizes, Truth: len(all.siou), Predicted: len(all.ppv)}
	r.SIoU, _ = meanStd(all.siou)
	r.PPV, _ = meanStd(all.ppv)
	for i := range f1Thresholds {
		at := 0.25 + 0.05*float64(i)
		found, fn := split(all.siou, at)
		_, fp := split(all.ppv, at)
		if found > 0 {
			r.F1 += 2 * found / (2*found + fn + fp) / f1Thresholds
		}
	}
	return r
}

// split counts the rates that reach at and the rates below it.
func split(rates []float64, at float64) (reach, below float64) {
	for _, v := range rates {
		if v >= at {
			reach++
		}
	}
	return reach, float64(len(rates)) - reach
}

// overlaps counts the pixels that each true component shares with each predicted one; index 0 stands for no component.
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

// siou returns the sIoU of each true component, −1 for a component that has no pixels left.
//
// For a true component k and the union P of all predicted components that touch it,
// sIoU(k) = |k ∩ P| / |k ∪ P \ (other true components)|: a prediction that covers two objects is not penalised twice.
func (o *overlaps) siou() []float64 {
	hitTruth, hitPredicted := o.hits()
	union := make([]int, len(o.truth)) // of k and P, without the pixels of P on other true components
	for pair, n := range o.shared {
		union[pair[0]] += o.predicted[pair[1]] - hitPredicted[pair[1]] + n
	}
	rates := make([]float64, len(o.truth))
	for k := range rates {
		rates[k] = -1
		if k > 0 && o.truth[k] > 0 {
			rates[k] = float64(hitTruth[k]) / float64(o.truth[k]+union[k]-hitTruth[k])
		}
	}
	return rates
}

// hits returns the pixels that each component shares with components of the other kind.
func (o *overlaps) hits() (truth, predicted []int) {
	truth, predicted = make([]int, len(o.truth)), make([]int, len(o.predicted))
	for pair, n := range o.shared {
		truth[pair[0]] += n
		predicted[pair[1]] += n
	}
	return truth, predicted
}

// rates returns the sIoU of each true and the PPV of each predicted component that has pixels left. For a predicted
// component p and the union K of all true components, PPV(p) = |p ∩ K| / |p|.
func (o *overlaps) rates() (r componentRates) {
	for _, v := range o.siou() {
		if v >= 0 {
			r.siou = append(r.siou, v)
		}
	}
	_, hits := o.hits()
	for p := 1; p < len(o.predicted); p++ {
		if o.predicted[p] > 0 {
			r.ppv = append(r.ppv, float64(hits[p])/float64(o.predicted[p]))
		}
	}
	return r
}
