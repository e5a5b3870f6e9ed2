package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/oodcast/oodcast/detector/eval"
	"github.com/oodcast/oodcast/detector/eval/dataset"
	"github.com/oodcast/oodcast/detector/eval/paper"
)

// paperFlags print our figures next to the paper's.
type paperFlags struct {
	PaperTables bool     `help:"Print the paper's Fig. 5, Fig. 6, Sec. 6.5, Table 2 and Table 3 with our figures next to the paper's, and the differences in encoder and data. The rows come from --from or are computed: for one data set with --dataset D --root DIR, for a folder of data sets with --root DIR alone, whose folders have the names that --dataset takes."`
	From        []string `type:"existingfile" placeholder:"FILE" help:"Rows for --paper-tables that eval --json wrote, for any bundle; may be repeated."`
}

// paperTables reads and computes the rows of the paper's tables and prints them.
func (c *EvalCmd) paperTables(e *env) error {
	if len(c.From) == 0 && c.Root == "" {
		return usagef("eval --paper-tables: want --from FILE or --root DIR")
	}
	var rows []eval.Result
	for _, path := range c.From {
		read, err := readResults(path)
		if err != nil {
			return err
		}
		rows = append(rows, read...)
	}
	if c.Root != "" {
		made, err := c.paperRows(e)
		if err != nil {
			return err
		}
		for _, m := range made {
			rows = append(rows, m.Result)
		}
	}
	if c.JSON != "-" {
		if err := paper.Write(e.Stdout, rows); err != nil {
			return err
		}
	}
	return writeJSON(e, c.JSON, rows)
}

func readResults(path string) ([]eval.Result, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	rows, err := eval.ReadResults(f)
	if err != nil {
		return nil, usagef("%q: %w", path, err)
	}
	return rows, nil
}

// paperRows evaluates every data set with the methods of the tables that the bundle and --reference allow.
func (c *EvalCmd) paperRows(e *env) (results []*eval.Measured, err error) {
	sets, err := c.paperDatasets(e)
	if err != nil {
		return nil, err
	}
	if c.Bootstrap == nil || *c.Bootstrap == 0 {
		c.Bootstrap = new(paper.Bootstraps)
	}
	ev, err := c.openEvaluator(e)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, ev.Close()) }()
	rows, left, err := paper.NewRows(ev.Kit())
	if err != nil {
		return nil, err
	}
	for _, why := range left {
		fmt.Fprintf(e.Stderr, "oodcast: left out: %v\n", why)
	}
	for _, d := range sets {
		fmt.Fprintf(e.Stderr, "oodcast: %s, %d images, %d rows\n", d.Name, len(d.Items), len(rows))
		measured, err := c.evalRows(e, ev, d, rows)
		if err != nil {
			return nil, err
		}
		results = append(results, measured...)
	}
	return results, nil
}

// paperDatasets opens --dataset, or the data sets of the tables that are folders of --root.
func (c *EvalCmd) paperDatasets(e *env) ([]*dataset.Dataset, error) {
	if c.Dataset != "" {
		d, err := c.openDataset(e)
		return []*dataset.Dataset{d}, err
	}
	sets, err := paper.OpenDatasets(c.Root)
	if err != nil {
		return nil, usageError{err}
	}
	if len(sets) == 0 {
		return nil, usagef("eval --paper-tables: %q has none of the folders %s; for a single data set use --dataset D --root DIR",
			c.Root, strings.Join(paper.Datasets(), ", "))
	}
	for _, d := range sets {
		c.restrict(d)
	}
	return sets, nil
}
