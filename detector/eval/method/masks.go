package method

import (
	"context"
	"math"
	"slices"

	"github.com/oodcast/oodcast/detector"
)

// maskMethods score by the class and mask logits of a mask-classification network (MaskFormer and its relatives). p are the
// class probabilities of a query, the last of which stands for "no object", and m are the probabilities of its mask.
func maskMethods() []Method {
	method := func(name, source string, score func(k *Kit, p, m *masks) []float32) Method {
		return Method{Name: name, Source: source, needs: ErrNeedsMasks, build: func(k *Kit, _ []int) (Scorer, error) {
			return func(_ context.Context, x *Encoded) (*detector.Map, error) {
				p, m := queries(x.Encoding)
				return &detector.Map{Width: x.MaskWidth, Height: x.MaskHeight, Values: score(k, p, m)}, nil
			}, nil
		}}
	}
	return []Method{
		method("rba", "Nayal et al., RbA: Segmenting Unknown Regions Rejected by All, ICCV 2023: −Σ tanh of the class scores "+
			"Σ p·m", func(_ *Kit, p, m *masks) []float32 { return rejectedByAll(p, m) }),
		method("maskomaly", "Ackermann et al., Maskomaly, BMVC 2023: pixels that no confident known mask claims, without the borders "+
			"between known masks and without its list of queries, which belongs to one checkpoint",
			func(_ *Kit, p, m *masks) []float32 { return maskomaly(p, m) }),
		method("m2a", "Rai et al., Unmasking Anomalies in Road-Scene Segmentation, ICCV 2023: 1 − highest class score Σ p·m, "+
			"0 in confident background", func(k *Kit, p, m *masks) []float32 { return unmasked(p, m, k.Classes) }),
		method("eam", "Grcić et al., On Advantages of Mask-level Recognition for Outlier-aware Segmentation, CVPRW 2023: 1 − Σ of m "+
			"and the highest p of a known class over the queries; its better networks learn from pasted outliers too, the one here is the "+
			"bundle's", func(_ *Kit, p, m *masks) []float32 { return ensemble(p, m) }),
	}
}

// masks are rows of values, one per query.
type masks struct {
	queries, size int
	v             []float32
}

func (m *masks) row(q int) []float32 { return m.v[q*m.size:][:m.size] }

// queries returns the class probabilities and the mask probabilities of all queries.
func queries(enc *detector.Encoding) (p, m *masks) {
	p = &masks{enc.Queries, len(enc.ClassLogits) / max(1, enc.Queries), slices.Clone(enc.ClassLogits)}
	for q := range p.queries {
		softmax(p.row(q))
	}
	m = &masks{enc.Queries, enc.MaskWidth * enc.MaskHeight, make([]float32, len(enc.MaskLogits))}
	perCore(m.queries, func(q int) {
		row := m.row(q)
		for i, v := range enc.MaskLogits[q*m.size:][:m.size] {
			row[i] = float32(1 / (1 + math.Exp(-float64(v))))
		}
	})
	return p, m
}

func softmax(row []float32) {
	top, sum := slices.Max(row), 0.0
	for i, v := range row {
		e := math.Exp(float64(v - top))
		row[i] = float32(e)
		sum += e
	}
	for i := range row {
		row[i] = float32(float64(row[i]) / sum)
	}
}

// eachClassScore calls f once per known class with the class scores Σ_q p·m.
func eachClassScore(p, m *masks, f func(scores []float32)) {
	scores := make([]float32, m.size)
	for k := range p.size - 1 {
		clear(scores)
		for q := range m.queries {
			weight := p.row(q)[k]
			for i, v := range m.row(q) {
				scores[i] += weight * v
			}
		}
		f(scores)
	}
}

func rejectedByAll(p, m *masks) []float32 {
	out := make([]float32, m.size)
	eachClassScore(p, m, func(scores []float32) {
		for i, v := range scores {
			out[i] -= float32(math.Tanh(float64(v)))
		}
	})
	return out
}

// The constants of the Maskomaly code: the class probability above which the mask of a query claims pixels, and the mask
// probability above which a pixel of two masks lies on their border.
const (
	maskomalySure   = 0.7
	maskomalyBorder = 0.1
)

func maskomaly(p, m *masks) []float32 {
	out := slices.Repeat([]float32{1}, m.size)
	claims := make([]uint8, m.size) // number of known masks that a pixel belongs to, at most 2
	for q := range p.queries {
		probs := p.row(q)
		class, sure := argmax(probs)
		if class == len(probs)-1 {
			continue
		}
		for i, v := range m.row(q) {
			if sure > maskomalySure {
				out[i] = min(out[i], 1-v*sure)
			}
			if v > maskomalyBorder && claims[i] < 2 {
				claims[i]++
			}
		}
	}
	for i, n := range claims {
		if n > 1 {
			out[i] = 0
		}
	}
	return out
}

func argmax(row []float32) (at int, top float32) {
	for i, v := range row {
		if i == 0 || v > top {
			at, top = i, v
		}
	}
	return at, top
}

// The constants of the Mask2Anomaly code: the class probability above which a query counts as background, and the
// probability from which its mask rules anomalies out.
const (
	backgroundSure = 0.95
	backgroundMask = 0.5
)

// background lists the Cityscapes classes that the Mask2Anomaly code treats as background.
func background() []string {
	return []string{
		"building", "wall", "fence", "pole", "traffic light", "traffic sign", "vegetation", "terrain", "sky",
	}
}

func unmasked(p, m *masks, classes []string) []float32 {
	out := slices.Repeat([]float32{1}, m.size)
	top := make([]float32, m.size)
	eachClassScore(p, m, func(scores []float32) {
		for i, v := range scores {
			top[i] = max(top[i], v)
			out[i] = 1 - top[i]
		}
	})
	var sure []int
	for q := range p.queries {
		class, prob := argmax(p.row(q))
		if prob > backgroundSure && class < len(classes) && slices.Contains(background(), classes[class]) {
			sure = append(sure, q)
		}
	}
	if len(sure) < 2 { // as in the Mask2Anomaly code, a single background mask rules nothing out
		return out
	}
	for _, q := range sure {
		_, prob := argmax(p.row(q))
		for i, v := range m.row(q) {
			if prob*v >= backgroundMask {
				out[i] = 0
			}
		}
	}
	return out
}

// ensemble adds up how sure the queries are of some class, weighted by their masks.
func ensemble(p, m *masks) []float32 {
	out := slices.Repeat([]float32{1}, m.size)
	for q := range p.queries {
		known := p.row(q)
		_, top := argmax(known[:len(known)-1])
		for i, v := range m.row(q) {
			out[i] -= v * top
		}
	}
	return out
}
