package main

import (
	"errors"
	"fmt"
	"slices"

	"github.com/oodcast/oodcast/detector/eval/dataset"
	"github.com/oodcast/oodcast/detector/eval/sets"
	"github.com/oodcast/oodcast/models"
	"github.com/oodcast/oodcast/publish/visible"
)

// setsFlags evaluate several data sets and choose settings on them.
type setsFlags struct {
	Sets     string   `type:"existingdir" placeholder:"DIR" help:"Evaluate every labelled set in the folders of DIR and print one table of all methods on all sets, with means and the spread over the images."`
	Choose   []string `sep:"none" placeholder:"KEY=V,V" help:"With --sets: values of a key of bundle.yaml (diffusion.* or compound.*) to choose from, leaving one set out. Several make a grid."`
	Variant  []string `sep:"none" placeholder:"KEY=V,KEY=V" help:"With --sets: one more list of settings to choose from. May be repeated."`
	Markdown string   `placeholder:"FILE[#NAME]" help:"With --sets: write the tables to FILE, between its lines <!-- begin NAME --> and <!-- end NAME --> (default NAME: evaluation)."`
}

// setDraws is the number of draws behind the spread unless --bootstrap chooses another.
const setDraws = 500

// evalSets evaluates all methods and settings on every set.
func (c *EvalCmd) evalSets(e *env) (err error) {
	switch {
	case c.Dataset != "" || c.Root != "" || c.Scores != "" || c.Report != "" || c.PerImage != "" || c.OODValue >= 0:
		return usagef("eval --sets: leave out --dataset, --root, --scores, --report, --per-image and --ood-value, which are about one set")
	case len(c.Timesteps) > 1 && len(c.Choose)+len(c.Variant) > 0:
		return usagef("eval --choose: got %d values of --timesteps, want one", len(c.Timesteps))
	}
	variants, err := c.variants()
	if err != nil {
		return err
	}
	document := sets.ParseBlock(c.Markdown)
	if err := errors.Join(checkOutputs(document.Path), document.Check()); err != nil {
		return usageError{err}
	}
	found, skipped, err := dataset.Sets(c.Sets)
	tellLeftOut(e, skipped)
	switch {
	case errors.Is(err, dataset.ErrNoImages):
		return usageError{fmt.Errorf("eval --sets: %w", err)}
	case err != nil:
		return err
	case len(variants) > 0 && len(found) < 2:
		return usagef("eval --choose: %w, got %d", sets.ErrTooFew, len(found))
	}
	table, err := c.setsTable(e, found, variants)
	if err != nil {
		return err
	}
	if c.JSON != "-" {
		if err := table.Write(e.Stdout); err != nil {
			return err
		}
	}
	if err := document.Write(table.Markdown()); err != nil {
		return err
	}
	return writeJSON(e, c.JSON, table)
}

// variants returns the settings to choose from, all of which the bundle has, before normal footage and images are read.
func (c *EvalCmd) variants() ([][]string, error) {
	list, err := sets.Grid(c.Variant, c.Choose)
	if err != nil {
		return nil, usageError{err}
	}
	b, err := models.Open(c.Bundle)
	if err != nil {
		return nil, err
	}
	for _, settings := range append([][]string{nil}, list...) {
		if _, err := b.Override(slices.Concat(c.Set, settings)...); err != nil {
			return nil, usageError{err}
		}
	}
	return list, nil
}

// tellLeftOut prints why folders or files are not used.
func tellLeftOut(e *env, skipped []error) {
	for _, why := range skipped {
		fmt.Fprintf(e.Stderr, "left out: %s\n", visible.Text(oneLine(why)))
	}
}

func (c *EvalCmd) setsTable(e *env, found []*dataset.Dataset, variants [][]string) (_ *sets.Table, err error) {
	ev, err := c.openEvaluator(e)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, ev.Close()) }()
	rows, err := ev.Rows(c.Method, c.Timesteps)
	if err != nil {
		return nil, err
	}
	if len(variants) > 0 {
		trials, err := ev.Variants(variants, c.Timesteps[0])
		if err != nil {
			return nil, usageError{err}
		}
		rows = append(rows, trials...)
	}
	c.Fast = true // rounded scores: the memory of a row does not grow with the pixels
	table := &sets.Table{}
	for _, d := range found {
		c.restrict(d)
		fmt.Fprintf(e.Stderr, "%s, %d images, %d rows\n", visible.Text(d.Name), len(d.Items), len(rows))
		measured, err := c.evalRows(e, ev, d, rows)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", visible.Text(d.Name), err)
		}
		table.Add(measured)
	}
	return table, table.Finish(len(variants))
}
