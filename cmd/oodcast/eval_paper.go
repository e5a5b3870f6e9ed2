package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/oodcast/oodcast/detector/eval"
	"github.com/oodcast/oodcast/detector/eval/paper"
)

// paperFlags set our figures beside the paper's.
type paperFlags struct {
	PaperTables bool     `help:"Print the paper's Fig. 5, Fig. 6, Sec. 6.5, Table 2 and Table 3 beside ours, and what differs. Rows come from --from, or are made: --dataset D --root DIR for one set, --root DIR alone for a folder with sets in it, named as --dataset names them."`
	From        []string `type:"existingfile" placeholder:"FILE" help:"Rows for --paper-tables that eval --json wrote, of any bundle; may be repeated."`
}

// paperTables reads and makes the rows that the paper's tables need.
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

// paperRows evaluates every set below --root with the methods of the tables that the bundle and --reference allow.
func (c *EvalCmd) paperRows(e *env) (results []*eval.Measured, err error) {
	sets, err := c.paperDatasets()
	if err != nil {
		return nil, err
	}
	if c.Bootstrap == 0 {
		c.Bootstrap = paper.Bootstraps
	}
	parts, err := c.openParts(e)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, parts.Close()) }()
	var rows []eval.Row
	for _, method := range paper.Methods() {
		one, err := eval.NewRows(&parts.kit, []string{method}, paper.Timesteps(method))
		if isAny(err, eval.ErrNeedsReference, eval.ErrNeedsMasks, eval.ErrNeedsDenoiser) {
			fmt.Fprintf(e.Stderr, "oodcast: left out: %v\n", err)
			continue
		}
		if err != nil {
			return nil, err
		}
		rows = append(rows, one...)
	}
	for _, d := range sets {
		fmt.Fprintf(e.Stderr, "oodcast: %s, %d images, %d rows\n", d.Name, len(d.Items), len(rows))
		measured, err := c.evaluate(e, d, parts, rows)
		if err != nil {
			return nil, err
		}
		results = append(results, measured...)
	}
	return results, nil
}

// paperDatasets opens --dataset, or the sets of the tables that are folders of --root.
func (c *EvalCmd) paperDatasets() ([]*eval.Dataset, error) {
	if c.Dataset != "" {
		d, err := c.dataset()
		return []*eval.Dataset{d}, err
	}
	var sets []*eval.Dataset
	root := c.Root
	defer func() { c.Dataset, c.Root = "", root }()
	for _, name := range paper.Datasets() {
		c.Dataset, c.Root = name, filepath.Join(root, name)
		d, err := c.dataset()
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		sets = append(sets, d)
	}
	if len(sets) == 0 {
		return nil, usagef("eval --paper-tables: %q has none of the folders %s; one set alone: --dataset D --root DIR",
			root, strings.Join(paper.Datasets(), ", "))
	}
	return sets, nil
}
