package fit

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/detector/eval"
	"github.com/oodcast/oodcast/detector/synth"
	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/models"
)

// Check tells how well the fit finds things that were pasted into held-back frames, over all their pixels.
type Check struct {
	Images    int     `json:"images"`
	AP        float64 `json:"ap"`    // 0..1
	FPR95     float64 `json:"fpr95"` // 0..1
	Timesteps int     `json:"timesteps"`
}

const (
	checkTimesteps = 5
	fewestProbes   = 4
)

var errFewFrames = errors.New("too few frames were held back")

// pastedFrame is a frame with pasted things: its number in the footage, from which they follow, and its size.
type pastedFrame struct{ Index, Width, Height int }

// pasting returns the generator of the check: shapes drawn by formula, so that a fit needs no pictures of objects.
func pasting(seed uint64) (*synth.Generator, error) {
	cfg := synth.DefaultConfig()
	cfg.Seed, cfg.Kinds = seed, []synth.Kind{synth.KindObject}
	return synth.New(cfg, nil)
}

// probe pastes things into a frame that is held back from the training, and keeps its encoding. Of more than cfg.Check frames
// it keeps a random sample. Pixels are not kept: the labels follow from the number of the frame.
func (c *collector) probe(ctx context.Context, f *ingest.Frame, index int) error {
	at := c.HeldBack
	if at >= c.cfg.Check {
		if at = rand.New(rand.NewPCG(c.cfg.Seed, 0x70726f62^uint64(at))).IntN(at + 1); at >= c.cfg.Check {
			return nil
		}
	}
	copied := ingest.NewFrame(f.Width, f.Height)
	defer copied.Release()
	copy(copied.Pix, f.Pix)
	c.paste.Paste(copied.Pix, f.Width, f.Height, index)
	enc, err := c.plain(ctx, copied)
	if err != nil {
		return err
	}
	pasted := pastedFrame{index, f.Width, f.Height}
	if at == len(c.Probes) {
		c.Probes, c.Pasted = append(c.Probes, enc), append(c.Pasted, pasted)
	} else {
		c.Probes[at], c.Pasted[at] = enc, pasted
	}
	return nil
}

// encodings returns all encodings but the spare ones.
func (c *collected) encodings() []*detector.Encoding {
	var list []*detector.Encoding
	for _, group := range [][]detector.Encoding{c.Held, c.Probes, c.Looks} {
		for i := range group {
			list = append(list, &group[i])
		}
	}
	return list
}

// check scores the probes as the bundle will.
func check(scorer detector.Scorer, m models.Manifest, cal detector.Calibration, got *collected, seed uint64) (*Check, error) {
	if n := len(got.Probes); n < fewestProbes {
		return nil, fmt.Errorf("%w: %d, want at least %d", errFewFrames, n, fewestProbes)
	}
	cfg := detector.DefaultConfig()
	cfg.Timesteps = detector.Timesteps(min(checkTimesteps, len(m.Diffusion.Timesteps)))
	d, err := detector.New(nil, scorer, m, cal, "", cfg)
	if err != nil {
		return nil, err
	}
	paste, err := pasting(seed)
	if err != nil {
		return nil, err
	}
	pool := eval.NewBinnedPool(len(got.Probes))
	var values []float32
	for i, p := range got.Pasted {
		one, err := d.ScoreEncoding(&got.Probes[i])
		if err != nil {
			return nil, err
		}
		values = one.ResizeTo(values, p.Width, p.Height)
		labels, _ := paste.Paste(nil, p.Width, p.Height, p.Index)
		if err := pool.Set(i, values, labels, synth.Anomalous); err != nil {
			return nil, err
		}
	}
	rates, err := pool.Metrics()
	if err != nil {
		return nil, err
	}
	round := func(v float64) float64 { return math.Round(v*1e4) / 1e4 }
	return &Check{Images: pool.Images(), AP: round(rates.AP), FPR95: round(rates.FPR95), Timesteps: int(cfg.Timesteps)}, nil
}
