package main

import (
	"context"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/detector/eval"
	"github.com/oodcast/oodcast/detector/ort"
	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/ingest/opencv"
	"github.com/oodcast/oodcast/models"
)

// EvalCmd measures AP, AUROC and FPR95 on labelled images.
type EvalCmd struct {
	Dataset       string   `required:"" help:"roadanomaly, roadanomaly21, roadobstacle21, fs_lostfound, fs_static, ade_ood, folder."`
	Root          string   `required:"" type:"existingdir" help:"Folder of the data set."`
	Bundle        string   `placeholder:"NAME|DIR" default:"roadscene" help:"Bundle to evaluate."`
	Method        []string `default:"dood" help:"dood (compound), dood-diffusion, lse; may be repeated."`
	Timesteps     []int    `default:"5" help:"The |T| to evaluate."`
	Scores        string   `type:"existingdir" help:"Folder of score files: evaluate these instead of a bundle."`
	Suffix        string   `default:"_scores.npy" help:"Ending of a score file after the image's name."`
	Limit         int      `placeholder:"N" help:"Only the first N images."`
	OODValue      int      `name:"ood-value" default:"-1" help:"Label of anomalous pixels; default: the data set's own."`
	evalOutput    `embed:""`
	providerFlags `embed:""`
}

// Run evaluates and prints a table.
func (c *EvalCmd) Run(e *env) error {
	d, err := c.dataset()
	if err != nil {
		return err
	}
	var rows []*eval.Measured
	if c.Scores != "" {
		row, err := d.Measure(e, eval.Result{Dataset: d.Name, Method: "scores"}, d.ScoreFiles(c.Scores, c.Suffix), c.measure())
		if err != nil {
			return err
		}
		rows = append(rows, row)
	} else if rows, err = c.bundle(e, d); err != nil {
		return err
	}
	return c.output(e, rows)
}

func (c *EvalCmd) dataset() (*eval.Dataset, error) {
	d, err := eval.Open(c.Dataset, c.Root)
	if err != nil {
		return nil, usageError{err}
	}
	if c.OODValue >= eval.Ignore {
		return nil, usagef("--ood-value: got %d, want 0 to 254", c.OODValue)
	}
	if c.OODValue >= 0 {
		d.OOD = uint8(c.OODValue)
	}
	if c.Limit > 0 {
		d.Items = d.Items[:min(c.Limit, len(d.Items))]
	}
	return d, nil
}

// bundle evaluates each method at each |T|, one row each.
func (c *EvalCmd) bundle(e *env, d *eval.Dataset) ([]*eval.Measured, error) {
	b, err := models.Open(c.Bundle)
	if err != nil {
		return nil, err
	}
	engine, err := ort.OpenEngine(b, detector.DefaultConfig(), c.options())
	if err != nil {
		return nil, err
	}
	defer engine.Close()
	rows, err := c.rows(engine)
	if err != nil {
		return nil, err
	}
	encode := func(ctx context.Context, f *ingest.Frame) (*detector.Encoding, error) {
		w, h := engine.Detector.WorkingSize(f.Width, f.Height)
		return engine.Encoder.Encode(ctx, f, w, h)
	}
	maps, err := eval.Score(e, d, opencv.ReadImage, encode, rows)
	if err != nil {
		return nil, err
	}
	var results []*eval.Measured
	for i, r := range rows {
		row, err := d.Measure(e, eval.Result{
			Dataset: d.Name, Bundle: b.Name, Method: r.Method, Timesteps: r.Timesteps,
			LatencyMS: eval.NewLatency(maps.Milliseconds(i)),
		}, maps.Visits(i), c.measure())
		if err != nil {
			return nil, err
		}
		results = append(results, row)
	}
	return results, nil
}

// rows are the methods, at each |T| where they have timesteps.
func (c *EvalCmd) rows(engine *ort.Engine) ([]eval.Row, error) {
	parts := map[string]string{
		"dood": detector.PartCompound, "dood-diffusion": detector.PartDiffusion, "lse": detector.PartLSE,
	}
	var rows []eval.Row
	for _, method := range c.Method {
		part, ok := parts[method]
		if !ok {
			return nil, usagef("--method: got %q, want dood, dood-diffusion or lse", method)
		}
		steps := c.Timesteps
		if part == detector.PartLSE {
			steps = steps[:min(1, len(steps))]
		}
		for _, n := range steps {
			cfg := detector.DefaultConfig()
			cfg.Part, cfg.Timesteps = part, n
			det, err := engine.NewDetector(cfg)
			if err != nil {
				return nil, err
			}
			if part == detector.PartLSE {
				n = 0
			}
			rows = append(rows, eval.Row{
				Method: method, Timesteps: n,
				Score: func(_ context.Context, x *eval.Encoded) (*detector.Map, error) { return det.ScoreEncoding(x.Encoding) },
			})
		}
	}
	return rows, nil
}
