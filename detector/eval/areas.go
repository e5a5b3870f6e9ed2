package eval

import (
	"errors"

	"github.com/oodcast/oodcast/detector/eval/dataset"
)

// AreaClass holds the metrics of the true components of one class of area, as fractions in 0..1.
type AreaClass struct {
	Class string `json:"class"` // small, medium or large
	// From and To bound the equivalent side of a component, √area in pixels of the image: From ≤ side < To. A To of 0 is no
	// bound.
	From    int `json:"from_px"`
	To      int `json:"to_px"`
	Objects int `json:"objects"` // true components of the class
	// AP and FPR95 are those of the pixels of these components against all in-distribution pixels. The pixels of other
	// components do not count.
	AP    float64 `json:"ap"`
	FPR95 float64 `json:"fpr95"`
	// Recall is the share of the components with an sIoU of at least AreaFound, and SIoU the mean.
	Recall float64 `json:"recall"`
	SIoU   float64 `json:"siou"`
}

// AreaFound is the sIoU from which a component counts as found: the lowest threshold of [Components].F1.
const AreaFound = 0.25

// areaSizes are the smallest sizes that count in every data set: the sizes of the obstacle track. Those of the anomaly
// track would drop every prediction that is smaller than 22 pixels squared, and with it what is small.
func areaSizes() ComponentSizes { return ComponentSizes{Predicted: 50, Truth: 10} }

// AreaClasses returns the classes without figures: an equivalent side below 32 pixels, 32 to 96, and more, as in COCO.
func AreaClasses() []AreaClass {
	return []AreaClass{
		{Class: "small", To: 32}, {Class: "medium", From: 32, To: 96}, {Class: "large", From: 96},
	}
}

// Area returns the figures of the named class, nil if it has no component.
func (c *Components) Area(class string) *AreaClass {
	for i := range c.ByArea {
		if c.ByArea[i].Class == class {
			return &c.ByArea[i]
		}
	}
	return nil
}

// numAreas is the number of AreaClasses.
const numAreas = 3

// areaOf returns the class of a component of the given number of pixels.
func areaOf(pixels int) int {
	for i, c := range AreaClasses() {
		if c.To == 0 || pixels < c.To*c.To {
			return i
		}
	}
	return numAreas - 1
}

// areaRates hold, for one image and each class, the sIoU of the components and the scores of their pixels.
type areaRates struct {
	siou [numAreas][]float64
	pos  [numAreas]keyed
}

// components are the numbered components of one image.
type components struct {
	truth, predicted           []int32 // component of each pixel
	truthSizes, predictedSizes []int
}

// overlaps compares the components of at least the given sizes.
func (c *components) overlaps(labels []uint8, sizes ComponentSizes) *overlaps {
	o := newOverlaps(len(c.truthSizes), len(c.predictedSizes))
	for i, l := range labels {
		t, p := c.truth[i], c.predicted[i]
		if p > 0 && c.predictedSizes[p] < sizes.Predicted {
			p = 0
		}
		if l == dataset.Ignore || t > 0 && c.truthSizes[t] < sizes.Truth {
			continue
		}
		o.add(t, p)
	}
	return o
}

// areas returns the rates of one image by class.
func (c *components) areas(scores []float32, labels []uint8, ood uint8, binned bool) (r areaRates) {
	sizes := areaSizes()
	for k, siou := range c.overlaps(labels, sizes).siou() {
		if siou >= 0 {
			class := areaOf(c.truthSizes[k])
			r.siou[class] = append(r.siou[class], siou)
		}
	}
	class := make([]uint8, len(labels)) // 1 + class of an anomalous pixel that counts
	for i, t := range c.truth {
		if n := c.truthSizes[t]; t > 0 && n >= sizes.Truth && labels[i] == ood {
			class[i] = uint8(1 + areaOf(n))
		}
	}
	for a := range r.pos {
		if len(r.siou[a]) > 0 {
			r.pos[a] = positives(scores, class, uint8(1+a), binned)
		}
	}
	return r
}

// positives lists the scores of the pixels of one class.
func positives(scores []float32, class []uint8, want uint8, binned bool) keyed {
	if binned {
		counts := &cells{}
		for i, c := range class {
			if c == want {
				counts[key(scores[i])>>(32-keptBits)]++
			}
		}
		return counts.list()
	}
	var keys []uint32
	for i, c := range class {
		if c == want {
			keys = append(keys, key(scores[i]))
		}
	}
	sortKeys(keys, make([]uint32, len(keys)))
	return keyed{keys: keys}
}

// byArea returns the classes that have components. The pool holds the in-distribution pixels of the same images.
func (c *ComponentCounter) byArea(p *Pool, fpr FPRConvention) ([]AreaClass, error) {
	var list []AreaClass
	for a, class := range AreaClasses() {
		var siou []float64
		one := &Pool{blocks: make([]block, len(p.blocks)), binned: p.binned}
		for i, im := range c.areas {
			siou = append(siou, im.siou[a]...)
			one.blocks[i] = block{pos: im.pos[a], neg: p.blocks[i].neg}
		}
		if class.Objects = len(siou); class.Objects == 0 {
			continue
		}
		m, err := one.Metrics()
		if errors.Is(err, ErrNoNegative) {
			continue
		}
		if err != nil {
			return nil, err
		}
		found, _ := split(siou, AreaFound)
		class.AP, class.FPR95, class.Recall = m.AP, m.fpr(fpr), found/float64(class.Objects)
		class.SIoU, _ = meanStd(siou)
		list = append(list, class)
	}
	return list, nil
}
