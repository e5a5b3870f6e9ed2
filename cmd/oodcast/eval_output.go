package main

import (
	"path/filepath"

	"github.com/oodcast/oodcast/detector/eval"
	evalreport "github.com/oodcast/oodcast/detector/eval/report"
	"github.com/oodcast/oodcast/ingest/opencv"
)

// evalOutput selects what eval computes from the maps of a row, and where it writes the results.
type evalOutput struct {
	FPR        string `name:"fpr" enum:"nearest,first" default:"nearest" help:"Read the FPR at the TPR nearest to 0.95, or at the first TPR of at least 0.95."`
	Bootstrap  *int   `placeholder:"N" help:"Also compute mean and deviation over N random subsets of 90 % of the images; with --sets the 5 % and 95 % quantiles over N draws of the images (there the default is 500, and 0 is none)."`
	Fast       bool   `help:"Round scores to 20 bits: takes little memory for thousands of images and changes AP, AUROC and FPR95 by less than 0.001 and F1 by less than 0.01; the JSON says binned."`
	Components bool   `default:"true" negatable:"" help:"Also compute sIoU, PPV and F1 of connected components, as SegmentMeIfYouCan does."`
	JSON       string `name:"json" placeholder:"FILE" help:"Write the rows as JSON; - for stdout."`
	Report     string `type:"path" placeholder:"DIR" help:"Write DIR/index.html, one self-contained page with curves, histograms, and the best, median and worst images."`
	PerImage   string `placeholder:"FILE" help:"Write AP, AUROC and FPR95 of each image and row as JSON; null where a class is absent."`
}

// measure returns the options of the rows.
func (o *evalOutput) measure() eval.Options {
	bootstrap := 0
	if o.Bootstrap != nil {
		bootstrap = *o.Bootstrap
	}
	return eval.Options{
		FPR: eval.FPRConvention(o.FPR), Bootstrap: bootstrap, Binned: o.Fast, Components: o.Components, Panels: o.Report != "",
	}
}

// output prints the table and writes the files.
func (o *evalOutput) output(e *env, rows []*eval.Measured) error {
	if o.JSON != "-" && o.PerImage != "-" {
		if err := evalreport.WriteTable(e.Stdout, rows); err != nil {
			return err
		}
	}
	results, images := make([]eval.Result, len(rows)), make([]eval.ImageResults, len(rows))
	for i, r := range rows {
		results[i], images[i] = r.Result, r.ImageResults()
	}
	if err := writeJSON(e, o.PerImage, images); err != nil {
		return err
	}
	if err := writeJSON(e, o.JSON, results); err != nil {
		return err
	}
	if o.Report == "" {
		return nil
	}
	opts := evalreport.Options{FPR: eval.FPRConvention(o.FPR), Read: opencv.ReadStored}
	return evalreport.WriteFile(filepath.Join(o.Report, "index.html"), rows, opts)
}
