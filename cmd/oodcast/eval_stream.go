package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/oodcast/oodcast/detector/eval/method"
	evalreport "github.com/oodcast/oodcast/detector/eval/report"
	"github.com/oodcast/oodcast/detector/eval/stream"
	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/ingest/source"
)

// streamFlags evaluate a video instead of a data set.
type streamFlags struct {
	Stream    string        `placeholder:"CLIP" help:"Evaluate a video or a folder of frames as a stream: streaming AP, steadiness, events."`
	Truth     string        `type:"existingpath" placeholder:"DIR|FILE" help:"Truth of --stream: a folder of masks of all or some frames, with the frame's number (from 0) in the name, or a file of times with FROM TO in seconds on each line."`
	FPS       float64       `name:"fps" placeholder:"N" help:"Frames per second of --stream. Default: the clip's own times."`
	Threshold []float32     `placeholder:"X,..." help:"Judge the events of --stream at these thresholds in addition to the bundle's."`
	MinArea   float64       `placeholder:"X" default:"${min_area}" help:"Smallest region of an event of --stream, as a fraction of the image (default ${default})."`
	Carry     time.Duration `placeholder:"D" help:"Carry the maps of --stream along the motion of the scene for this long, as detector.carry does."`
	LatencyMS float64       `name:"latency-ms" placeholder:"X" default:"-1" help:"Time in milliseconds that a map of --stream takes. Default: the measured time, which no two runs agree on."`
}

// evalStream plays the stream and prints one row for each method and |T|.
func (c *EvalCmd) evalStream(e *env) (err error) {
	opts, err := c.streamOptions()
	if err != nil {
		return err
	}
	src, err := c.streamSource(e)
	if err != nil {
		return usageError{err}
	}
	truth, err := stream.OpenTruth(c.Truth)
	if err != nil {
		return usageError{err}
	}
	if c.OODValue < 0 {
		label, found, err := truth.FindOOD()
		if err != nil {
			return err
		}
		if found {
			opts.OOD = label
			c.tellLabel(e, label)
		}
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
	opts.Estimate = func(m method.Estimate) { fmt.Fprintln(e.Stderr, m) }
	bar := newImageBar(e, "frames", -1)
	results, err := ev.Stream(e, countedSource{src, bar}, truth, rows, opts)
	bar.finish()
	if err != nil {
		return err
	}
	for i := range results {
		results[i].Stream = filepath.Base(c.Stream)
	}
	if c.JSON != "-" {
		if err := evalreport.WriteStreamTable(e.Stdout, results); err != nil {
			return err
		}
	}
	return writeJSON(e, c.JSON, results)
}

func (c *EvalCmd) streamOptions() (stream.Options, error) {
	opts := stream.DefaultOptions()
	opts.FPS, opts.Thresholds, opts.Tracker.MinArea, opts.Carry = c.FPS, c.Threshold, c.MinArea, c.Carry
	switch {
	case c.Truth == "":
		return opts, usagef("--stream: want --truth with a folder of masks or a file of times")
	case c.Dataset != "" || c.Root != "" || c.Scores != "":
		return opts, usagef("--stream: cannot be combined with --dataset, --root or --scores")
	case c.FPS < 0 || c.FPS > 1000:
		return opts, usagef("--fps: got %v, want more than 0, at most 1000", c.FPS)
	case c.Carry < 0 || c.Carry > 10*time.Second:
		return opts, usagef("--carry: got %v, want 0 to 10s", c.Carry)
	case slices.ContainsFunc(c.Threshold, func(x float32) bool { return x == 0 || x != x }):
		return opts, usagef("--threshold: got %v, want numbers other than 0", c.Threshold)
	case opts.Tracker.Validate() != nil:
		return opts, usagef("--min-area: got %v, want 0 or more, less than 1", c.MinArea)
	}
	if c.LatencyMS >= 0 {
		opts.Latency = time.Duration(c.LatencyMS * float64(time.Millisecond))
	}
	if c.OODValue >= 0 {
		opts.OOD = uint8(c.OODValue)
	}
	return opts, nil
}

// streamSource opens --stream without dropping frames.
func (c *EvalCmd) streamSource(e *env) (ingest.Source, error) {
	cfg := ingest.DefaultConfig()
	cfg.URI = c.Stream
	if c.FPS > 0 {
		cfg.FPS = c.FPS
	}
	u, err := ingest.ParseURI(c.Stream)
	if err != nil {
		return nil, err
	}
	if u.Live() {
		return nil, fmt.Errorf("--stream %s: want a file or a folder of pictures: a live stream has no truth", ingest.RedactURI(c.Stream))
	}
	return source.New(cfg, ingest.NewPool(4), source.Settings{MayWait: true, Log: e.Log})
}
