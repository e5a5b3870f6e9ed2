package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/oodcast/oodcast/detector/ort"
	"github.com/oodcast/oodcast/ingest/source"
	"github.com/oodcast/oodcast/publish/files"
)

// ScoreCmd writes anomaly maps of images and videos.
type ScoreCmd struct {
	Input         []string `arg:"" placeholder:"INPUT" help:"Images, folders of images, videos."`
	Bundle        string   `default:"roadscene" placeholder:"B" help:"A bundle's name or folder."`
	Out           string   `required:"" placeholder:"DIR" help:"Folder for the results; created if missing."`
	Format        []string `enum:"npy,png,overlay,json" default:"npy,png,overlay,json" help:"What to write: npy, png, overlay, json."`
	Quiet         bool     `short:"q" help:"Do not print a line per input."`
	detectorFlags `embed:""`
	providerFlags `embed:""`
}

// Run scores every input.
func (c *ScoreCmd) Run(e *env) error {
	inputs, err := c.inputs()
	if err != nil {
		return err
	}
	engine, _, err := openEngine(e, c.Bundle, c.detectorFlags, c.providerFlags)
	if err != nil {
		return err
	}
	err = c.score(e, engine, inputs)
	return errors.Join(err, engine.Close())
}

func (c *ScoreCmd) score(e *env, engine *ort.Engine, inputs []string) error {
	if err := os.MkdirAll(c.Out, 0o755); err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	w := files.Writer{Detector: engine.Detector, Dir: c.Out, Formats: c.Format}
	for _, path := range inputs {
		if err := e.Err(); err != nil {
			return fmt.Errorf("interrupted: %w", err)
		}
		summary, err := w.Score(e, path)
		if err != nil {
			return err
		}
		if !c.Quiet {
			fmt.Fprintln(e.Stdout, printable(summary.String()))
		}
	}
	return nil
}

// inputs replaces folders with their pictures, and refuses two inputs whose files would have the same names.
func (c *ScoreCmd) inputs() ([]string, error) {
	var paths []string
	for _, in := range c.Input {
		info, err := os.Stat(in)
		if err != nil {
			return nil, fmt.Errorf("score %q: %w", in, errors.Unwrap(err))
		}
		if !info.IsDir() {
			paths = append(paths, in)
			continue
		}
		pictures, err := source.Pictures(in)
		if err != nil {
			return nil, err
		}
		paths = append(paths, pictures...)
	}
	by := map[string]string{}
	for _, p := range paths {
		if other, ok := by[files.Stem(p)]; ok {
			return nil, usagef("%q and %q would both be written as %q: score them into two folders", other, p, files.Stem(p))
		}
		by[files.Stem(p)] = p
	}
	return paths, nil
}
