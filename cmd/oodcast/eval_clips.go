package main

import (
	"errors"
	"fmt"

	"github.com/oodcast/oodcast/detector/eval/clips"
	"github.com/oodcast/oodcast/detector/eval/dataset"
	evalreport "github.com/oodcast/oodcast/detector/eval/report"
	"github.com/oodcast/oodcast/detector/events"
	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/ingest/source"
)

// evalClips measures the rows on the labelled clips of fixed cameras.
func (c *EvalCmd) evalClips(e *env) (err error) {
	switch {
	case c.Scores != "" || c.Report != "" || c.PerImage != "" || c.OODValue >= 0:
		return usagef("eval --dataset %s: leave out --scores, --report, --per-image and --ood-value, which are about pictures", c.Dataset)
	case c.FPS < 0 || c.FPS > 1000:
		return usagef("--fps: got %v, want more than 0, at most 1000", c.FPS)
	}
	set, err := dataset.OpenClips(c.Dataset, c.Root)
	if err != nil {
		return usageError{err}
	}
	if c.Limit > 0 {
		set.List = set.List[:min(c.Limit, len(set.List))]
	}
	opt := clips.Options{Tracker: events.DefaultConfig(), Open: func(path string, fps float64) (ingest.Source, error) {
		cfg := ingest.DefaultConfig()
		if cfg.URI, cfg.FPS = path, fps; c.FPS > 0 {
			cfg.FPS = c.FPS
		}
		return source.New(cfg, ingest.NewPool(4), source.Settings{MayWait: true, Log: e.Log})
	}}
	if opt.Tracker.MinArea = c.MinArea; opt.Tracker.Validate() != nil {
		return usagef("--min-area: got %v, want 0 or more, less than 1", c.MinArea)
	}
	ev, err := c.openEvaluator(e)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ev.Close()) }()
	rows, err := ev.Rows(c.Method, c.Timesteps)
	if err != nil {
		return err
	}
	bar := newImageBar(e, fmt.Sprintf("frames of %d clips", len(set.List)), -1)
	opt.Progress = bar.add
	results, err := ev.Clips(e, set, rows, opt)
	bar.finish()
	if err != nil {
		return err
	}
	if c.Seed != nil {
		for i := range results {
			results[i].LatencyMS = nil
		}
	}
	if c.JSON != "-" {
		if err := evalreport.WriteClipTable(e.Stdout, results); err != nil {
			return err
		}
	}
	return writeJSON(e, c.JSON, results)
}
