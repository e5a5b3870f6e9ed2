package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/detector/eval"
	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/ingest/source"
)

// streamFlags evaluate a video instead of a data set.
type streamFlags struct {
	Stream    string    `placeholder:"CLIP" help:"Evaluate a video or a folder of frames as a stream: streaming AP, steadiness, events."`
	Truth     string    `type:"existingpath" placeholder:"DIR|FILE" help:"Truth of --stream: masks with the frame's number (from 0) in the name, for all or some frames, or a file of times in seconds, FROM TO a line."`
	FPS       float64   `name:"fps" placeholder:"N" help:"Frames a second of --stream. Default: the clip's own times."`
	Threshold []float32 `placeholder:"X,..." help:"Judge the events of --stream at these thresholds too, beside the bundle's."`
	MinArea   float64   `placeholder:"X" default:"${min_area}" help:"Smallest region of an event of --stream, part of the image (default ${default})."`
	LatencyMS float64   `name:"latency-ms" placeholder:"X" default:"-1" help:"What a map of --stream takes. Default: as measured, which no two runs agree on."`
}

// evalStream plays the stream and prints one row for each method and |T|.
func (c *EvalCmd) evalStream(e *env) (err error) {
	src, truth, opt, err := c.streamParts()
	if err != nil {
		return err
	}
	parts, err := c.openParts(e)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, parts.Close()) }()
	rows, err := eval.NewRows(&parts.kit, c.Method, c.Timesteps)
	if err != nil {
		return err
	}
	bar := newImageBar(e, "frames", -1)
	encode := func(ctx context.Context, f *ingest.Frame) (*detector.Encoding, error) {
		bar.add()
		return parts.encode(ctx, f)
	}
	results, err := eval.Stream(e, src, truth, encode, rows, opt)
	bar.finish()
	if err != nil {
		return err
	}
	for i := range results {
		results[i].Stream, results[i].Bundle = filepath.Base(c.Stream), parts.bundle.Name
	}
	if c.JSON != "-" {
		if err := streamTable(e.Stdout, results); err != nil {
			return err
		}
	}
	return writeJSON(e, c.JSON, results)
}

func (c *EvalCmd) streamParts() (ingest.Source, *eval.Truth, eval.StreamOptions, error) {
	opt := eval.StreamOptions{
		FPS: c.FPS, Latency: -1, OOD: 1, Tracker: detector.DefaultTrackerConfig(), Thresholds: c.Threshold,
	}
	opt.Tracker.MinArea = c.MinArea
	switch {
	case c.Truth == "":
		return nil, nil, opt, usagef("--stream: say with --truth what is in it: a folder of masks or a file of times")
	case c.Dataset != "" || c.Root != "" || c.Scores != "":
		return nil, nil, opt, usagef("--stream: does not go with --dataset, --root and --scores")
	case c.FPS < 0 || c.FPS > 1000:
		return nil, nil, opt, usagef("--fps: got %v, want more than 0, at most 1000", c.FPS)
	case slices.ContainsFunc(c.Threshold, func(x float32) bool { return x == 0 || x != x }):
		return nil, nil, opt, usagef("--threshold: got %v, want numbers other than 0", c.Threshold)
	case opt.Tracker.Validate() != nil:
		return nil, nil, opt, usagef("--min-area: got %v, want 0 or more, less than 1", c.MinArea)
	case c.OODValue >= eval.Ignore:
		return nil, nil, opt, usagef("--ood-value: got %d, want 0 to 254", c.OODValue)
	}
	if c.LatencyMS >= 0 {
		opt.Latency = time.Duration(c.LatencyMS * float64(time.Millisecond))
	}
	if c.OODValue >= 0 {
		opt.OOD = uint8(c.OODValue)
	}
	cfg := ingest.DefaultConfig()
	cfg.URI = c.Stream
	if c.FPS > 0 {
		cfg.FPS = c.FPS
	}
	u, err := ingest.ParseURI(c.Stream)
	if err == nil && u.Live() {
		err = fmt.Errorf("--stream %s: want a file or a folder of pictures: a live stream has no truth", ingest.RedactURI(c.Stream))
	}
	if err != nil {
		return nil, nil, opt, usageError{err}
	}
	src, err := source.New(cfg, ingest.NewPool(4), source.Settings{MayWait: true})
	if err != nil {
		return nil, nil, opt, usageError{err}
	}
	truth, err := eval.OpenTruth(c.Truth)
	if err != nil {
		return nil, nil, opt, usageError{err}
	}
	return src, truth, opt, nil
}

// streamTable prints the rows: pixels and steadiness first, then the events at each threshold.
func streamTable(w io.Writer, rows []eval.StreamResult) error {
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "method\t|T|\tAP\tAUROC\tFPR95\tstreaming AP\tscored\tage ms\tflicker\tmotion\t")
	for _, r := range rows {
		fmt.Fprintf(t, "%s\t%d\t%.1f\t%.1f\t%.1f\t%.1f\t%.0f %%\t%.0f\t%.3f\t%.3f\t\n",
			r.Method, r.Timesteps, 100*r.Offline.AP, 100*r.Offline.AUROC, 100*r.Offline.FPR95, 100*r.Streaming.AP,
			100*r.Streaming.Scored, r.Streaming.AgeMS, r.Temporal.Flicker, r.Temporal.Motion)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(t, "\nmethod\t|T|\tthreshold\tfound\tevents\tfalse\tfalse/h\tswitches\tdelay s\tat most\t")
	for _, r := range rows {
		for _, ev := range append([]*eval.Events{r.Events}, r.Sweep...) {
			if ev != nil {
				fmt.Fprintf(t, "%s\t%d\t%.2f\t%d/%d\t%d\t%d\t%.1f\t%d\t%.2f\t%.2f\t\n", r.Method, r.Timesteps, ev.Threshold,
					ev.Found, ev.Objects, ev.Events, ev.False, ev.FalsePerHour, ev.Switches, ev.DelayP50, ev.DelayMax)
			}
		}
	}
	return t.Flush()
}
