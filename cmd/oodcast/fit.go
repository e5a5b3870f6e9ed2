package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/schollz/progressbar/v3"

	"github.com/oodcast/oodcast/detector/fit"
	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/ingest/source"
	"github.com/oodcast/oodcast/models"
	"github.com/oodcast/oodcast/publish/visible"
)

// FitCmd trains the denoiser of a bundle on normal footage and calibrates it.
type FitCmd struct {
	Bundle        string        `placeholder:"B" help:"Bundle with the encoder: a name or a folder. Default: anything; with --calibrate-only, roadscene."`
	Source        []string      `sep:"none" placeholder:"URI" help:"Normal footage: a file, a folder of images, a folder of clips, a stream. May be repeated."`
	Out           string        `required:"" placeholder:"DIR" help:"Folder of the new bundle."`
	Size          string        `placeholder:"WxH" help:"Working size of the new bundle; smaller frames are enlarged to about as many pixels, in their own shape. Default: one at which what moves in the footage of a fixed camera is 3.5 tokens high, and at least the frames' own size; at most that of --bundle where it moves little or the camera moves."`
	Name          string        `placeholder:"NAME" help:"Name of the new bundle. Default: the name of --bundle."`
	Duration      time.Duration `placeholder:"D" help:"Read each source for this long at most; needed for live ones."`
	Steps         int           `default:"${fit_steps}" placeholder:"N" help:"Optimiser steps (default ${default})."`
	Batch         int           `default:"${fit_batch}" placeholder:"N" help:"Tokens per step (default ${default})."`
	LR            float64       `name:"lr" default:"${fit_lr}" placeholder:"X" help:"Highest learning rate (default ${default})."`
	Seed          uint64        `default:"1" placeholder:"N" help:"Seed of all random numbers (default ${default})."`
	Denoiser      string        `enum:"mlp,unet" default:"mlp" help:"mlp or unet. A unet convolves squares of features, the paper's ablation, at nine times the cost."`
	Width         int           `placeholder:"N" help:"Hidden width of the denoiser. Default: the number of features."`
	Blocks        []int         `default:"${fit_blocks}" placeholder:"N,N,N" help:"Input, middle and output blocks of the denoiser (default ${default})."`
	Groups        int           `default:"${fit_groups}" placeholder:"N" help:"Groups of the denoiser's normalisation layers (default ${default})."`
	Normalise     string        `default:"${fit_normalise}" placeholder:"HOW" help:"How features are scaled: per_channel or global (default ${default})."`
	Whiten        *bool         `negatable:"" help:"Whiten the features: scale their principal components in this footage to the same deviation. Default: on for the features of an EfficientNet-Lite that nothing was fitted to yet."`
	Drop          int           `name:"drop-components" default:"-1" placeholder:"N" help:"With --whiten: leave the N strongest components out (default: a third of the channels)."`
	Scales        []float64     `default:"1" placeholder:"X" help:"Working sizes of training frames, as multiples of the bundle's (default ${default})."`
	Jitter        bool          `default:"true" negatable:"" help:"Vary exposure, colour, noise and position of training frames (default on)."`
	Flip          bool          `help:"Also mirror training frames, for moving cameras."`
	MaxFrames     int           `default:"${fit_max_frames}" placeholder:"N" help:"Frames to train on; longer footage is thinned out (default ${default})."`
	Motion        bool          `help:"Let what moves faster than normal at its place count, unless the camera moves."`
	LSEWeight     float64       `name:"lse-weight" default:"-1" placeholder:"X" help:"Weight of the segmenter's uncertainty. Default: the weight in --bundle."`
	Set           []string      `sep:"none" placeholder:"KEY=VALUE" help:"Change a key of bundle.yaml: diffusion.* or compound.*. May be repeated."`
	Calibration   int           `name:"calibration-frames" default:"${fit_calibration}" placeholder:"N" help:"Largest number of frames to calibrate on (default ${default})."`
	Check         int           `default:"${fit_check}" placeholder:"N" help:"Paste things into N frames that take no part in the training and print how well the fit finds them (default ${default})."`
	NoCheck       bool          `help:"Leave that check out."`
	Paper         bool          `help:"Use the paper's normalisation, noise and timesteps."`
	CalibrateOnly bool          `help:"Keep the denoiser of --bundle and only measure normal footage."`
	JSON          string        `name:"json" placeholder:"FILE" help:"Write the result as JSON; - for stdout."`
	headFlags     `embed:""`
	providerFlags `embed:""`
}

// fitVars are the defaults that the help shows.
func fitVars() map[string]string {
	d := fit.DefaultConfig()
	return map[string]string{
		"fit_steps": fmt.Sprint(d.Steps), "fit_batch": fmt.Sprint(d.Batch), "fit_lr": fmt.Sprint(d.LR),
		"fit_max_frames": fmt.Sprint(d.MaxFrames), "fit_groups": fmt.Sprint(d.Groups), "fit_normalise": d.Normalise,
		"fit_blocks":      fmt.Sprintf("%d,%d,%d", d.Blocks[0], d.Blocks[1], d.Blocks[2]),
		"fit_calibration": fmt.Sprint(d.MaxCalibration), "fit_check": fmt.Sprint(d.Check),
	}
}

// Run fits and writes the bundle.
func (c *FitCmd) Run(e *env) error {
	if err := checkOutputs(c.JSON); err != nil {
		return err
	}
	head, err := c.head(e)
	if err != nil || len(c.Source) == 0 {
		return errors.Join(err, writeHead(e, c.JSON, head))
	}
	opt, err := c.options(e)
	if err != nil {
		return err
	}
	bar := newFitBar(e)
	opt.Progress = func(p fit.Progress) {
		e.ready()
		bar.show(p)
	}
	res, err := fit.Run(e, opt)
	bar.finish()
	if errors.Is(err, context.Canceled) {
		return fmt.Errorf("interrupted while reading footage; the same command continues from there")
	}
	if err != nil {
		return err
	}
	if c.JSON != "-" {
		state := ""
		if res.Interrupted {
			state = " (interrupted: the same command continues the training)"
		}
		fmt.Fprintf(e.Stdout, "%s: %d frames, %d tokens, %d steps, loss %.4f, threshold %.2f, %.0f s on %s%s\n",
			res.Out, res.Frames, res.Tokens, res.Steps, res.Loss, res.Threshold, res.Seconds, res.Provider, state)
		if k := res.Check; k != nil {
			fmt.Fprintf(e.Stdout, "on %d of your frames with pasted objects: AP %.1f, FPR95 %.1f (|T|=%d)\n", k.Images, 100*k.AP, 100*k.FPR95, k.Timesteps)
		}
	}
	errs := []error{writeJSON(e, c.JSON, fitResult{res, head})}
	for i, s := range opt.Sources {
		if err := ingest.LeftOut(s); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w; %s was made without them", ingest.RedactURI(c.Source[i]), err, res.Out))
		}
	}
	return errors.Join(errs...)
}

func (c *FitCmd) options(e *env) (fit.Options, error) {
	cfg := fit.DefaultConfig()
	cfg.Steps, cfg.Batch, cfg.LR, cfg.Seed, cfg.Width = c.Steps, c.Batch, c.LR, c.Seed, c.Width
	if cfg.Denoiser, cfg.Check = c.Denoiser, c.Check; c.NoCheck {
		cfg.Check = 0
	}
	cfg.Scales, cfg.Jitter, cfg.Flip, cfg.MaxFrames = c.Scales, c.Jitter, c.Flip, c.MaxFrames
	cfg.LSEWeight, cfg.Paper, cfg.Motion = c.LSEWeight, c.Paper, c.Motion
	cfg.Groups, cfg.Normalise, cfg.Set, cfg.MaxCalibration = c.Groups, c.Normalise, c.Set, c.Calibration
	if len(c.Blocks) != len(cfg.Blocks) {
		return fit.Options{}, usagef("--blocks: got %d numbers, want 3, such as 2,0,2", len(c.Blocks))
	}
	cfg.Blocks = [3]int(c.Blocks)
	if err := cfg.Validate(); err != nil { // before the bundle is read
		return fit.Options{}, usageError{err}
	}
	b, err := c.bundle(e)
	if err != nil {
		return fit.Options{}, err
	}
	c.whiten(&cfg, b)
	if err := cfg.Validate(); err != nil {
		return fit.Options{}, usageError{err}
	}
	changed := b.Manifest
	if err := changed.Set(c.Set...); len(c.Set) > 0 && err != nil {
		return fit.Options{}, usageError{fmt.Errorf("--set: %w", err)}
	}
	opt := fit.Options{
		Config: cfg, Bundle: b, Out: c.Out, Name: c.Name, Duration: c.Duration, CalibrateOnly: c.CalibrateOnly, ORT: c.providerFlags.options(),
	}
	opt.ORT.Interrupt = nil // after a signal, the denoiser is still calibrated
	if c.Name != "" {
		if err := models.CheckName(c.Name); err != nil {
			return fit.Options{}, usageError{fmt.Errorf("--name: %w", err)}
		}
	}
	if opt.Size, err = c.size(b); err != nil {
		return fit.Options{}, err
	}
	c.Source = clipsOf(c.Source)
	if opt.Size == (models.Size{}) && !c.CalibrateOnly {
		if opt.Size, err = c.chooseSize(e, b); err != nil {
			return fit.Options{}, err
		}
	}
	pool := ingest.NewPool(8)
	for _, uri := range c.Source {
		s, live, err := footage(e, uri, pool)
		if err != nil {
			return fit.Options{}, err
		}
		if live && c.Duration <= 0 {
			return fit.Options{}, usagef("--source %s never ends: add --duration, for instance --duration 10m",
				ingest.RedactURI(uri))
		}
		opt.Sources, opt.SourceNames = append(opt.Sources, s), append(opt.SourceNames, fit.SourceName(uri))
	}
	return opt, nil
}

// size returns the working size that the flags state, or none.
func (c *FitCmd) size(b *models.Bundle) (size models.Size, err error) {
	if c.Size == "" {
		return size, nil
	}
	if size.Width, size.Height, err = parseSize(c.Size); err != nil {
		return size, err
	}
	if err := b.Manifest.Encoder.CheckSize(size.Width, size.Height); err != nil {
		return size, usagef("--size: %w", err)
	}
	return size, nil
}

// bundle opens the bundle with the encoder. Where the general one is not installed, the embedded one serves in its place.
func (c *FitCmd) bundle(e *env) (*models.Bundle, error) {
	switch {
	case c.Bundle != "":
		return openBundle(e, c.Bundle)
	case c.CalibrateOnly:
		return openBundle(e, models.Default)
	}
	b, err := models.Open(models.General)
	if errors.Is(err, models.ErrNotFound) {
		e.Log.Warn("bundle", "note", fmt.Sprintf("%s serves in its place: %s", models.Embedded, oneLine(err)))
		return models.Open(models.Embedded)
	}
	return b, err
}

// whiten decides whether the features are whitened, and how many components are left out.
func (c *FitCmd) whiten(cfg *fit.Config, b *models.Bundle) {
	cfg.Whiten = fit.WhitensByDefault(b) && !c.Paper
	if c.Whiten != nil {
		cfg.Whiten = *c.Whiten
	}
	cfg.DropComponents = c.Drop
	if c.Drop < 0 {
		cfg.DropComponents = 0
		if cfg.Whiten {
			cfg.DropComponents = fit.DefaultDrop(b.Manifest.Encoder.Channels)
		}
	}
}

// footage opens a source that delivers every frame, and reports whether it is live and never ends.
func footage(e *env, uri string, pool *ingest.Pool) (s ingest.Source, live bool, err error) {
	cfg := ingest.DefaultConfig()
	cfg.URI = uri
	if s, err = source.New(cfg, pool, source.Settings{MayWait: true, Log: e.Log}); err != nil {
		return nil, false, usageError{err}
	}
	u, err := ingest.ParseURI(uri)
	if err != nil {
		return nil, false, usageError{err}
	}
	return s, u.Live(), nil
}

// fitBar draws the progress of a fit: a bar on a terminal, a line every few seconds elsewhere.
type fitBar struct {
	e     *env
	tty   bool
	bar   *progressbar.ProgressBar
	phase fit.Phase
	told  time.Time
}

func newFitBar(e *env) *fitBar {
	_, tty := terminal(e.Stderr)
	return &fitBar{e: e, tty: tty}
}

const fitLineEvery = 5 * time.Second

func (b *fitBar) show(p fit.Progress) {
	if p.Note != "" {
		b.finish()
		fmt.Fprintln(b.e.Stderr, p.Note)
		return
	}
	fresh := p.Phase != b.phase
	b.phase = p.Phase
	if !b.tty {
		if last := p.Steps > 0 && p.Step == p.Steps; fresh || last || time.Since(b.told) >= fitLineEvery {
			b.told = time.Now()
			fmt.Fprintln(b.e.Stderr, fitLine(p))
		}
		return
	}
	if fresh {
		b.finish()
		if p.Phase == fit.Done {
			return
		}
		b.bar = newBar(b.e, p)
	}
	if b.bar == nil {
		return
	}
	b.bar.Describe(fitTitle(p))
	if p.Phase == fit.Features {
		_ = b.bar.Set(p.Frames)
		return
	}
	_ = b.bar.Set(p.Step)
}

func newBar(e *env, p fit.Progress) *progressbar.ProgressBar {
	most := p.Steps
	if p.Phase == fit.Features {
		most = -1 // the length of a stream is unknown
	}
	return progressbar.NewOptions(most, progressbar.OptionSetWriter(visible.Unwrap(e.Stderr)), progressbar.OptionSetWidth(24),
		progressbar.OptionSetPredictTime(true), progressbar.OptionShowCount(), progressbar.OptionClearOnFinish(),
		progressbar.OptionThrottle(100*time.Millisecond))
}

func (b *fitBar) finish() {
	if b.bar != nil {
		_ = b.bar.Finish()
		b.bar = nil
	}
}

func fitTitle(p fit.Progress) string {
	switch p.Phase {
	case fit.Features:
		return fmt.Sprintf("features  %d tokens", p.Tokens)
	case fit.Train:
		return fmt.Sprintf("train  loss %.4f  %.0f rows/s", p.Loss, p.RowsPerSecond)
	default:
		return string(p.Phase)
	}
}

func fitLine(p fit.Progress) string {
	switch p.Phase {
	case fit.Features:
		return fmt.Sprintf("%s, %d frames, %s", fitTitle(p), p.Frames, p.Elapsed.Round(time.Second))
	case fit.Done:
		return "done"
	default:
		return fmt.Sprintf("%s  %d/%d, %s left", fitTitle(p), p.Step, p.Steps, p.Left.Round(time.Second))
	}
}
