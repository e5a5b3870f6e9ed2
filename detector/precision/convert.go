package precision

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/oodcast/oodcast/detector/fit"
	"github.com/oodcast/oodcast/detector/ort"
	"github.com/oodcast/oodcast/models"
	"github.com/oodcast/oodcast/models/graph"
)

// halfFrom is the size in bytes from which weights are stored in half precision.
const halfFrom = 1 << 10

// provenanceKey is where a manifest's provenance keeps the report.
const provenanceKey = "precision"

// Run converts a bundle and writes the new one. If the maps move by more than their own noise, it returns [ErrMoved] with a
// report, and writes nothing.
func Run(ctx context.Context, o Options) (_ *Report, err error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	frames, err := o.draw(ctx)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(filepath.Dir(filepath.Clean(o.Out)), ".oodcast-precision-*") // bundles may be large
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	runtime, err := ort.Open("")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, runtime.Close()) }()
	r := &Report{
		Precision: o.Precision, From: strings.TrimSpace(o.Bundle.Name + " " + o.Bundle.Version), Sources: o.Footage.Names,
		Frames: len(frames.Held),
	}
	c := &conversionRun{Options: o, dir: dir, frames: frames, report: r}
	if err := c.convert(ctx); err != nil {
		return nil, err
	}
	if err := c.compare(ctx); err != nil {
		return nil, err
	}
	if !(r.Moved <= r.Noise.Most()) {
		return r, fmt.Errorf("%w: %.3f deviations of normal footage on held-back frames, against %.3f: keep %s in float32, or convert with "+
			"more --normal footage of the same cameras", ErrMoved, r.Moved, r.Noise.Most(), o.Bundle.Name)
	}
	return r, c.write()
}

// conversionRun is a conversion in progress.
type conversionRun struct {
	Options
	dir           string
	frames        sample
	report        *Report
	before, after *models.Bundle // both calibrated on the footage
}

// convert makes the new encoder, and calibrates the given bundle and the new one on the footage.
func (c *conversionRun) convert(ctx context.Context) error {
	model, err := c.Bundle.Encoder()
	if err != nil {
		return err
	}
	c.report.Before.EncoderBytes = int64(len(model))
	if c.Precision == FP16 {
		model, err = half(model)
	} else {
		model, err = c.integers(ctx, model)
	}
	if err != nil {
		return err
	}
	c.report.After.EncoderBytes = int64(len(model))
	if c.Precision == FP16 && c.report.After.EncoderBytes >= c.report.Before.EncoderBytes {
		return fmt.Errorf("%w: the encoder of %s has no weights in single precision that half precision could hold", ErrNothing, c.Bundle.Name)
	}
	made := filepath.Join(c.dir, "made")
	if err := c.candidate(made, model); err != nil {
		return err
	}
	c.Progress("calibrating both bundles")
	if c.before, err = c.calibrated(ctx, c.Bundle, "before", &c.report.Before); err != nil {
		return err
	}
	b, err := models.Open(made)
	if err != nil {
		return err
	}
	c.after, err = c.calibrated(ctx, b, "after", &c.report.After)
	return err
}

func half(model []byte) ([]byte, error) {
	m, err := graph.Parse(model)
	if err == nil {
		err = m.Halve(halfFrom)
	}
	if err != nil {
		return nil, err
	}
	return m.Marshal(), nil
}

// integers returns the encoder with 8-bit integers.
func (c *conversionRun) integers(ctx context.Context, model []byte) (_ []byte, err error) {
	parsed, err := graph.Parse(model)
	if err != nil {
		return nil, err
	}
	if slices.ContainsFunc(parsed.Operators(), func(op graph.Operator) bool { return op.Type == "QuantizeLinear" }) {
		return nil, fmt.Errorf("%w: the encoder of %s has 8-bit integers already: convert the bundle that it was made of", ErrNothing, c.Bundle.Name)
	}
	ops := parsed.Quantisable()
	c.report.Candidates = len(ops)
	c.Progress(fmt.Sprintf("ranges of %d operators on %d frames", len(ops), len(c.frames.Ranges)))
	seen, err := observe(ctx, c.Bundle.Manifest, model, ops, c.frames.Ranges, c.ORT)
	if err != nil {
		return nil, err
	}
	engine, err := ort.OpenEngine(c.Bundle, config(c.Bundle.Manifest), c.ORT)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, engine.Close()) }()
	exact, err := scored(ctx, c.Bundle.Manifest, engine.Encoder, engine.Detector, c.frames.Search)
	if err != nil {
		return nil, err
	}
	limit, err := noise(ctx, c.Bundle, engine, c.frames.Search, exact, c.ORT)
	if err != nil {
		return nil, err
	}
	s := &search{
		model: model, ops: ops, seen: seen, frames: c.frames.Search, det: engine.Detector, m: c.Bundle.Manifest,
		opts: c.ORT, exact: exact, report: c.Progress,
	}
	chosen, err := s.choose(ctx, limit.Most())
	if err != nil {
		return nil, err
	}
	c.report.Operators = len(chosen)
	return quantised(model, chosen, seen.ranges)
}

// goldenTolerance is that of an encoder with integers: the last bit of a float32 may decide about a step of 1/255 of a range, but
// sums that end at 16 bits move outputs by a quarter of their root mean square.
const goldenTolerance = 0.05

// candidate writes the new bundle with the calibration of the given one.
func (c *conversionRun) candidate(dir string, model []byte) error {
	files := map[string][]byte{}
	for _, name := range c.Bundle.FileNames() {
		raw, err := c.Bundle.ReadFile(name)
		if err != nil {
			return err
		}
		files[name] = raw
	}
	files[models.EncoderFile] = model
	m := c.Bundle.Manifest
	m.Name = c.Name
	m.Version = strings.TrimSpace(m.Version + " " + string(c.Precision))
	err := ort.Runner{Options: ort.Options{Threads: c.ORT.Threads}}.Run(model, func(encode models.EncodeFunc) error {
		g, err := models.NewGolden(encode, m.Encoder.GoldenSize())
		if err != nil {
			return err
		}
		if c.Precision == INT8 {
			g.Tolerance = goldenTolerance
		}
		files[models.GoldenFile], err = g.Marshal()
		return err
	})
	if err != nil {
		return err
	}
	return models.Write(dir, m, files)
}

// calibrated calibrates a bundle on the footage, as oodcast fit --calibrate-only does.
func (c *conversionRun) calibrated(ctx context.Context, b *models.Bundle, name string, to *Measured) (*models.Bundle, error) {
	sources, err := c.Footage.Open()
	if err != nil {
		return nil, err
	}
	cfg := fit.DefaultConfig()
	cfg.Seed = c.Seed
	res, err := fit.Run(ctx, fit.Options{
		Config: cfg, Bundle: b, Sources: sources, SourceNames: c.Footage.Names, Out: filepath.Join(c.dir, name), CalibrateOnly: true,
		ORT: c.ORT,
	})
	if err != nil {
		return nil, err
	}
	to.Threshold = float64(res.Threshold)
	if res.Check != nil {
		to.Pasted = Found{AP: res.Check.AP, FPR95: res.Check.FPR95}
	}
	return models.Open(res.Out)
}

// write writes the new bundle with the report.
func (c *conversionRun) write() error {
	files := map[string][]byte{}
	for _, name := range c.after.FileNames() {
		raw, err := c.after.ReadFile(name)
		if err != nil {
			return err
		}
		files[name] = raw
	}
	m := c.after.Manifest
	m.Provenance = maps.Clone(m.Provenance)
	delete(m.Provenance, models.SpeedKey) // of the given bundle
	raw, err := yaml.Marshal(c.report)
	if err != nil {
		return err
	}
	var note map[string]any
	if err := yaml.Unmarshal(raw, &note); err != nil {
		return err
	}
	if m.Provenance == nil {
		m.Provenance = map[string]any{}
	}
	m.Provenance[provenanceKey] = note
	files[models.CardFile] = c.report.card(files[models.CardFile])
	return models.Write(c.Out, m, files)
}
