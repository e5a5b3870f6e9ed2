package method

import (
	"context"
	"math"

	"github.com/oodcast/oodcast/detector"
)

// student predicts the centred feature of a token from its mean class logits: W·(logits − mean).
type student struct {
	ref     *Reference
	product Multiplier
	classes int
	mean    []float32 // of the logits
	weights []float32 // W, channels × classes
	inverse []float32 // 1/mean squared error of each channel on normal footage
	out     []float32
}

// newStudent returns the mean over channels of the student's squared error, each divided by its mean on normal footage.
func newStudent(k *Kit, _ []int) (Scorer, error) {
	s, err := fitStudent(k.Reference, k.Product)
	if err != nil {
		return nil, err
	}
	var rows, logits []float32
	return func(_ context.Context, x *Encoded) (*detector.Map, error) {
		n := x.Width * x.Height
		rows, logits = s.ref.centred(rows, x.Features), grow(logits, n*s.classes)
		for i := range n {
			tokenLogits(logits[i*s.classes:][:s.classes], x.Encoding, i)
		}
		s.centre(logits)
		d := make([]float32, n)
		err := s.errors(rows, logits, func(i int, e []float32) {
			sum := 0.0
			for j, v := range e {
				sum += float64(v) * float64(v) * float64(s.inverse[j])
			}
			d[i] = float32(sum / float64(len(e)))
		})
		return tokenMap(x, d), err
	}, nil
}

// fitStudent solves the ridge regression of the tokens on their logits.
func fitStudent(ref *Reference, product Multiplier) (*student, error) {
	s := &student{ref: ref, product: product, classes: len(ref.Logits) / ref.Count()}
	c, n := ref.Channels, s.classes
	mean := make([]float64, n)
	for i, v := range ref.Logits {
		mean[i%n] += float64(v) / float64(ref.Count())
	}
	for _, v := range mean {
		s.mean = append(s.mean, float32(v))
	}
	logits := append([]float32(nil), ref.Logits...)
	s.centre(logits)
	weights, err := ridgeWeights(product, ref.Tokens, c, logits, n)
	if err != nil {
		return nil, err
	}
	s.weights = weights
	variances := make([]float64, c)
	err = s.errors(ref.Tokens, logits, func(_ int, e []float32) {
		for j, v := range e {
			variances[j] += float64(v) * float64(v) / float64(ref.Count())
		}
	})
	floor := 0.0
	for _, v := range variances {
		floor += ridge * v / float64(c)
	}
	for _, v := range variances {
		s.inverse = append(s.inverse, float32(1/math.Max(v+floor, math.SmallestNonzeroFloat32)))
	}
	return s, err
}

// ridgeWeights returns the c × n matrix W that minimises |y − W·x|² + ridge·mean variance of x·|W|² over rows of y and x.
func ridgeWeights(product Multiplier, y []float32, c int, x []float32, n int) ([]float32, error) {
	gram, err := secondMoments(product, x, n, x, n)
	if err != nil {
		return nil, err
	}
	cross, err := secondMoments(product, y, c, x, n)
	if err != nil {
		return nil, err
	}
	trace := 0.0
	for i := range n {
		trace += gram[i*n+i]
	}
	weights := make([]float32, c*n)
	if trace == 0 { // logits that never vary predict the mean
		return weights, nil
	}
	for i := range n {
		gram[i*n+i] += ridge * trace / float64(n)
	}
	if err := cholesky(gram, n); err != nil {
		return nil, err
	}
	inverse := lowerInverse(gram, n) // L⁻¹, and (L·Lᵀ)⁻¹ = L⁻ᵀ·L⁻¹
	perCore(c, func(i int) {
		half := make([]float64, n) // L⁻¹·cross
		for j := range n {
			for k := range j + 1 {
				half[j] += inverse[j*n+k] * cross[i*n+k]
			}
		}
		for j := range n {
			sum := 0.0
			for k := j; k < n; k++ {
				sum += inverse[k*n+j] * half[k]
			}
			weights[i*n+j] = float32(sum)
		}
	})
	return weights, nil
}

func (s *student) centre(logits []float32) {
	for i := range logits {
		logits[i] -= s.mean[i%s.classes]
	}
}

// errors calls f with the error of each token. tokens and logits are rows that are already centred; e is valid during f.
func (s *student) errors(tokens, logits []float32, f func(i int, e []float32)) error {
	c, n := s.ref.Channels, len(logits)/s.classes
	for from := 0; from < n; from += projectionBlock {
		size := min(projectionBlock, n-from)
		s.out = grow(s.out, size*c)
		if err := s.product.MultiplyTo(s.out, logits[from*s.classes:][:size*s.classes], s.weights, size, c, s.classes); err != nil {
			return err
		}
		for i := range size {
			e := s.out[i*c:][:c]
			for j, v := range tokens[(from+i)*c:][:c] {
				e[j] = v - e[j]
			}
			f(from+i, e)
		}
	}
	return nil
}
