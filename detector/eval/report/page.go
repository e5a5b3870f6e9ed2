package report

import (
	_ "embed"
	"errors"
	"fmt"
	"html/template"
	"io"
	"slices"

	"github.com/oodcast/oodcast/detector/eval"
	"github.com/oodcast/oodcast/detector/eval/method"
	"github.com/oodcast/oodcast/ingest"
)

//go:embed page.html
var pageSource string

// Options of the page.
type Options struct {
	FPR  eval.FPRConvention                       // convention of the rates
	Read func(path string) (*ingest.Frame, error) // reads an image of the data set
}

// Write writes the page of the rows of one data set. It holds the few small pictures of the page in memory.
func Write(w io.Writer, rows []*eval.Measured, o Options) error {
	if len(rows) == 0 {
		return errors.New("report: no row")
	}
	p := newPage(rows, o)
	for _, m := range p.best {
		shots, err := m.shots(o.Read)
		if err != nil {
			return fmt.Errorf("report: %w", err)
		}
		p.Galleries = append(p.Galleries, gallery{Name: m.Name(), Colour: m.colour, AP: m.AP, Shots: shots})
	}
	funcs := template.FuncMap{"percent": percent, "opt": optional}
	t, err := template.New("page").Funcs(funcs).Parse(pageSource)
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return t.Execute(w, p)
}

// page is the data of page.html.
type page struct {
	Dataset, Bundle string
	Images          int
	Megapixels      string
	OODShare        float64
	First, Binned   bool // FPR at the first TPR ≥ 0.95; rounded scores
	Components      *eval.Components
	Areas           bool // some row has components by area
	HasBootstrap    bool
	HasLatency      bool
	Rows            []tableRow
	Sources         []source
	Legend          []legendEntry
	PR, ROC         chart
	Histograms      []histogram
	APoverT, APms   *chart
	Galleries       []gallery
	PerImage        []perImage

	best []best // each method at the |T| of its best AP, the best method first
}

// best is the best row of a method.
type best struct {
	*eval.Measured
	colour int
}

// Name returns the method with its |T|.
func (m best) Name() string { return rowName(m.Result) }

func rowName(r eval.Result) string {
	if r.Timesteps > 0 {
		return fmt.Sprintf("%s, |T| = %d", r.Method, r.Timesteps)
	}
	return r.Method
}

type legendEntry struct {
	Name   string
	Colour int
	AP     float64
	AUROC  float64
}

type tableRow struct {
	eval.Result
	BestAP, BestAUROC, BestFPR, BestF1 bool
}

// source is the publication of a method.
type source struct{ Method, Source string }

type perImage struct {
	Name   string
	Images []eval.ImageResult
}

func newPage(rows []*eval.Measured, o Options) *page {
	first := rows[0]
	p := &page{
		Dataset: first.Dataset, Bundle: first.Bundle, Images: first.Images, OODShare: first.OODShare,
		Megapixels: fmt.Sprintf("%.1f", float64(first.Pixels)/1e6), First: o.FPR == eval.FPRFirst, Binned: first.Binned,
		Components: first.Components, Rows: tableRows(rows),
	}
	for _, r := range rows {
		p.HasBootstrap = p.HasBootstrap || r.Bootstrap != nil
		p.Areas = p.Areas || r.Components != nil && len(r.Components.ByArea) > 0
		p.HasLatency = p.HasLatency || r.LatencyMS != nil
	}
	p.best = bestRows(rows)
	p.PR, p.ROC = curves(p.best)
	for _, m := range method.List() {
		if slices.ContainsFunc(rows, func(r *eval.Measured) bool { return r.Method == m.Name }) {
			p.Sources = append(p.Sources, source{m.Name, m.Source})
		}
	}
	for _, m := range p.best {
		p.Legend = append(p.Legend, legendEntry{m.Name(), m.colour, m.AP, m.AUROC})
		p.Histograms = append(p.Histograms, newHistogram(m))
		p.PerImage = append(p.PerImage, perImage{m.Name(), byAP(m.PerImage)})
	}
	p.APoverT, p.APms = timestepCharts(rows, p.best)
	return p
}

// tableRows marks the best value of each column.
func tableRows(rows []*eval.Measured) []tableRow {
	out := make([]tableRow, len(rows))
	best := func(value func(r *eval.Measured) float64) float64 {
		v := value(rows[0])
		for _, r := range rows {
			v = max(v, value(r))
		}
		return v
	}
	f1 := func(r *eval.Measured) float64 {
		if r.Components == nil {
			return -1
		}
		return r.Components.F1
	}
	ap := best(func(r *eval.Measured) float64 { return r.AP })
	auroc := best(func(r *eval.Measured) float64 { return r.AUROC })
	fpr := best(func(r *eval.Measured) float64 { return -r.FPR95 })
	bestF1 := best(f1)
	for i, r := range rows {
		out[i] = tableRow{r.Result, r.AP == ap, r.AUROC == auroc, -r.FPR95 == fpr, r.Components != nil && f1(r) == bestF1}
	}
	return out
}

// bestRows returns the row of each method with its best AP, sorted by AP. Colours follow this order.
func bestRows(rows []*eval.Measured) []best {
	var methods []best
	for _, r := range rows {
		i := slices.IndexFunc(methods, func(m best) bool { return m.Method == r.Method })
		switch {
		case i < 0:
			methods = append(methods, best{Measured: r})
		case r.AP > methods[i].AP:
			methods[i].Measured = r
		}
	}
	slices.SortStableFunc(methods, func(a, b best) int {
		switch {
		case a.AP > b.AP:
			return -1
		case a.AP < b.AP:
			return 1
		}
		return 0
	})
	for i := range methods {
		methods[i].colour = i % colours
	}
	return methods
}

// byAP returns the images sorted by AP, the best first and those without an AP last.
func byAP(images []eval.ImageResult) []eval.ImageResult {
	out := slices.Clone(images)
	slices.SortStableFunc(out, func(a, b eval.ImageResult) int {
		switch {
		case b.AP == nil && a.AP == nil:
			return 0
		case b.AP == nil || a.AP != nil && *a.AP > *b.AP:
			return -1
		case a.AP == nil || *a.AP < *b.AP:
			return 1
		}
		return 0
	})
	return out
}

func percent(v float64) string { return fmt.Sprintf("%.1f", 100*v) }

func optional(v *float64) string {
	if v == nil {
		return "–"
	}
	return percent(*v)
}
