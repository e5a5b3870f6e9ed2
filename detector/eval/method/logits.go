package method

import (
	"context"
	"math"

	"github.com/oodcast/oodcast/detector"
)

// logitMethods score by the class logits of the segmenter alone, on the grid of the logits.
func logitMethods() []Method {
	method := func(name, source string, cell func(logits []float64) float64) Method {
		return Method{Name: name, Source: source, logits: true, build: func(*Kit, []int) (Scorer, error) {
			return func(_ context.Context, x *Encoded) (*detector.Map, error) { return logitMap(x.Encoding, cell), nil }, nil
		}}
	}
	return []Method{
		method("lse", "Liu et al., Energy-based Out-of-distribution Detection, NeurIPS 2020: −log Σ exp", negLogSumExp),
		method("msp", "Hendrycks and Gimpel, A Baseline for Detecting Misclassified and Out-of-Distribution Examples, "+
			"ICLR 2017: 1 − highest probability", notHighest),
		method("maxlogit", "Hendrycks et al., Scaling Out-of-Distribution Detection for Real-World Settings, ICML 2022: "+
			"−highest logit", negHighest),
		method("entropy", "entropy of the class probabilities, as in Chan et al., Entropy Maximization and Meta "+
			"Classification, ICCV 2021, without its training", entropy),
	}
}

// logitMap applies cell to the class logits of every cell.
func logitMap(enc *detector.Encoding, cell func(logits []float64) float64) *detector.Map {
	plane := enc.LogitsWidth * enc.LogitsHeight
	m := &detector.Map{Width: enc.LogitsWidth, Height: enc.LogitsHeight, Values: make([]float32, plane)}
	logits := make([]float64, enc.Classes)
	for i := range m.Values {
		for k := range logits {
			logits[k] = float64(enc.Logits[k*plane+i])
		}
		m.Values[i] = float32(cell(logits))
	}
	return m
}

func highest(logits []float64) float64 {
	top := math.Inf(-1)
	for _, v := range logits {
		top = max(top, v)
	}
	return top
}

func negHighest(logits []float64) float64 { return -highest(logits) }

func negLogSumExp(logits []float64) float64 {
	top, sum := highest(logits), 0.0
	for _, v := range logits {
		sum += math.Exp(v - top)
	}
	return -top - math.Log(sum)
}

// notHighest is 1 − max p, computed as the sum of the other probabilities: near certainty the difference would round to 0.
func notHighest(logits []float64) float64 {
	top, sum := highest(logits), 0.0
	for _, v := range logits {
		sum += math.Exp(v - top)
	}
	return (sum - 1) / sum
}

// entropy is −Σ p·log p, in nats.
func entropy(logits []float64) float64 {
	lse, h := -negLogSumExp(logits), 0.0
	for _, v := range logits {
		h -= math.Exp(v-lse) * (v - lse)
	}
	return h
}
