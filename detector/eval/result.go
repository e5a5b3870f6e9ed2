package eval

import (
	"math"
	"math/rand/v2"
	"slices"
)

// FPRConvention is the point of the ROC curve at which FPR95 is read.
type FPRConvention string

// The two conventions in use: see [Metrics].
const (
	FPRNearest FPRConvention = "nearest"
	FPRFirst   FPRConvention = "first"
)

// Result is one row of an evaluation: one method on one data set. Rates are fractions in 0..1.
type Result struct {
	Dataset   string     `json:"dataset"`
	Bundle    string     `json:"bundle,omitempty"`
	Method    string     `json:"method"`
	Timesteps int        `json:"timesteps"`
	Images    int        `json:"images"`
	Pixels    int        `json:"pixels"`
	OODShare  float64    `json:"ood_share"`
	AP        float64    `json:"ap"`
	AUROC     float64    `json:"auroc"`
	FPR95     float64    `json:"fpr95"`
	Bootstrap *Bootstrap `json:"bootstrap,omitempty"`
	Spread    *Spread    `json:"spread,omitempty"`
	LatencyMS *Latency   `json:"latency_ms,omitempty"`
	// Components are the component-level metrics. Binned reports that scores were rounded (--fast).
	Components *Components `json:"components,omitempty"`
	Binned     bool        `json:"binned,omitempty"`
	// Encoder is the network of the bundle with its features, Denoiser its kind of denoiser: mlp or unet.
	Encoder  string `json:"encoder,omitempty"`
	Denoiser string `json:"denoiser,omitempty"`
}

// Bootstrap holds the mean and the sample standard deviation of the metrics over random subsets of 90 % of the images, as
// in the paper's Table 2.
type Bootstrap struct {
	N         int     `json:"n"`
	APMean    float64 `json:"ap_mean"`
	APStd     float64 `json:"ap_std"`
	FPR95Mean float64 `json:"fpr95_mean"`
	FPR95Std  float64 `json:"fpr95_std"`
}

// Latency holds quantiles of the time to score an image, in milliseconds.
type Latency struct {
	P50 float64 `json:"p50"`
	P95 float64 `json:"p95"`
}

// fill sets the figures that follow from a pool and its metrics.
func (row *Result) fill(p *Pool, m Metrics, fpr FPRConvention) {
	pos, neg := p.Count()
	row.Images, row.Pixels, row.Binned = p.Images(), pos+neg, p.Binned()
	row.OODShare = float64(pos) / float64(pos+neg)
	row.AP, row.AUROC, row.FPR95 = m.AP, m.AUROC, m.fpr(fpr)
}

func (m Metrics) fpr(c FPRConvention) float64 {
	if c == FPRFirst {
		return m.FPR95First
	}
	return m.FPR95
}

// bootstrap draws n subsets of 90 % of the images from a fixed seed, so that two runs agree.
func (p *Pool) bootstrap(n int, fpr FPRConvention) (*Bootstrap, error) {
	r := rand.New(rand.NewPCG(0, 0))
	keep := max(1, int(math.Round(0.9*float64(len(p.blocks)))))
	ap, rate := make([]float64, n), make([]float64, n)
	for i := range n {
		m, err := p.Subset(r.Perm(len(p.blocks))[:keep]).Metrics()
		if err != nil {
			return nil, err
		}
		ap[i], rate[i] = m.AP, m.fpr(fpr)
	}
	b := &Bootstrap{N: n}
	b.APMean, b.APStd = meanStd(ap)
	b.FPR95Mean, b.FPR95Std = meanStd(rate)
	return b, nil
}

func meanStd(v []float64) (mean, std float64) {
	for _, x := range v {
		mean += x / float64(len(v))
	}
	if len(v) < 2 {
		return mean, 0
	}
	for _, x := range v {
		std += (x - mean) * (x - mean) / float64(len(v)-1)
	}
	return mean, math.Sqrt(std)
}

// NewLatency summarises durations in milliseconds. It returns nil if there are none.
func NewLatency(ms []float64) *Latency {
	if len(ms) == 0 {
		return nil
	}
	s := slices.Sorted(slices.Values(ms))
	at := func(q float64) float64 { return s[int(math.Ceil(q*float64(len(s))))-1] }
	return &Latency{P50: at(0.5), P95: at(0.95)}
}
