package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"text/tabwriter"

	"github.com/google/renameio/v2"

	"github.com/oodcast/oodcast/detector/eval"
	evalpage "github.com/oodcast/oodcast/detector/eval/report"
	"github.com/oodcast/oodcast/ingest/opencv"
)

// evalOutput says what eval computes from the maps of a row, and where it goes.
type evalOutput struct {
	FPR        string `name:"fpr" enum:"nearest,first" default:"nearest" help:"FPR at the TPR nearest to 0.95, or at the first TPR above."`
	Bootstrap  int    `placeholder:"N" help:"Also mean and deviation over N random subsets of 90 % of the images."`
	Fast       bool   `help:"Round scores to 20 bits: little memory for thousands of images, metrics off by less than 0.001; the JSON says binned."`
	Components bool   `default:"true" negatable:"" help:"Also sIoU, PPV and F1 of connected components, as SegmentMeIfYouCan."`
	JSON       string `name:"json" placeholder:"FILE" help:"Write the rows as JSON; - for stdout."`
	Report     string `type:"path" placeholder:"DIR" help:"Write one HTML page, DIR/index.html: curves, histograms, best, median and worst images; it needs nothing beside it."`
	PerImage   string `placeholder:"FILE" help:"Write AP, AUROC and FPR95 of each image and row as JSON; null where a class is absent."`
}

// measure are the options of the rows.
func (o *evalOutput) measure() eval.Options {
	return eval.Options{
		FPR: eval.FPRConvention(o.FPR), Bootstrap: o.Bootstrap, Binned: o.Fast, Components: o.Components, Panels: o.Report != "",
	}
}

// perImage is a row of --per-image.
type perImage struct {
	Dataset   string             `json:"dataset"`
	Bundle    string             `json:"bundle,omitempty"`
	Method    string             `json:"method"`
	Timesteps int                `json:"timesteps"`
	Images    []eval.ImageResult `json:"images"`
}

// output prints the table and writes the files.
func (o *evalOutput) output(e *env, rows []*eval.Measured) error {
	if o.JSON != "-" && o.PerImage != "-" {
		if err := evalTable(e.Stdout, rows); err != nil {
			return err
		}
	}
	results, images := make([]eval.Result, len(rows)), make([]perImage, len(rows))
	for i, r := range rows {
		results[i] = r.Result
		images[i] = perImage{r.Dataset, r.Bundle, r.Method, r.Timesteps, r.PerImage}
	}
	if err := writeJSON(e, o.PerImage, images); err != nil {
		return err
	}
	if err := writeJSON(e, o.JSON, results); err != nil {
		return err
	}
	return o.page(rows)
}

// page writes the report; it appears whole or not at all.
func (o *evalOutput) page(rows []*eval.Measured) error {
	if o.Report == "" {
		return nil
	}
	if err := os.MkdirAll(o.Report, 0o755); err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	f, err := renameio.NewPendingFile(filepath.Join(o.Report, "index.html"), renameio.WithPermissions(0o644))
	if err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	w := bufio.NewWriter(f)
	err = evalpage.Write(w, rows, evalpage.Options{FPR: eval.FPRConvention(o.FPR), Read: opencv.ReadImage})
	if err == nil {
		err = w.Flush()
	}
	if err != nil {
		return errors.Join(err, f.Cleanup())
	}
	return f.CloseAtomicallyReplace()
}

// evalTable prints rates in percent. The columns of components appear when there are any.
func evalTable(w io.Writer, rows []*eval.Measured) error {
	components := false
	for _, r := range rows {
		components = components || r.Components != nil
	}
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(t, "dataset\tmethod\t|T|\timages\tAP\tAUROC\tFPR95\t")
	if components {
		fmt.Fprint(t, "sIoU\tPPV\tF1\t")
	}
	fmt.Fprintln(t, "ms\t")
	for _, r := range rows {
		fmt.Fprintf(t, "%s\t%s\t%d\t%d\t%.1f\t%.1f\t%.1f\t",
			r.Dataset, r.Method, r.Timesteps, r.Images, 100*r.AP, 100*r.AUROC, 100*r.FPR95)
		if c := r.Components; c != nil {
			fmt.Fprintf(t, "%.1f\t%.1f\t%.1f\t", 100*c.SIoU, 100*c.PPV, 100*c.F1)
		} else if components {
			fmt.Fprint(t, "-\t-\t-\t")
		}
		if r.LatencyMS != nil {
			fmt.Fprintf(t, "%.0f\t\n", r.LatencyMS.P50)
		} else {
			fmt.Fprint(t, "-\t\n")
		}
	}
	return t.Flush()
}
