package main

import (
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/oodcast/oodcast/detector/bench"
)

// BenchCmd measures what |T| costs on this machine.
type BenchCmd struct {
	Bundle        string `default:"roadscene" placeholder:"NAME|DIR" help:"Bundle to measure."`
	Size          string `default:"1024x512" placeholder:"WxH" help:"Size of the frames, which is also the working size."`
	Timesteps     []int  `default:"1,5,10,25" help:"The |T| to measure."`
	SecondLook    bool   `help:"Measure with frames of twice the size, a band of which is looked at once more."`
	Frames        int    `default:"20" help:"Frames for each |T|, after two that do not count."`
	Batch         int    `default:"1" help:"Frames that are scored together, 1..32; times are then those of a batch."`
	JSON          string `name:"json" placeholder:"FILE" help:"Write the figures as JSON; - for stdout."`
	providerFlags `embed:""`
}

// Run measures and prints a table.
func (c *BenchCmd) Run(e *env) error {
	w, h, err := parseSize(c.Size)
	if err != nil {
		return err
	}
	cfg := bench.Config{Width: w, Height: h, Timesteps: c.Timesteps, Frames: c.Frames, Batch: c.Batch, SecondLook: c.SecondLook}
	if err := cfg.Validate(); err != nil {
		return usagef("%s", strings.ReplaceAll(err.Error(), "bench.", "--")) // the flags are named after the fields
	}
	bundle, err := openBundle(e, c.Bundle)
	if err != nil {
		return err
	}
	if err := checkOutputs(c.JSON); err != nil {
		return err
	}
	r, err := bench.Run(e, bundle, cfg, c.options())
	if err != nil {
		return err
	}
	if r.Note != "" {
		fmt.Fprintln(e.Stderr, r.Note)
	}
	if c.JSON != "-" {
		if err := printBench(e, r); err != nil {
			return err
		}
	}
	return writeJSON(e, c.JSON, r)
}

func printBench(e *env, r *bench.Report) error {
	what := ""
	if r.Batch > 1 {
		what = fmt.Sprintf(" of %d frames together", r.Batch)
	}
	fmt.Fprintf(e.Stdout, "bundle %s, %d×%d, provider %s, %d cores; milliseconds%s, median and 95th percentile\n",
		r.Bundle, r.Width, r.Height, r.Provider, r.Cores, what)
	t := tabwriter.NewWriter(e.Stdout, 0, 4, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "|T|\tencode\tp95\tscore\tp95\ttotal\tp95\tframes/s\tscore/encode\t")
	for _, b := range r.Rows {
		fmt.Fprintf(t, "%d\t%.1f\t%.1f\t%.1f\t%.1f\t%.1f\t%.1f\t%.1f\t%.2f\t\n", b.Timesteps,
			b.EncodeP50, b.EncodeP95, b.ScoreP50, b.ScoreP95, b.TotalP50, b.TotalP95, b.FPS, b.Ratio)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(e.Stdout, "peak resident memory %d MB\n", r.MaxRSS>>20)
	return err
}
