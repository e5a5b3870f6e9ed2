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
	Panels     bool // visit the maps a second time and keep the best, the median and the worst
}

// Measured is a row with what a table does not show.
type Measured struct {
	Result
	PerImage  []ImageResult
	Curves    Curves
	Histogram Histogram
	Threshold float32 // of the best pooled F1
	Panels    []Panel // best, median, worst
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
	out := &Measured{
		Result: row, Curves: curves, Threshold: m.Threshold,
		Histogram: pool.Histogram(curves.Low, curves.High, histogramBins),
	}
	if out.PerImage, err = d.perImage(pool, o.FPR); err != nil {
		return nil, err
	}
	return out, d.revisit(ctx, out, visits, o)
}

// revisit visits the maps again for what needs the pooled metrics first.
func (d *Dataset) revisit(ctx context.Context, out *Measured, visits Visits, o Options) error {
	if !o.Components && !o.Panels {
		return nil
	}
	counter := NewComponentCounter(len(d.Items), out.Threshold, d.Sizes())
	chosen := map[int]string{}
	if o.Panels {
		chosen = places(out.PerImage)
	}
	panels := make([]*Panel, len(d.Items))
	err := visits(ctx, func(x *Labelled) error {
		if place, ok := chosen[x.Index]; ok {
			p := newPanel(x, d.OOD, place, out.PerImage[x.Index])
			panels[x.Index] = &p
		}
		if !o.Components {
			return nil
		}
		return counter.Set(x.Index, x.Scores, x.Labels, d.OOD, x.Width, x.Height)
	})
	if err != nil {
		return err
	}
	if o.Components {
		r := counter.Result()
		out.Components = &r
	}
	for _, place := range []string{"best", "median", "worst"} {
		for _, p := range panels {
			if p != nil && p.Place == place {
				out.Panels = append(out.Panels, *p)
			}
		}
	}
	return nil
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
