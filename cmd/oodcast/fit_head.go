package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/oodcast/oodcast/detector/classify"
	"github.com/oodcast/oodcast/detector/eval/dataset"
	"github.com/oodcast/oodcast/detector/fit"
	"github.com/oodcast/oodcast/ingest/opencv"
	"github.com/oodcast/oodcast/publish/visible"
)

// headFlags are the flags of the classifier that a fit can give a bundle.
type headFlags struct {
	Head      string   `placeholder:"DIR" help:"First train a linear classifier on labelled frames, so that the bundle has classes: DIR/images/X.jpg with DIR/labels/X.png, whose grey values are the numbers of the classes from 0; 255 is left out. Without --source, that is all."`
	HeadCheck string   `placeholder:"DIR" help:"Measure the classifier on these labelled frames. Default: every fifth four of those of --head."`
	HeadSteps int      `placeholder:"N" help:"Optimiser steps of the classifier (default 2000)."`
	Classes   []string `placeholder:"NAME,..." help:"Names of the classes of --head, or a file with one a line; pixels with other labels are left out. Default: all labels, by number."`
}

// fitResult is what a fit writes as JSON.
type fitResult struct {
	*fit.Result
	Head *classify.Result `json:"head,omitempty"`
}

// head trains the classifier, if there shall be one, and writes the bundle, which the fit goes on with.
func (c *FitCmd) head(e *env) (*classify.Result, error) {
	switch {
	case len(c.Source) == 0 && (c.Head == "" || c.CalibrateOnly):
		return nil, usagef("missing flags: --source=URI")
	case c.Head == "" && (len(c.Classes) > 0 || c.HeadCheck != "" || c.HeadSteps != 0):
		return nil, usagef("--classes, --head-check and --head-steps describe the classifier of --head, which is missing")
	case c.Head == "":
		return nil, nil
	}
	opt, err := c.headOptions(e)
	if err != nil {
		return nil, err
	}
	bar := newFitBar(e)
	opt.Progress = func(p fit.Progress) {
		e.ready()
		bar.show(p)
	}
	r, err := classify.Run(e, opt)
	bar.finish()
	switch {
	case errors.Is(err, context.Canceled):
		return nil, errors.New("interrupted while the classifier was trained; nothing was written")
	case errors.Is(err, classify.ErrLabels), errors.Is(err, dataset.ErrLabels):
		return nil, usageError{err}
	case err != nil:
		return nil, err
	}
	if c.JSON != "-" {
		fmt.Fprintf(e.Stdout, "%s: %d classes from %d frames, %d cells, %d steps, loss %.4f, %.0f s on %s; on %d other frames mean IoU %.1f, accuracy %.1f\n",
			r.Out, len(r.Classes), r.Frames, r.Cells, r.Steps, r.Loss, r.Seconds, r.Provider, r.Checked, 100*r.MeanIoU, 100*r.Accuracy)
	}
	c.Bundle, c.Name = c.Out, ""
	return r, nil
}

func (c *FitCmd) headOptions(e *env) (classify.Options, error) {
	opt := classify.Options{
		Out: c.Out, Name: c.Name, Read: opencv.ReadStored, Source: visible.Text(filepath.Base(filepath.Clean(c.Head))),
		Steps: c.HeadSteps, Seed: c.Seed, ORT: c.providerFlags.options(),
	}
	var err error
	if opt.Labels, err = labelled(c.Head); err != nil {
		return opt, fmt.Errorf("--head: %w", err)
	}
	if c.HeadCheck != "" {
		if opt.Check, err = labelled(c.HeadCheck); err != nil {
			return opt, fmt.Errorf("--head-check: %w", err)
		}
	}
	if opt.Classes, err = classNames(c.Classes); err != nil {
		return opt, err
	}
	if opt.Bundle, err = c.bundle(e); err != nil {
		return opt, err
	}
	opt.Size, err = c.size(opt.Bundle)
	return opt, err
}

// labelled lists labelled frames.
func labelled(root string) (*dataset.Dataset, error) {
	d, err := dataset.Open("folder", root)
	if err != nil {
		return nil, usageError{err}
	}
	return d, nil
}

// classNames returns the names of classes, which may be in a file.
func classNames(list []string) ([]string, error) {
	if len(list) == 1 {
		raw, err := os.ReadFile(list[0])
		if err != nil {
			return nil, usageError{fmt.Errorf("--classes: got one name, want two or more, or a file: %w", err)}
		}
		list = strings.Split(strings.TrimSpace(string(raw)), "\n")
	}
	names := make([]string, len(list))
	for i, name := range list {
		if names[i] = strings.TrimSpace(name); names[i] == "" || visible.Text(names[i]) != names[i] {
			return nil, usagef("--classes: got %q as name %d, want text", name, i+1)
		}
	}
	return names, nil
}

// writeHead writes the result of a fit that only trained a classifier.
func writeHead(e *env, path string, r *classify.Result) error {
	if r == nil {
		return nil
	}
	return writeJSON(e, path, fitResult{Head: r})
}
