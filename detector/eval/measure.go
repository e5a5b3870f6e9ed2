package eval

import (
	"context"
	"errors"
	"fmt"
)

// Options say what [Dataset.Measure] computes beside the pooled metrics.
type Options struct {
	FPR        FPRConvention
	Bootstrap  int  // number of subsets, 0 for none
	Binned     bool // round the scores: see [NewBinnedPool]
	Components bool // visit the maps a second time and compare components
}

// Measured is a row with what a table does not show.
type Measured struct {
	Result
	PerImage  []ImageResult
	Curves    Curves
	Histogram Histogram
}

// ImageResult holds the metrics of one image; those that a missing class leaves undefined are nil.
type ImageResult struct {
	Name     string   `json:"name"`
	Pixels   int      `json:"pixels"`
	OODShare float64  `json:"ood_share"`
	AP       *float64 `json:"ap"`
	AUROC    *float64 `json:"auroc"`
	FPR95    *float64 `json:"fpr95"`
}

// histogramBins is what a figure of some 400 pixels shows.
const histogramBins = 80

// Measure visits the maps of one row and fills row, whose names are set. Errors of the pooled metrics are those of
// [Pool.Metrics].
func (d *Dataset) Measure(ctx context.Context, row Result, visits Visits, o Options) (*Measured, error) {
	pool := NewPool(len(d.Items))
	if o.Binned {
		pool = NewBinnedPool(len(d.Items))
	}
	if err := d.fill(ctx, pool, visits); err != nil {
		return nil, err
	}
	m, curves, err := pool.Curves()
	if err != nil {
		return nil, err
	}
	row.fill(pool, m, o.FPR)
	if o.Bootstrap > 0 {
		if row.Bootstrap, err = pool.bootstrap(o.Bootstrap, o.FPR); err != nil {
			return nil, fmt.Errorf("bootstrap: %w", err)
		}
	}
	out := &Measured{Result: row, Curves: curves, Histogram: pool.Histogram(curves.Low, curves.High, histogramBins)}
	if out.PerImage, err = d.perImage(pool, o.FPR); err != nil {
		return nil, err
	}
	if o.Components {
		pool = nil //nolint:wastedassign // frees four bytes a pixel before the maps are visited again
		if out.Components, err = d.components(ctx, visits, m.Threshold); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// perImage computes the metrics of each image on its own.
func (d *Dataset) perImage(p *Pool, fpr FPRConvention) ([]ImageResult, error) {
	images := make([]ImageResult, len(d.Items))
	for i, it := range d.Items {
		one := p.Subset([]int{i})
		positives, negatives := one.Count()
		r := ImageResult{Name: it.Name, Pixels: positives + negatives}
		r.OODShare = float64(positives) / float64(max(1, r.Pixels))
		m, err := one.Metrics()
		switch {
		case err == nil:
			rate := m.fpr(fpr)
			r.AP, r.AUROC, r.FPR95 = &m.AP, &m.AUROC, &rate
		case !errors.Is(err, ErrNoPositive) && !errors.Is(err, ErrNoNegative):
			return nil, fmt.Errorf("%q: %w", it.Name, err)
		}
		images[i] = r
	}
	return images, nil
}

func (d *Dataset) components(ctx context.Context, visits Visits, threshold float32) (*Components, error) {
	counter := NewComponentCounter(len(d.Items), threshold, d.Sizes())
	err := visits(ctx, func(x *Labelled) error {
		return counter.Set(x.Index, x.Scores, x.Labels, d.OOD, x.Width, x.Height)
	})
	if err != nil {
		return nil, err
	}
	r := counter.Result()
	return &r, nil
}
