package method

import (
	"context"
	"fmt"
	"math"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/detector/principal"
)

// How many principal components are strong. None of these numbers was chosen on anomalies.
const (
	// residual leaves out components of more than this multiple of the mean variance. A multiple of 1 is Kaiser's rule (1960);
	// with 2, whitened features, all of whose components have about the same variance, keep them all.
	strongVariance = 2
	// The principal subspace of vim has this share of the channels, about the publication's 1000 of 2048 and 512 of 768.
	viMShare = 0.5
	// The principal subspace of neco has this share of the variance.
	necoShare = 0.9
)

// components are the principal components of normal footage, the strongest first.
type components struct {
	variances []float64 // descending
	mean      float64   // of the variances
	vectors   []float64 // rows
}

// components returns the principal components of the features.
func (k *Kit) components() (*components, error) {
	if k.spectrum != nil {
		return k.spectrum, nil
	}
	cov, err := k.Reference.covariance(k.Product)
	if err != nil {
		return nil, err
	}
	k.spectrum, err = newComponents(cov, k.Reference.Channels)
	return k.spectrum, err
}

// newComponents returns the principal components of the c × c matrix cov, which it overwrites.
func newComponents(cov []float64, c int) (*components, error) {
	trace := 0.0
	for i := range c {
		trace += cov[i*c+i]
	}
	if !(trace > 0) || math.IsInf(trace, 0) {
		return nil, fmt.Errorf("%w: the features do not vary or are not finite (variance %v)", ErrReference, trace)
	}
	p := &components{mean: trace / float64(c)}
	p.variances, p.vectors = principal.Components(cov, c)
	return p, nil
}

// above returns the number of components with more than that variance, but never all: the weakest is not strong.
func (p *components) above(variance float64) int {
	n := 0
	for n < len(p.variances)-1 && p.variances[n] > variance {
		n++
	}
	return n
}

// holding returns the smallest number of components with that share of the variance.
func (p *components) holding(share float64) int {
	sum := 0.0
	for n, v := range p.variances {
		if sum += v; sum >= share*p.mean*float64(len(p.variances)) {
			return n + 1
		}
	}
	return len(p.variances)
}

// projection returns components from … to-1 as rows, each multiplied by scale of its variance.
func (p *components) projection(from, to int, scale func(variance float64) float64) *projection {
	c := len(p.variances)
	m := &projection{c: c, rows: make([]float32, 0, (to-from)*c)}
	for k := from; k < to; k++ {
		s := scale(p.variances[k])
		for _, v := range p.vectors[k*c:][:c] {
			m.rows = append(m.rows, float32(s*v))
		}
	}
	return m
}

func unit(float64) float64 { return 1 }

// projection multiplies features by rows.
type projection struct {
	c    int
	rows []float32
	out  []float32 // of the last block
}

// projectionBlock is the number of features that are projected together.
const projectionBlock = 4096

// squaresTo stores the squared length of each projected feature in dst. features are rows that are already centred.
func (p *projection) squaresTo(dst, features []float32, product Multiplier) error {
	k := len(p.rows) / p.c
	for from := 0; from < len(dst); from += projectionBlock {
		n := min(projectionBlock, len(dst)-from)
		p.out = grow(p.out, n*k)
		if err := product.MultiplyTo(p.out, features[from*p.c:][:n*p.c], p.rows, n, k, p.c); err != nil {
			return err
		}
		for i := range n {
			dst[from+i] = float32(squared(p.out[i*k:][:k]))
		}
	}
	return nil
}

// squared returns the squared length of x.
func squared(x []float32) float64 {
	sum := 0.0
	for _, v := range x {
		sum += float64(v) * float64(v)
	}
	return sum
}

func newResidual(k *Kit, _ []int) (Scorer, error) {
	p, err := k.components()
	if err != nil {
		return nil, err
	}
	weak := p.projection(p.above(strongVariance*p.mean), len(p.variances), func(variance float64) float64 {
		return 1 / math.Sqrt(max(variance, 0)+ridge*p.mean)
	})
	var rows []float32
	return func(_ context.Context, x *Encoded) (*detector.Map, error) {
		rows = k.Reference.centred(rows, x.Features)
		d := make([]float32, x.Width*x.Height)
		err := weak.squaresTo(d, rows, k.Product)
		return tokenMap(x, d), err
	}, nil
}

// newViM returns the log odds of the virtual logit, α·|residual| − log Σ exp, on the grid of the logits. They order cells as
// the softmax share does, but do not round to 1 near certainty.
func newViM(k *Kit, _ []int) (Scorer, error) {
	p, err := k.components()
	if err != nil {
		return nil, err
	}
	weak := p.projection(int(viMShare*float64(len(p.variances))), len(p.variances), unit)
	lengthsTo := func(dst, centred []float32) error {
		err := weak.squaresTo(dst, centred, k.Product)
		for i, v := range dst {
			dst[i] = float32(math.Sqrt(float64(v)))
		}
		return err
	}
	normal := make([]float32, k.Reference.Count())
	if err := lengthsTo(normal, k.Reference.Tokens); err != nil {
		return nil, err
	}
	mean := 0.0
	for _, v := range normal {
		mean += float64(v) / float64(len(normal))
	}
	// Logits that are log-probabilities are negative. The sign would turn the score around.
	alpha := math.Abs(k.Reference.MaxLogit) / max(mean, 1e-9)
	var rows []float32
	return func(_ context.Context, x *Encoded) (*detector.Map, error) {
		rows = k.Reference.centred(rows, x.Features)
		d := make([]float32, x.Width*x.Height)
		if err := lengthsTo(d, rows); err != nil {
			return nil, err
		}
		m := &detector.Map{Width: x.LogitsWidth, Height: x.LogitsHeight}
		m.Values = tokenMap(x, d).ResizeTo(nil, m.Width, m.Height)
		for i, v := range m.Values {
			m.Values[i] = float32(alpha*float64(v) - float64(x.LSE[i]))
		}
		return m, nil
	}, nil
}

func newNECO(k *Kit, _ []int) (Scorer, error) {
	c := k.Reference.Channels
	cov, err := k.Reference.covariance(k.Product)
	if err != nil {
		return nil, err
	}
	inverse := make([]float64, c) // of the deviation; 0 for a channel that never varies
	for i := range inverse {
		if v := cov[i*c+i]; v > 0 {
			inverse[i] = 1 / math.Sqrt(v)
		}
	}
	for i := range cov {
		cov[i] *= inverse[i/c] * inverse[i%c]
	}
	p, err := newComponents(cov, c)
	if err != nil {
		return nil, err
	}
	strong := p.projection(0, p.holding(necoShare), unit)
	var rows []float32
	return func(_ context.Context, x *Encoded) (*detector.Map, error) {
		rows = k.Reference.centred(rows, x.Features)
		for i := range rows {
			rows[i] *= float32(inverse[i%c])
		}
		d := make([]float32, x.Width*x.Height)
		if err := strong.squaresTo(d, rows, k.Product); err != nil {
			return nil, err
		}
		for i, v := range d {
			d[i] = float32(-math.Sqrt(float64(v) / max(squared(rows[i*c:][:c]), 1e-12)))
		}
		if k.FeaturesOnly {
			return tokenMap(x, d), nil
		}
		m := logitMap(x.Encoding, highest)
		for i, v := range tokenMap(x, d).ResizeTo(nil, m.Width, m.Height) {
			m.Values[i] *= v
		}
		return m, nil
	}, nil
}
