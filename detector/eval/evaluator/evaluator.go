package evaluator

import (
	"context"
	"errors"
	"strings"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/detector/eval"
	"github.com/oodcast/oodcast/detector/eval/clips"
	"github.com/oodcast/oodcast/detector/eval/dataset"
	"github.com/oodcast/oodcast/detector/eval/method"
	"github.com/oodcast/oodcast/detector/eval/stream"
	"github.com/oodcast/oodcast/detector/ort"
	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/models"
)

// Options of an Evaluator.
type Options struct {
	ORT ort.Options
	// Seed of everything random: the same seed and input give the same figures.
	Seed uint64
	// SecondLook is whether the detectors take second looks: detector.LookOff, LookAuto or LookOn. Default LookAuto.
	SecondLook string
	// Estimate, unless nil, is told after the first image of a data set how long the rows take.
	Estimate func(method.Estimate)
}

// Evaluator is a bundle that is ready to be evaluated. It is not safe for concurrent use. The caller closes it.
type Evaluator struct {
	bundle  *models.Bundle
	opts    Options
	kit     method.Kit
	engine  *ort.Engine // nil without a denoiser
	encoder *ort.Encoder
	motion  *detector.Motion // of the stream or the clip that is played
	closers []func() error   // in the order of opening
}

// Open loads ONNX Runtime and prepares the bundle. A bundle without a denoiser offers the methods of its encoder.
func Open(b *models.Bundle, o Options) (_ *Evaluator, err error) {
	e := &Evaluator{bundle: b, opts: o, motion: detector.NewMotion()}
	defer func() {
		if err != nil {
			err = errors.Join(err, e.Close())
		}
	}()
	runtime, err := ort.Open("")
	if err != nil {
		return nil, err
	}
	e.closers = append(e.closers, runtime.Close)
	product, err := ort.NewProduct()
	if err != nil {
		return nil, err
	}
	e.closers = append(e.closers, product.Close)
	if b.EncoderOnly() {
		err = e.openEncoder()
	} else {
		err = e.openEngine()
	}
	if err != nil {
		return nil, err
	}
	e.kit.Order, e.kit.Classes = b.Diffusion.Timesteps, b.Manifest.Encoder.Classes
	e.kit.FeaturesOnly = e.encoder.FeaturesOnly()
	e.kit.Surroundings, e.kit.LogitsStride = b.Compound.Side(), b.Manifest.Encoder.LogitsStride
	e.kit.Product, e.kit.Heads, e.kit.Masks, e.kit.Seed = product, e.encoder.HasHeads(), e.encoder.HasMasks(), o.Seed
	return e, nil
}

func (e *Evaluator) openEncoder() error {
	model, err := e.bundle.Encoder()
	if err != nil {
		return err
	}
	if e.encoder, err = ort.NewEncoder(model, e.opts.ORT); err != nil {
		return err
	}
	e.closers = append(e.closers, e.encoder.Close)
	return nil
}

func (e *Evaluator) openEngine() (err error) {
	if e.engine, err = ort.OpenEngine(e.bundle, e.config(), e.opts.ORT); err != nil {
		return err
	}
	e.closers = append(e.closers, e.engine.Close)
	e.encoder = e.engine.Encoder
	e.kit.Detector = func(part string, n int) (*detector.Detector, error) {
		cfg := e.config()
		if cfg.Part = part; part != detector.PartCompound {
			cfg.SecondLook = detector.LookOff
		}
		cfg.Timesteps = detector.Timesteps(n)
		return e.engine.NewDetector(cfg)
	}
	e.kit.Denoising, e.kit.Scorer = e.denoising, e.engine.Scorer
	e.kit.Variant = func(settings []string, s detector.Scorer, n int) (*detector.Detector, error) {
		m, err := e.bundle.Override(settings...)
		if err != nil {
			return nil, err
		}
		cfg := e.config()
		cfg.Timesteps = detector.Timesteps(n)
		return e.engine.NewVariant(m, s, cfg)
	}
	return nil
}

// config returns the settings of the detectors.
func (e *Evaluator) config() detector.Config {
	cfg := detector.DefaultConfig()
	if e.opts.SecondLook != "" {
		cfg.SecondLook = e.opts.SecondLook
	}
	return cfg
}

// denoising makes the scorers of the denoising errors, which the engine does not have.
func (e *Evaluator) denoising(score string) (s detector.Scorer, err error) {
	cfg := e.engine.ScorerConfig()
	if score == method.ReconstructionError {
		s, err = ort.NewReconstructor(cfg, e.opts.ORT)
	} else {
		cfg.Score = models.ScoreMSE
		s, err = ort.NewScorer(cfg, e.opts.ORT)
	}
	if err != nil {
		return nil, err
	}
	e.closers = append(e.closers, s.Close)
	return s, nil
}

// Kit returns what the bundle offers to the methods. It belongs to the evaluator.
func (e *Evaluator) Kit() *method.Kit { return &e.kit }

// Rows makes the rows of the named methods, as [method.NewRows] does. Methods that compare with normal footage need
// [Evaluator.ReadReference] first.
func (e *Evaluator) Rows(methods []string, timesteps []int) ([]method.Row, error) {
	return method.NewRows(&e.kit, methods, timesteps)
}

// Variants makes a row for each list of settings, as [method.NewVariants] does.
func (e *Evaluator) Variants(variants [][]string, timesteps int) ([]method.Row, error) {
	return method.NewVariants(&e.kit, variants, timesteps)
}

// Encode encodes an image as the detector would, with its second look. It neither keeps nor releases the frame. The result is
// valid until the next call.
func (e *Evaluator) Encode(ctx context.Context, f *ingest.Frame) (*detector.Encoding, error) {
	if e.engine != nil {
		return e.engine.Detector.Encode(ctx, f)
	}
	return e.encodeOnce(ctx, f)
}

// encodeOnce is Encode without a second look.
func (e *Evaluator) encodeOnce(ctx context.Context, f *ingest.Frame) (*detector.Encoding, error) {
	w, h := detector.FitSize(f.Width, f.Height, e.bundle.Manifest.Encoder)
	return e.encoder.Encode(ctx, f, w, h)
}

// encodeNext encodes the next frame of a video and looks at what moves in it.
func (e *Evaluator) encodeNext(ctx context.Context, f *ingest.Frame) (*detector.Encoding, error) {
	moves := e.motion.See(f)
	enc, err := e.Encode(ctx, f)
	if err == nil {
		enc.Motion = moves
	}
	return enc, err
}

// Dataset evaluates rows on the images of d, one Measured per row. read reads an image file. LatencyMS is the measured time
// of encoding and scoring, and so differs from run to run.
func (e *Evaluator) Dataset(
	ctx context.Context, d *dataset.Dataset, read func(path string) (*ingest.Frame, error), rows []method.Row, o eval.Options,
) ([]*eval.Measured, error) {
	maps, err := method.Score(ctx, d, read, e.Encode, rows, e.opts.Estimate)
	if err != nil {
		return nil, err
	}
	var results []*eval.Measured
	for i, r := range rows {
		row := e.result(d, r)
		row.LatencyMS = eval.NewLatency(maps.Milliseconds(i))
		opts := o
		if r.Trial {
			opts.Components, opts.Panels, opts.Bootstrap, opts.Draws = false, false, 0, 0
		}
		measured, err := eval.Measure(ctx, d, row, maps.Visits(i), opts)
		if err != nil {
			return nil, err
		}
		results = append(results, measured)
	}
	return results, nil
}

// result returns a row with its names and without figures.
func (e *Evaluator) result(d *dataset.Dataset, r method.Row) eval.Result {
	enc := e.bundle.Manifest.Encoder
	row := eval.Result{
		Dataset: d.Name, Bundle: e.bundle.Name, Method: r.Method, Timesteps: r.Timesteps,
		Encoder: strings.TrimSpace(enc.Architecture + " " + enc.Features),
	}
	if den := e.bundle.Manifest.Denoiser; den != nil {
		row.Denoiser = "mlp"
		if den.Window > 0 {
			row.Denoiser = "unet"
		}
	}
	return row
}

// Stream evaluates rows on a labelled stream, one Result per row, as [stream.Evaluate] does. The caller names the stream.
func (e *Evaluator) Stream(
	ctx context.Context, src ingest.Source, truth *stream.Truth, rows []method.Row, o stream.Options,
) ([]stream.Result, error) {
	results, err := stream.Evaluate(ctx, src, truth, e.encodeNext, rows, o)
	for i := range results {
		results[i].Bundle = e.bundle.Name
	}
	return results, err
}

// Clips evaluates rows on the labelled clips of fixed cameras, one Result per row, as [clips.Evaluate] does.
func (e *Evaluator) Clips(ctx context.Context, set *dataset.Clips, rows []method.Row, o clips.Options) ([]clips.Result, error) {
	results, err := clips.Evaluate(ctx, set, e.encodeNext, rows, o)
	for i := range results {
		results[i].Bundle = e.bundle.Name
	}
	return results, err
}

// Close frees everything. It may be called more than once.
func (e *Evaluator) Close() error {
	var err error
	for len(e.closers) > 0 {
		last := len(e.closers) - 1
		err = errors.Join(err, e.closers[last]())
		e.closers = e.closers[:last]
	}
	return err
}
