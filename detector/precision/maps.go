package precision

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/detector/ort"
	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/models"
)

// mapList holds the values of a map for each of several frames.
type mapList [][]float32

// rms returns the root mean square of the difference of two lists of mapList, in deviations of normal footage.
func (a mapList) rms(b mapList) float64 {
	sum, n := 0.0, 0
	for i := range a {
		for j, v := range a[i] {
			d := float64(v) - float64(b[i][j])
			sum += d * d
		}
		n += len(a[i])
	}
	return math.Sqrt(sum / float64(max(1, n)))
}

// Noise is how far the maps of a bundle move by themselves: the root mean square of a difference, in deviations of normal
// footage.
type Noise struct {
	Seeds     float64 `yaml:"seeds" json:"seeds"`         // with another seed of the diffusion noise
	Timesteps float64 `yaml:"timesteps" json:"timesteps"` // with other timesteps, as many
}

// Most returns the larger of the two.
func (n Noise) Most() float64 { return max(n.Seeds, n.Timesteps) }

// scored makes the maps of frames with an encoder of the bundle.
func scored(ctx context.Context, m models.Manifest, enc *ort.Encoder, det *detector.Detector, frames []*ingest.Frame) (mapList, error) {
	var list mapList
	for _, f := range frames {
		w, h := detector.FitSize(f.Width, f.Height, m.Encoder)
		e, err := enc.Encode(ctx, f, w, h)
		if err != nil {
			return nil, err
		}
		one, err := det.ScoreEncoding(e)
		if err != nil {
			return nil, err
		}
		list = append(list, slices.Clone(one.Values))
	}
	return list, nil
}

// noise measures a bundle whose maps are given.
func noise(ctx context.Context, b *models.Bundle, engine *ort.Engine, frames []*ingest.Frame, as mapList, opts ort.Options) (n Noise, err error) {
	cfg := engine.ScorerConfig()
	cfg.Seed++
	other, err := ort.NewScorer(cfg, opts)
	if err != nil {
		return n, err
	}
	defer func() { err = errors.Join(err, other.Close()) }()
	det, err := engine.NewVariant(b.Manifest, other, config(b.Manifest))
	if err != nil {
		return n, err
	}
	moved, err := scored(ctx, b.Manifest, engine.Encoder, det, frames)
	if err != nil {
		return n, err
	}
	n.Seeds = as.rms(moved)
	order := b.Diffusion.Timesteps
	if len(order) < 2 {
		return n, nil
	}
	list := config(b.Manifest)
	count := min(timesteps, len(order)/2)
	list.Timesteps, list.List = 0, order[count:2*count]
	if det, err = engine.NewDetector(list); err != nil {
		return n, err
	}
	if moved, err = scored(ctx, b.Manifest, engine.Encoder, det, frames); err != nil {
		return n, err
	}
	n.Timesteps = as.rms(moved)
	return n, nil
}

// config returns the settings of the detectors that are compared.
func config(m models.Manifest) detector.Config {
	cfg := detector.DefaultConfig()
	cfg.Timesteps = detector.Timesteps(min(timesteps, len(m.Diffusion.Timesteps)))
	return cfg
}

// variant opens an encoder for the duration of f.
func variant(model []byte, opts ort.Options, f func(*ort.Encoder) error) error {
	enc, err := ort.NewEncoder(model, opts)
	if err != nil {
		return fmt.Errorf("precision: %w", err)
	}
	return errors.Join(f(enc), enc.Close())
}
