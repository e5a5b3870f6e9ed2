package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/oodcast/oodcast/detector/ort"
	"github.com/oodcast/oodcast/ingest/source"
	"github.com/oodcast/oodcast/publish/files"
	"github.com/oodcast/oodcast/publish/visible"
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
	var failed []string
	for _, path := range inputs {
		if err := e.Err(); err != nil {
			return fmt.Errorf("interrupted: %w", err)
		}
		summary, err := w.Score(e, path)
		var bad *files.InputError
		switch {
		case errors.As(err, &bad) && len(inputs) == 1 && !errors.Is(err, fs.ErrNotExist):
			return err
		case errors.As(err, &bad):
			failed = append(failed, filepath.Base(path))
			fmt.Fprintf(e.Stderr, "not scored: %s\n", visible.Text(oneLine(err)))
		case err != nil:
			return err
		case !c.Quiet:
			fmt.Fprintln(e.Stdout, visible.Text(summary.String()))
		}
	}
	return notScored(failed, len(inputs))
}

// notScored returns an error that names the inputs that failed, or nil if there are none.
func notScored(failed []string, of int) error {
	const most = 20
	n := len(failed)
	if n == 0 {
		return nil
	}
	more := ""
	if n > most {
		failed, more = failed[:most], fmt.Sprintf(" and %d more", n-most)
	}
	return fmt.Errorf("%d of %d inputs could not be scored: %s%s", n, of, strings.Join(failed, ", "), more)
}

func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }

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
	if paths = c.withoutResults(paths); len(paths) == 0 {
		return nil, usagef("nothing to score: the inputs are results of an earlier run")
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

// withoutResults leaves out the files that an earlier run with the same --out made of other inputs.
func (c *ScoreCmd) withoutResults(paths []string) []string {
	out, err := os.Stat(c.Out)
	if err != nil {
		return paths // there is no such folder, and so no result
	}
	inputs := map[string]bool{}
	for _, p := range paths {
		inputs[filepath.Join(filepath.Dir(p), files.Stem(p))] = true
	}
	return slices.DeleteFunc(paths, func(p string) bool {
		stem := files.ResultOf(p)
		if stem == "" || !inputs[filepath.Join(filepath.Dir(p), stem)] {
			return false
		}
		dir, err := os.Stat(filepath.Dir(p))
		return err == nil && os.SameFile(dir, out)
	})
}
