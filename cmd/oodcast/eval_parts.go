package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/detector/eval"
	"github.com/oodcast/oodcast/detector/events"
	"github.com/oodcast/oodcast/detector/ort"
	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/models"
)

// evalVars are the names that the help shows.
func evalVars() map[string]string {
	return map[string]string{
		"eval_methods": strings.Join(eval.MethodNames(), ", "),
		"min_area":     fmt.Sprint(events.DefaultConfig().MinArea),
	}
}

// evalParts is what a bundle offers to the methods. A bundle without a denoiser has its encoder to offer.
type evalParts struct {
	bundle  *models.Bundle
	kit     eval.Kit
	runtime *ort.Runtime
	engine  *ort.Engine // nil without a denoiser
	encoder *ort.Encoder
	product *ort.Product
	closers []func() error
}

// seed is that of everything random.
func (c *EvalCmd) seed() uint64 {
	if c.Seed == nil {
		return 1
	}
	return *c.Seed
}

// openParts opens the bundle and reads the normal footage.
func (c *EvalCmd) openParts(e *env) (_ *evalParts, err error) {
	p := &evalParts{}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.Close())
		}
	}()
	if p.bundle, err = models.Open(c.Bundle); err != nil {
		return nil, err
	}
	if p.bundle.Manifest, err = p.bundle.Override(c.Set...); err != nil {
		return nil, usageError{fmt.Errorf("--set: %w", err)}
	}
	if err := p.open(c.options()); err != nil {
		return nil, err
	}
	p.kit.Order, p.kit.Classes = p.bundle.Diffusion.Timesteps, p.bundle.Manifest.Encoder.Classes
	p.kit.Product, p.kit.Masks, p.kit.Seed = p.product, p.encoder.HasMasks(), c.seed()
	if len(c.Reference) > 0 {
		p.kit.Reference, err = c.reference(e, p.encode)
	}
	return p, err
}

func (p *evalParts) open(opts ort.Options) (err error) {
	if p.runtime, err = ort.Open(""); err != nil {
		return err
	}
	p.closers = append(p.closers, p.runtime.Close)
	if p.product, err = ort.NewProduct(); err != nil {
		return err
	}
	p.closers = append(p.closers, p.product.Close)
	if p.bundle.EncoderOnly() {
		model, err := p.bundle.Encoder()
		if err != nil {
			return err
		}
		if p.encoder, err = ort.NewEncoder(model, opts); err == nil {
			p.closers = append(p.closers, p.encoder.Close)
		}
		return err
	}
	if p.engine, err = ort.OpenEngine(p.bundle, detector.DefaultConfig(), opts); err != nil {
		return err
	}
	p.closers = append(p.closers, p.engine.Close)
	p.encoder = p.engine.Encoder
	p.kit.Detector = func(part string, n int) (*detector.Detector, error) {
		cfg := detector.DefaultConfig()
		cfg.Part, cfg.Timesteps = part, detector.Timesteps(n)
		return p.engine.NewDetector(cfg)
	}
	p.kit.Denoising = func(score string) (detector.Scorer, error) { return p.denoising(score, opts) }
	return nil
}

// denoising makes the scorers that the engine does not have.
func (p *evalParts) denoising(score string, opts ort.Options) (s detector.Scorer, err error) {
	cfg := p.engine.ScorerConfig()
	if score == eval.ReconstructionError {
		s, err = ort.NewReconstructor(cfg, opts)
	} else {
		cfg.Score = models.ScoreMSE
		s, err = ort.NewScorer(cfg, opts)
	}
	if err != nil {
		return nil, err
	}
	p.closers = append(p.closers, s.Close)
	return s, nil
}

// encode encodes a picture at the working size that the detector would choose.
func (p *evalParts) encode(ctx context.Context, f *ingest.Frame) (*detector.Encoding, error) {
	w, h := detector.FitSize(f.Width, f.Height, p.bundle.Manifest.Encoder)
	return p.encoder.Encode(ctx, f, w, h)
}

// Close frees everything, last opened first.
func (p *evalParts) Close() error {
	var err error
	for len(p.closers) > 0 {
		last := len(p.closers) - 1
		err = errors.Join(err, p.closers[last]())
		p.closers = p.closers[:last]
	}
	return err
}

// result is a row that names what made it.
func (p *evalParts) result(d *eval.Dataset, r eval.Row) eval.Result {
	enc := p.bundle.Manifest.Encoder
	row := eval.Result{
		Dataset: d.Name, Bundle: p.bundle.Name, Method: r.Method, Timesteps: r.Timesteps,
		Encoder: strings.TrimSpace(enc.Architecture + " " + enc.Features),
	}
	if den := p.bundle.Manifest.Denoiser; den != nil {
		row.Denoiser = "mlp"
		if den.Window > 0 {
			row.Denoiser = "unet"
		}
	}
	return row
}
