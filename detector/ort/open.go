package ort

import (
	"errors"
	"fmt"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/models"
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

// OpenEngine loads ONNX Runtime and prepares a bundle. The caller closes the engine. For a bundle without a denoiser, it
// returns models.ErrEncoderOnly.
func OpenEngine(b *models.Bundle, cfg detector.Config, opts Options) (_ *Engine, err error) {
	e := &Engine{}
	defer func() {
		if err != nil {
			err = errors.Join(err, e.Close())
		}
	}()
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
	if e.runtime, err = Open(""); err != nil {
		return nil, err
	}
	if e.Encoder, err = NewEncoder(model, opts); err != nil {
		return nil, fmt.Errorf("bundle %q: %w", b.Path(), err)
	}
	noise := b.Diffusion.Noise
	if cfg.Paper {
		noise = models.NoiseIndependent
	}
	e.scorer = ScorerConfig{
		Denoiser: *b.Manifest.Denoiser, Weights: weights, Noise: noise, Draws: b.Diffusion.Draws,
		Score: b.Diffusion.Score, Seed: b.Diffusion.Seed, Timesteps: cal.Timesteps,
	}
	if e.Scorer, err = NewScorer(e.scorer, opts); err != nil {
		return nil, fmt.Errorf("bundle %q: %w", b.Path(), err)
	}
	e.manifest, e.cal = b.Manifest, cal
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
