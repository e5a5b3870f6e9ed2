package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/oodcast/oodcast/detector/eval/dataset"
	"github.com/oodcast/oodcast/detector/fit"
	"github.com/oodcast/oodcast/detector/precision"
	"github.com/oodcast/oodcast/detector/synth"
	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/ingest/opencv"
	"github.com/oodcast/oodcast/publish/visible"
)

// ModelsConvertCmd makes a bundle with fewer bits of another one.
type ModelsConvertCmd struct {
	Bundle        string   `arg:"" help:"Name or folder of a complete bundle." placeholder:"BUNDLE"`
	FP16          bool     `name:"fp16" xor:"precision" required:"" help:"Store the encoder's weights in half precision: half the file, no other speed."`
	INT8          bool     `name:"int8" xor:"precision" required:"" help:"Compute the encoder with 8-bit integers where the map holds."`
	Normal        []string `required:"" sep:"none" placeholder:"URI" help:"Normal footage, best what the bundle was fitted on: a file or a folder of images. May be repeated."`
	Out           string   `required:"" placeholder:"DIR" help:"Folder of the new bundle."`
	Name          string   `placeholder:"NAME" help:"Name of the new bundle. Default: that of BUNDLE and the precision."`
	Check         string   `type:"existingdir" placeholder:"DIR" help:"Labelled set, as eval reads it, to measure both bundles on too."`
	Seed          uint64   `default:"1" placeholder:"N" help:"Seed of everything random (default ${default})."`
	JSON          string   `name:"json" placeholder:"FILE" help:"Write the report as JSON; - for stdout."`
	providerFlags `embed:""`
}

// Run converts, compares, and writes the bundle if its maps hold.
func (c *ModelsConvertCmd) Run(e *env) error {
	b, err := openBundle(e, c.Bundle)
	if err != nil {
		return err
	}
	o := precision.Options{
		Bundle: b, Precision: precision.INT8, Out: c.Out, Name: c.Name, Seed: c.Seed, Read: opencv.ReadStored, ORT: c.options(),
		Footage:  synth.Footage{Open: func() ([]ingest.Source, error) { return finite(e, "--normal", c.Normal) }},
		Progress: func(note string) { fmt.Fprintln(e.Stderr, note) },
	}
	if c.FP16 {
		o.Precision = precision.FP16
	}
	for _, uri := range c.Normal {
		o.Footage.Names = append(o.Footage.Names, fit.SourceName(uri))
	}
	if _, err := o.Footage.Open(); err != nil {
		return err
	}
	if c.Check != "" {
		if o.Labelled, err = dataset.OpenSet(c.Check); err != nil {
			return usageError{fmt.Errorf("--check: %w", err)}
		}
	}
	if err := checkOutputs(c.JSON); err != nil {
		return err
	}
	e.ready()
	report, err := precision.Run(e, o)
	if e.Err() != nil {
		return fmt.Errorf("interrupted: nothing was written to %q", c.Out)
	}
	if report == nil {
		return err
	}
	if c.JSON != "-" {
		for line := range strings.Lines(report.String()) {
			fmt.Fprintln(e.Stdout, visible.Text(strings.TrimSuffix(line, "\n")))
		}
	}
	if err == nil && c.JSON != "-" {
		fmt.Fprintf(e.Stdout, "wrote %s: %s\n", visible.Text(c.Out), visible.Text(o.Title()))
	}
	return errors.Join(err, writeJSON(e, c.JSON, report))
}
