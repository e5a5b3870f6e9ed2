package main

import (
	"errors"
	"fmt"
	"math"
	"runtime/debug"

	"github.com/oodcast/oodcast/detector/eval"
	"github.com/oodcast/oodcast/ingest/opencv"
)

// EvalCmd measures AP, AUROC and FPR95 on labelled images.
type EvalCmd struct {
	Dataset       string   `help:"roadanomaly, roadanomaly21, roadobstacle21, fs_lostfound, fs_static, ade_ood, wd_pascal, dlrsd, folder."`
	Root          string   `type:"existingdir" help:"Folder of the data set."`
	Bundle        string   `placeholder:"NAME|DIR" default:"roadscene" help:"Bundle to evaluate."`
	Method        []string `default:"dood" placeholder:"M,..." help:"${eval_methods}, or all of these that the bundle and --reference allow; may be repeated."`
	Timesteps     []int    `default:"5" help:"The |T| to evaluate."`
	Reference     []string `sep:"none" placeholder:"URI" help:"Normal footage for cdnp, knn, gmm and mahalanobis: a file or a folder of images. May be repeated."`
	Seed          *uint64  `placeholder:"N" help:"Seed of what is random. With it the JSON has no latency_ms: two runs print the same."`
	Set           []string `sep:"none" placeholder:"KEY=VALUE" help:"Change a key of bundle.yaml: diffusion.* or compound.*. May be repeated."`
	Scores        string   `type:"existingdir" help:"Folder of score files: evaluate these instead of a bundle."`
	Suffix        string   `default:"_scores.npy" help:"Ending of a score file after the image's name."`
	Limit         int      `placeholder:"N" help:"Only the first N images."`
	OODValue      int      `name:"ood-value" default:"-1" help:"Label of anomalous pixels; default: the data set's own."`
	streamFlags   `embed:""`
	paperFlags    `embed:""`
	evalOutput    `embed:""`
	providerFlags `embed:""`
}

// evalMemory is what the collector may let the heap grow to: the pixels of a hundred maps of 2048×1024 take 0.8 GB, and
// those of the row before are not to lie beside them. ONNX Runtime's memory is not part of it.
const evalMemory = 5 << 28 // 1.25 GiB

// evalGCPercent keeps the heap near what lives: a pool is hundreds of megabytes without a pointer, so that collecting
// often costs nothing, and waiting until it has doubled would cost as much memory again.
const evalGCPercent = 25

// Run evaluates and prints a table.
func (c *EvalCmd) Run(e *env) error {
	defer debug.SetGCPercent(debug.SetGCPercent(evalGCPercent))
	if debug.SetMemoryLimit(-1) == math.MaxInt64 { // GOMEMLIMIT is not set
		debug.SetMemoryLimit(evalMemory)
	}
	err := c.run(e)
	if err != nil && e.Err() != nil {
		return fmt.Errorf("interrupted: %w", e.Err())
	}
	return err
}

func (c *EvalCmd) run(e *env) error {
	if (c.Stream != "" || c.PaperTables) && (c.Report != "" || c.PerImage != "") {
		return usagef("eval: --report and --per-image are of one set of images: leave out --stream and --paper-tables")
	}
	if c.Stream != "" {
		return c.evalStream(e)
	}
	if c.PaperTables {
		return c.paperTables(e)
	}
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
	if c.Dataset == "" || c.Root == "" {
		return nil, usagef("eval: want --dataset and --root, or --stream and --truth")
	}
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
func (c *EvalCmd) bundle(e *env, d *eval.Dataset) (_ []*eval.Measured, err error) {
	parts, err := c.openParts(e)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, parts.Close()) }()
	rows, err := eval.NewRows(&parts.kit, c.Method, c.Timesteps)
	if err != nil {
		return nil, err
	}
	return c.evaluate(e, d, parts, rows)
}

func (c *EvalCmd) evaluate(e *env, d *eval.Dataset, parts *evalParts, rows []eval.Row) ([]*eval.Measured, error) {
	bar := newImageBar(e, "images", len(d.Items))
	maps, err := eval.Score(e, d, bar.reading(opencv.ReadImage), parts.encode, rows)
	bar.finish()
	if err != nil {
		return nil, err
	}
	var results []*eval.Measured
	for i, r := range rows {
		row := parts.result(d, r)
		if c.Seed == nil {
			row.LatencyMS = eval.NewLatency(maps.Milliseconds(i))
		}
		measured, err := d.Measure(e, row, maps.Visits(i), c.measure())
		if err != nil {
			return nil, err
		}
		results = append(results, measured)
	}
	return results, nil
}
