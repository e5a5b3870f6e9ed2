package main

import (
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/oodcast/oodcast/detector/bench"
	"github.com/oodcast/oodcast/models/zoo"
)

// BenchCmd measures what |T| costs on this machine.
type BenchCmd struct {
	Bundle        string `default:"roadscene" placeholder:"NAME|DIR" help:"Bundle to measure."`
	Net           string `placeholder:"NAME" help:"With --random: measure this network with random weights instead of a bundle, without any file: segmenter-b, setr-l, segformer-b0 to -b5, dinov2-s, -b, -l, resnet18, 34, 50, 101, efficientnet-lite0 to 4."`
	Random        bool   `help:"Give --net random weights."`
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
	if (c.Net != "") != c.Random {
		return usagef("--net and --random belong together: a network without files has random weights; measure a bundle with --bundle")
	}
	if err := checkOutputs(c.JSON); err != nil {
		return err
	}
	r, err := c.measure(e, cfg)
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

func (c *BenchCmd) measure(e *env, cfg bench.Config) (*bench.Report, error) {
	if c.Random {
		r, err := bench.Random(e, c.Net, cfg, c.options())
		if errors.Is(err, zoo.ErrUnknown) {
			return nil, usagef("--net: %w", err)
		}
		return r, err
	}
	bundle, err := openBundle(e, c.Bundle)
	if err != nil {
		return nil, err
	}
	return bench.Run(e, bundle, cfg, c.options())
}

func printBench(e *env, r *bench.Report) error {
	what := ""
	if r.Batch > 1 {
		what = fmt.Sprintf(" of %d frames together", r.Batch)
	}
	kind := "bundle"
	if r.Params > 0 {
		kind = "random weights of"
	}
	fmt.Fprintf(e.Stdout, "%s %s, %d×%d, provider %s, %d cores; milliseconds%s, median and 95th percentile\n",
		kind, r.Bundle, r.Width, r.Height, r.Provider, r.Cores, what)
	t := tabwriter.NewWriter(e.Stdout, 0, 4, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "|T|\tencode\tp95\tscore\tp95\ttotal\tp95\tframes/s\tscore/encode\t")
	for _, b := range r.Rows {
		fmt.Fprintf(t, "%d\t%.1f\t%.1f\t%.1f\t%.1f\t%.1f\t%.1f\t%.1f\t%.2f\t\n", b.Timesteps,
			b.EncodeP50, b.EncodeP95, b.ScoreP50, b.ScoreP95, b.TotalP50, b.TotalP95, b.FPS, b.Ratio)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if r.Params > 0 {
		fmt.Fprintf(e.Stdout, "encoder: %.1f M parameters, %.2f G multiply-adds a frame; denoiser: %.1f M, %.2f G for each timestep\n",
			float64(r.Params)/1e6, float64(r.Multiplications)/1e9, float64(r.DenoiserParams)/1e6, float64(r.PerTimestep)/1e9)
	}
	_, err := fmt.Fprintf(e.Stdout, "peak resident memory %d MB\n", r.MaxRSS>>20)
	return err
}
