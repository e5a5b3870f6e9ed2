package precision

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/detector/eval"
	"github.com/oodcast/oodcast/detector/eval/evaluator"
	"github.com/oodcast/oodcast/detector/ort"
	"github.com/oodcast/oodcast/models"
)

// timedRounds is how often each held-back frame is timed.
const timedRounds = 3

// compare measures both bundles on the held-back frames and on the labelled set.
func (c *conversionRun) compare(ctx context.Context) (err error) {
	c.Progress("comparing maps and times")
	var engines []*ort.Engine
	defer func() {
		for _, e := range engines {
			err = errors.Join(err, e.Close())
		}
	}()
	var made []mapList
	for _, b := range []*models.Bundle{c.before, c.after} {
		e, err := ort.OpenEngine(b, config(b.Manifest), c.ORT)
		if err != nil {
			return err
		}
		engines = append(engines, e)
		list, err := scored(ctx, b.Manifest, e.Encoder, e.Detector, c.frames.Held)
		if err != nil {
			return err
		}
		made = append(made, list)
	}
	c.report.Moved = made[0].rms(made[1])
	if c.report.Noise, err = noise(ctx, c.before, engines[0], c.frames.Held, made[0], c.ORT); err != nil {
		return err
	}
	c.report.Provider = string(engines[0].Provider())
	if err := c.time(ctx, engines); err != nil {
		return err
	}
	return c.labelled(ctx)
}

// time measures both engines in turn, so that what else the machine does hits both.
func (c *conversionRun) time(ctx context.Context, engines []*ort.Engine) error {
	var encode, score [2][]float64
	for range timedRounds {
		for _, f := range c.frames.Held {
			w, h := detector.FitSize(f.Width, f.Height, c.Bundle.Manifest.Encoder)
			for i, e := range engines {
				begun := time.Now()
				enc, err := e.Encoder.Encode(ctx, f, w, h)
				if err != nil {
					return err
				}
				encoded := time.Now()
				if _, err := e.Detector.ScoreEncoding(enc); err != nil {
					return err
				}
				encode[i] = append(encode[i], encoded.Sub(begun).Seconds()*1000)
				score[i] = append(score[i], time.Since(encoded).Seconds()*1000)
			}
		}
	}
	for i, to := range []*Measured{&c.report.Before, &c.report.After} {
		to.EncodeMS, to.ScoreMS = slices.Min(encode[i]), slices.Min(score[i]) // what else the machine does only adds
	}
	return nil
}

// labelled measures both bundles on the labelled set.
func (c *conversionRun) labelled(ctx context.Context) error {
	if c.Labelled == nil {
		return nil
	}
	c.report.Labelled = c.Labelled.Name
	for i, to := range []*Measured{&c.report.Before, &c.report.After} {
		b := []*models.Bundle{c.before, c.after}[i]
		c.Progress("AP of " + b.Name + " on " + c.Labelled.Name)
		rates, err := c.rates(ctx, b)
		if err != nil {
			return err
		}
		to.Labelled = rates
	}
	return nil
}

func (c *conversionRun) rates(ctx context.Context, b *models.Bundle) (_ Found, err error) {
	e, err := evaluator.Open(b, evaluator.Options{ORT: c.ORT, Seed: c.Seed})
	if err != nil {
		return Found{}, err
	}
	defer func() { err = errors.Join(err, e.Close()) }()
	rows, err := e.Rows([]string{"dood"}, []int{int(config(b.Manifest).Timesteps)})
	if err != nil {
		return Found{}, err
	}
	got, err := e.Dataset(ctx, c.Labelled, c.Read, rows, eval.Options{FPR: eval.FPRNearest, Binned: true})
	if err != nil {
		return Found{}, err
	}
	return Found{AP: got[0].AP, FPR95: got[0].FPR95}, nil
}
