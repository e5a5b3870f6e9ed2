package ort

import (
	"errors"
	"fmt"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/models"
	"github.com/oodcast/oodcast/models/checkpoint"
)

// Engine is a bundle's encoder and denoiser, ready to run, with a detector that uses them.
type Engine struct {
	Encoder  *Encoder
	Scorer   *Scorer
	Detector *detector.Detector
	runtime  *Runtime
	manifest models.Manifest
	cal      detector.Calibration
	scorer   ScorerConfig
}

// Parts are what an engine is made of.
type Parts struct {
	models.Manifest
	// Encoder is the model of the encoder.
	Encoder []byte
	// Denoiser holds the weights of the denoiser.
	Denoiser    checkpoint.Tensors
	Calibration detector.Calibration
}

// OpenEngine loads ONNX Runtime and prepares a bundle. The caller closes the engine. For a bundle without a denoiser, it
// returns models.ErrEncoderOnly.
func OpenEngine(b *models.Bundle, cfg detector.Config, opts Options) (*Engine, error) {
	weights, err := b.Denoiser()
	if err != nil {
		return nil, err
	}
	raw, err := b.Calibration()
	if err != nil {
		return nil, err
	}
	cal, err := detector.ParseCalibration(raw)
	if err != nil {
		return nil, fmt.Errorf("bundle %q: %w", b.Path(), err)
	}
	model, err := b.Encoder()
	if err != nil {
		return nil, err
	}
	return OpenParts(b.Path(), Parts{b.Manifest, model, weights, cal}, cfg, opts)
}

// OpenParts is OpenEngine for a bundle that is not in files; messages call it where.
func OpenParts(where string, p Parts, cfg detector.Config, opts Options) (_ *Engine, err error) {
	e := &Engine{}
	defer func() {
		if err != nil {
			err = errors.Join(err, e.Close())
		}
	}()
	if e.runtime, err = Open(""); err != nil {
		return nil, err
	}
	if e.Encoder, err = NewEncoder(p.Encoder, opts); err != nil {
		return nil, fmt.Errorf("bundle %q: %w", where, err)
	}
	noise := p.Diffusion.Noise
	if cfg.Paper {
		noise = models.NoiseIndependent
	}
	e.scorer = ScorerConfig{
		Denoiser: *p.Manifest.Denoiser, Weights: p.Denoiser, Noise: noise, Draws: p.Diffusion.Draws,
		Score: p.Diffusion.Score, Seed: p.Diffusion.Seed, Timesteps: p.Calibration.Timesteps,
	}
	if e.Scorer, err = NewScorer(e.scorer, opts); err != nil {
		return nil, fmt.Errorf("bundle %q: %w", where, err)
	}
	e.manifest, e.cal = p.Manifest, p.Calibration
	e.Detector, err = e.NewDetector(cfg)
	return e, err
}

// NewDetector returns another detector on the same encoder and scorer, with its own control. Only one of an engine's
// detectors may score at a time.
func (e *Engine) NewDetector(cfg detector.Config) (*detector.Detector, error) {
	return detector.New(e.Encoder, e.Scorer, e.manifest, e.cal, string(e.Provider()), cfg)
}

// NewVariant is NewDetector with other settings of the bundle, which its calibration must allow, and with a scorer that
// gives the scores of the engine's.
func (e *Engine) NewVariant(m models.Manifest, s detector.Scorer, cfg detector.Config) (*detector.Detector, error) {
	return detector.New(e.Encoder, s, m, e.cal, string(e.Provider()), cfg)
}

// ScorerConfig returns the configuration of the engine's scorer, for other scorers with the same denoiser.
func (e *Engine) ScorerConfig() ScorerConfig { return e.scorer }

// Provider returns the provider in use by the scorer, which does most of the work.
func (e *Engine) Provider() Provider { return e.Scorer.Provider() }

// Note returns why a provider is not the requested one; empty if it is.
func (e *Engine) Note() string {
	if n := e.Encoder.Note(); n != "" {
		return n
	}
	return e.Scorer.Note()
}

// Close frees everything. It may be called more than once.
func (e *Engine) Close() error {
	var err error
	if e.Scorer != nil {
		err = errors.Join(err, e.Scorer.Close())
	}
	if e.Encoder != nil {
		err = errors.Join(err, e.Encoder.Close())
	}
	if e.runtime != nil {
		err = errors.Join(err, e.runtime.Close())
	}
	return err
}
