package eval

import (
	"context"
	"errors"
	"fmt"

	"github.com/oodcast/oodcast/detector/eval/dataset"
)

// Options select what [Measure] computes in addition to the pooled metrics.
type Options struct {
	FPR        FPRConvention
	Bootstrap  int    // number of subsets; 0: none
	Draws      int    // number of draws of the images for the Spread; 0: none
	Seed       uint64 // of the draws
	Binned     bool   // round the scores: see [NewBinnedPool]
	Components bool   // compare components, which takes a second pass over the maps
	Panels     bool   // keep the best, the median and the worst image, which takes a second pass over the maps
}

// Measured is a row with the figures that a table does not show.
type Measured struct {
	Result
	PerImage  []ImageResult
	Curves    Curves
	Histogram Histogram
	Threshold float32 // of the best pooled F1
	Panels    []Panel // best, median, worst
}

// ImageResult holds the metrics of one image. Rates that are undefined because a class is absent are nil.
type ImageResult struct {
	Name     string   `json:"name"`
	Pixels   int      `json:"pixels"`
	OODShare float64  `json:"ood_share"`
	AP       *float64 `json:"ap"`
	AUROC    *float64 `json:"auroc"`
	FPR95    *float64 `json:"fpr95"`
}

// ImageResults are the metrics of the single images of a row.
type ImageResults struct {
	Dataset   string        `json:"dataset"`
	Bundle    string        `json:"bundle,omitempty"`
	Method    string        `json:"method"`
	Timesteps int           `json:"timesteps"`
	Images    []ImageResult `json:"images"`
}

// ImageResults returns the metrics of the single images under the names of the row.
func (m *Measured) ImageResults() ImageResults {
	return ImageResults{m.Dataset, m.Bundle, m.Method, m.Timesteps, m.PerImage}
}

// histogramBins suits a figure of about 400 pixels.
const histogramBins = 80

// Measure visits the maps of one row of d and returns row, whose names the caller has set, with its metrics. It returns
// [ErrNoPositive] or [ErrNoNegative] if d has no pixel of a class.
func Measure(
	ctx context.Context, d *dataset.Dataset, row Result, visits dataset.Visits, o Options,
) (*Measured, error) {
	pool := NewPool(len(d.Items))
	if o.Binned {
		pool = NewBinnedPool(len(d.Items))
	}
	err := visits(ctx, func(x *dataset.Labelled) error { return pool.Set(x.Index, x.Scores, x.Labels, d.OOD) })
	if err != nil {
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
	if o.Draws > 0 {
		if row.Spread, err = pool.Spread(ctx, o.Draws, o.Seed, o.FPR); err != nil {
			return nil, fmt.Errorf("spread: %w", err)
		}
	}
	out := &Measured{
		Result: row, Curves: curves, Threshold: m.Threshold,
		Histogram: pool.Histogram(curves.Low, curves.High, histogramBins),
	}
	if out.PerImage, err = perImage(d, pool, o.FPR); err != nil {
		return nil, err
	}
	return out, revisit(ctx, d, out, pool, visits, o)
}

// revisit makes the second pass over the maps, for figures that depend on the pooled metrics.
func revisit(
	ctx context.Context, d *dataset.Dataset, out *Measured, pool *Pool, visits dataset.Visits, o Options,
) error {
	if !o.Components && !o.Panels {
		return nil
	}
	counter := NewComponentCounter(len(d.Items), out.Threshold, ComponentSizesOf(d.Name))
	counter.binned = o.Binned
	chosen := map[int]string{}
	if o.Panels {
		chosen = places(out.PerImage)
	}
	panels := make([]*Panel, len(d.Items))
	err := visits(ctx, func(x *dataset.Labelled) error {
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
		if r.ByArea, err = counter.byArea(pool, o.FPR); err != nil {
			return err
		}
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
func perImage(d *dataset.Dataset, p *Pool, fpr FPRConvention) ([]ImageResult, error) {
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
