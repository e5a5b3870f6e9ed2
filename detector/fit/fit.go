package fit

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/detector/ort"
	"github.com/oodcast/oodcast/models"
	"github.com/oodcast/oodcast/models/checkpoint"
	"github.com/oodcast/oodcast/models/nets"
)

// run is one fit in progress.
type run struct {
	opt      Options
	begun    time.Time
	key      string // identifies the fit that a state belongs to
	manifest models.Manifest
	result   Result
	norm     normalisation
	weights  weights
	tensors  checkpoint.Tensors // the finished denoiser

	encoder    []byte // encoder.onnx
	goldenFile []byte // golden.json, if the encoder is not that of the given bundle
}

// Run fits the denoiser and writes the bundle. If ctx is cancelled while Run reads frames, it returns an error and leaves
// a state from which the same fit continues. If ctx is cancelled during the training, Run ends the training and writes the
// bundle with the denoiser as it is.
func Run(ctx context.Context, opt Options) (*Result, error) {
	if err := opt.Validate(); err != nil {
		return nil, err
	}
	if opt.CalibrateOnly && opt.Bundle.EncoderOnly() {
		return nil, fmt.Errorf("fit: calibrate only: %w", models.ErrEncoderOnly)
	}
	if opt.CalibrateOnly && opt.Whiten {
		return nil, errors.New("fit.whiten: got true, want false with calibrate only: it keeps the encoder")
	}
	if opt.LSEWeight > 0 && opt.Bundle.Manifest.Encoder.FeaturesOnly() {
		return nil, fmt.Errorf("fit.lse_weight: got %v, want none: the bundle's encoder knows no classes, so there is no uncertainty "+
			"to weigh", opt.LSEWeight)
	}
	manifest, err := opt.prepare()
	if err != nil {
		return nil, err
	}
	if opt.Progress == nil {
		opt.Progress = func(Progress) {}
	}
	runtime, err := ort.Open("")
	if err != nil {
		return nil, err
	}
	r := &run{opt: opt, begun: time.Now(), manifest: manifest}
	err = r.run(ctx)
	if err := errors.Join(err, runtime.Close()); err != nil {
		return nil, err
	}
	return &r.result, nil
}

func (r *run) run(ctx context.Context) error {
	var err error
	if r.key, err = r.fingerprint(); err != nil {
		return err
	}
	got, err := r.collect(ctx)
	if err != nil {
		return err
	}
	r.result.Frames, r.result.CalibrationFrames, r.result.Tokens = got.Encoded, len(got.Held), got.Sample.tokens()
	if err := r.check(got.Held); err != nil {
		return err
	}
	if r.opt.Whiten {
		if err := r.whiten(got); err != nil {
			return err
		}
	}
	if r.opt.CalibrateOnly {
		if r.tensors, err = r.opt.Bundle.Denoiser(); err == nil {
			err = r.manifest.Set(r.opt.Set...)
		}
	} else {
		err = r.train(ctx, &got.Sample)
	}
	if err != nil {
		return err
	}
	got.Sample.data = nil
	// Calibrate even if the training was cancelled: it takes seconds, and the training would be lost without it.
	cal, err := r.calibrate(context.WithoutCancel(ctx), got)
	if err != nil && !r.opt.CalibrateOnly {
		return r.keep(err)
	}
	if err != nil {
		return err
	}
	return r.write(&cal)
}

// check returns an error for calibration frames that no training can make usable.
func (r *run) check(held []detector.Encoding) error {
	if err := finiteFeatures(held); err != nil {
		return err
	}
	if r.manifest.Encoder.FeaturesOnly() {
		return nil
	}
	if err := moments(held).Validate(); err != nil {
		return fmt.Errorf("fit: the logits of this network say nothing about this footage (their logsumexp: %w): import the network "+
			"with --logits none, or use other footage", err)
	}
	return nil
}

// keep writes the bundle without a calibration after fault, so that the training is not lost.
func (r *run) keep(fault error) error {
	r.manifest.Uncalibrated = strings.ReplaceAll(fault.Error(), "\n", "; ")
	if err := r.write(nil); err != nil {
		return errors.Join(fault, err)
	}
	return fmt.Errorf("%s: the trained denoiser is in %s; calibrate it with oodcast fit --calibrate-only --bundle %s",
		r.manifest.Uncalibrated, r.opt.Out, r.opt.Out)
}

// fingerprint returns a hash of everything on which the features and weights of a fit depend.
func (r *run) fingerprint() (string, error) {
	cfg := r.opt.Config
	cfg.Checkpoint, cfg.LSEWeight = 0, 0
	raw, err := json.Marshal(struct {
		Config  Config
		Encoder models.File
		Spec    models.EncoderSpec
		Sources []string
		Only    bool
	}{cfg, r.manifest.Files[models.EncoderFile], r.manifest.Encoder, r.opt.SourceNames, r.opt.CalibrateOnly})
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:16]), nil
}

// collect gathers the features. It continues from the state, if there is one.
func (r *run) collect(ctx context.Context) (*collected, error) {
	var err error
	if r.encoder, err = r.opt.Bundle.Encoder(); err != nil {
		return nil, err
	}
	enc, err := ort.NewEncoder(r.encoder, r.opt.ORT)
	if err != nil {
		return nil, err
	}
	defer func() { _ = enc.Close() }()
	r.result.Provider = string(enc.Provider())
	if note := enc.Note(); note != "" {
		r.opt.Progress(Progress{Phase: Features, Note: note})
	}
	path := filepath.Join(stateDir(r.opt.Out), featuresFile)
	c := &collector{
		motion: detector.NewMotion(), sized: r.opt.Size != (models.Size{}),
		cfg: r.opt.Config, spec: r.manifest.Encoder, encoder: enc, calibrateOnly: r.opt.CalibrateOnly,
		limit: r.opt.Duration, report: r.opt.Progress,
	}
	settings := r.manifest // those in force after the training
	if err := settings.Set(r.opt.Set...); err != nil {
		return nil, err
	}
	c.looks = settings.Compound.Rule == models.RuleSized && !r.opt.Paper
	complete := false
	if c.paste, err = pasting(r.opt.Seed); err != nil {
		return nil, err
	}
	c.Sample = sample{channels: r.manifest.Encoder.Channels, limit: r.opt.MaxTokens, window: r.opt.window()}
	if kept, done, err := readFeatures(path, r.key); err == nil {
		c.collected, complete, r.result.Resumed = *kept, done, true
		r.opt.Progress(Progress{Phase: Features, Note: fmt.Sprintf("continuing after frame %d", kept.Index)})
	}
	c.save = func() error { return writeFeatures(path, r.key, &c.collected, c.finished) }
	if !complete {
		err = c.run(ctx, r.opt.Sources)
	}
	return &c.collected, err
}

// train prepares and trains the denoiser. It continues from the state, if there is one.
func (r *run) train(ctx context.Context, s *sample) error {
	var err error
	if r.opt.Paper || r.opt.Normalise == models.NormaliseGlobal {
		r.norm, err = s.global()
	} else {
		r.norm, err = s.perChannel()
	}
	if err != nil {
		return err
	}
	std := s.apply(r.norm)
	r.describe(std)
	if err := r.manifest.Set(r.opt.Set...); err != nil {
		return err
	}
	net := *r.manifest.Denoiser
	path := filepath.Join(stateDir(r.opt.Out), trainingFile)
	if r.weights, err = readWeights(path, r.key, nets.DenoiserSize(net)); err == nil {
		r.result.Resumed = true
		r.opt.Progress(Progress{Phase: Train, Note: fmt.Sprintf("continuing after step %d", r.weights.Step)})
	} else {
		flat, err := nets.FlattenDenoiser(net, nets.InitDenoiser(net, r.opt.Seed))
		if err != nil {
			return err
		}
		r.weights = weights{params: flat, m: make([]float32, len(flat)), v: make([]float32, len(flat))}
	}
	tr, err := newTrainer(r.opt.Config, net, r.manifest.Diffusion.Timesteps, &r.weights, r.opt.ORT)
	if err != nil {
		return err
	}
	defer func() { _ = tr.close() }()
	err = tr.train(ctx, s, &r.weights, r.opt.Progress, func() error { return writeWeights(path, r.key, &r.weights) })
	if err != nil {
		return err
	}
	r.result.Steps, r.result.Loss = r.weights.Step, r.weights.Loss
	r.result.Interrupted = r.weights.Step < r.opt.Steps
	return r.finish(net)
}

// describe fills in the manifest for features of the given standard deviation.
func (r *run) describe(std float64) {
	m, c := &r.manifest, r.opt.Config
	width := c.Width
	if width == 0 {
		width = m.Encoder.Channels + m.Encoder.Channels%2
	}
	m.Denoiser = &models.DenoiserConfig{
		Channels: m.Encoder.Channels, Width: width, Groups: c.Groups, Blocks: c.Blocks, Time: models.TimeSinusoidal,
		InputProjection: width != m.Encoder.Channels, Window: c.window(),
	}
	m.Normalise, m.Diffusion.Noise = c.Normalise, models.NoiseAntithetic
	if c.Paper {
		m.Normalise, m.Diffusion.Noise = models.NormaliseGlobal, models.NoiseIndependent
		m.Compound = models.Compound{Rule: models.RuleStandardised, LSEWeight: 1, Upsample: models.UpsampleNearest}
	}
	m.Diffusion.Timesteps = c.order(std)
}

// finish converts the flat parameters to the tensors of the bundle.
func (r *run) finish(net models.DenoiserConfig) error {
	var err error
	if r.tensors, err = nets.UnflattenDenoiser(net, r.weights.params); err != nil {
		return err
	}
	for name, data := range map[string][]float32{nets.NormShift: r.norm.shift, nets.NormScale: r.norm.scale} {
		r.tensors[name] = &checkpoint.Tensor{Name: name, Shape: []int{len(data)}, Data: data}
	}
	return nil
}

// calibrate measures the held-back frames, and then checks the fit.
func (r *run) calibrate(ctx context.Context, got *collected) (detector.Calibration, error) {
	if r.opt.LSEWeight >= 0 {
		r.manifest.Compound.LSEWeight = r.opt.LSEWeight
	}
	d := r.manifest.Diffusion
	scorer, err := ort.NewScorer(ort.ScorerConfig{
		Denoiser: *r.manifest.Denoiser, Weights: r.tensors, Noise: d.Noise, Draws: d.Draws, Score: d.Score, Seed: d.Seed,
		Timesteps: d.Timesteps,
	}, r.opt.ORT)
	if err != nil {
		return detector.Calibration{}, err
	}
	cal, err := calibrate(ctx, scorer, r.manifest, got, r.opt.Progress)
	if err == nil {
		r.noteMotion(&cal)
	}
	if err == nil && r.opt.Check > 0 {
		if r.result.Check, err = check(scorer, r.manifest, cal, got, r.opt.Seed); err != nil { // the fit itself is complete
			r.opt.Progress(Progress{Phase: Calibrate, Note: fmt.Sprintf("no check with pasted objects: %v", err)})
			err = nil
		}
	}
	return cal, errors.Join(err, scorer.Close())
}

// noteMotion says why motion does not count, if it was asked for.
func (r *run) noteMotion(cal *detector.Calibration) {
	m := &r.manifest.Compound
	if m.MotionWeight > 0 && (cal.Voices == nil || cal.Voices.Motion == nil) {
		m.MotionWeight = 0
		r.opt.Progress(Progress{Phase: Calibrate, Note: "motion does not count: the camera moves, or there are too few frames in a row"})
	}
}

// write writes the bundle, without a calibration if cal is nil, and removes the state. After an interruption the state
// stays, so that the same command can continue.
func (r *run) write(cal *detector.Calibration) error {
	files := map[string][]byte{}
	for _, name := range r.opt.Bundle.FileNames() {
		raw, err := r.opt.Bundle.ReadFile(name)
		if err != nil {
			return err
		}
		files[name] = raw
	}
	var err error
	delete(files, models.CalibrationFile)
	if cal != nil {
		r.manifest.Uncalibrated = ""
		if files[models.CalibrationFile], err = cal.Marshal(); err != nil {
			return err
		}
	}
	files[models.EncoderFile] = r.encoder
	if r.goldenFile != nil {
		files[models.GoldenFile] = r.goldenFile
	}
	if files[models.DenoiserFile], err = checkpoint.MarshalSafetensors(r.tensors, nil); err != nil {
		return err
	}
	r.provenance()
	files[models.CardFile] = r.card(files[models.CardFile], cal)
	if err := models.Write(r.opt.Out, r.manifest, files); err != nil {
		return err
	}
	r.result.Out, r.result.Seconds = r.opt.Out, time.Since(r.begun).Seconds()
	r.result.Timesteps = r.manifest.Diffusion.Timesteps
	if cal != nil {
		r.result.Threshold = cal.DefaultThreshold()
	}
	r.opt.Progress(Progress{Phase: Done, Step: r.result.Steps, Steps: r.opt.Steps, Loss: r.result.Loss})
	if r.result.Interrupted {
		return nil
	}
	return os.RemoveAll(stateDir(r.opt.Out))
}

// provenance records in the manifest how the denoiser was made.
func (r *run) provenance() {
	p := map[string]any{}
	for k, v := range r.manifest.Provenance {
		p[k] = v
	}
	if r.opt.Bundle.EncoderOnly() { // it was for fits; the new one is for what it was fitted to
		delete(p, models.PurposeKey)
	}
	note := map[string]any{
		"sources": r.opt.SourceNames, "frames": r.result.Frames, "calibration_frames": r.result.CalibrationFrames,
		"tokens": r.result.Tokens, "seed": r.opt.Seed,
	}
	if c := r.result.Check; c != nil {
		note["check"] = map[string]any{"images": c.Images, "ap": c.AP, "fpr95": c.FPR95, "timesteps": c.Timesteps, "seed": r.opt.Seed}
	}
	if r.opt.CalibrateOnly {
		p["calibration"] = note
	} else {
		note["steps"], note["batch"], note["lr"], note["loss"] = r.result.Steps, r.opt.Batch, r.opt.LR, r.result.Loss
		note["interrupted"] = r.result.Interrupted
		p["fit"] = note
	}
	if r.opt.Whiten { // stays when another fit keeps this encoder
		p[whiteningKey] = map[string]any{
			"sources": r.opt.SourceNames, "components": r.manifest.Encoder.Channels, "dropped": r.opt.DropComponents,
		}
	}
	r.manifest.Provenance = p
}
