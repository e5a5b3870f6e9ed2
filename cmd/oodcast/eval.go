package main

import (
	"errors"
	"fmt"
	"math"
	"runtime/debug"
	"strings"

	"github.com/oodcast/oodcast/detector/eval"
	"github.com/oodcast/oodcast/detector/eval/dataset"
	"github.com/oodcast/oodcast/detector/eval/evaluator"
	"github.com/oodcast/oodcast/detector/eval/method"
	"github.com/oodcast/oodcast/detector/events"
	"github.com/oodcast/oodcast/ingest/opencv"
	"github.com/oodcast/oodcast/models"
)

// EvalCmd measures AP, AUROC and FPR95 on labelled images.
type EvalCmd struct {
	Dataset       string   `help:"roadanomaly, roadanomaly21, roadobstacle21, fs_lostfound, fs_static, ade_ood, wd_pascal, dlrsd, folder; clips of fixed cameras: ped1, ped2, avenue, shanghaitech, street_scene, folder (test/X.mp4 with test_masks/X/)."`
	Root          string   `type:"existingdir" help:"Folder of the data set."`
	Bundle        string   `placeholder:"NAME|DIR" default:"roadscene" help:"Bundle to evaluate."`
	Method        []string `default:"dood" placeholder:"M,..." help:"${eval_methods}, or all of these that the bundle and --reference allow; may be repeated."`
	Timesteps     []int    `default:"5" help:"The |T| to evaluate."`
	Reference     []string `sep:"none" placeholder:"URI" help:"Normal footage for cdnp, knn, gmm, mahalanobis, residual, vim, neco and student-teacher: a file or a folder of images. May be repeated."`
	Seed          *uint64  `placeholder:"N" help:"Seed of everything random. With a seed the JSON has no latency_ms, so that two runs print the same."`
	SecondLook    string   `enum:"off,auto,on" default:"auto" help:"Look at a band of each image once more, at twice the scale: off, auto or on, as detector.second_look."`
	Set           []string `sep:"none" placeholder:"KEY=VALUE" help:"Override a key of bundle.yaml: diffusion.* or compound.*. May be repeated."`
	Scores        string   `type:"existingdir" help:"Folder of score files to evaluate instead of a bundle."`
	Suffix        string   `default:"_scores.npy" help:"Ending of a score file after the name of the image."`
	Limit         int      `placeholder:"N" help:"Evaluate only the first N images."`
	OODValue      int      `name:"ood-value" default:"-1" help:"Label of anomalous pixels; 255, which otherwise means that a pixel does not count, for masks of two values. Default: the label that the data set uses, and in folder the larger of two."`
	streamFlags   `embed:""`
	paperFlags    `embed:""`
	setsFlags     `embed:""`
	evalOutput    `embed:""`
	providerFlags `embed:""`
}

// evalVars returns the names that the help shows.
func evalVars() map[string]string {
	return map[string]string{
		"eval_methods": strings.Join(method.Names(), ", "),
		"min_area":     fmt.Sprint(events.DefaultConfig().MinArea),
	}
}

// evalMemory is the limit of the Go heap. The pixels of a hundred maps of 2048×1024 take 0.8 GB, and the limit makes the
// collector free the pixels of one row before those of the next fill the memory. ONNX Runtime's memory does not count.
const evalMemory = 5 << 28 // 1.25 GiB

// evalGCPercent keeps the heap close to the live data. A pool is hundreds of megabytes without pointers, so frequent
// collections cost nothing, whereas the default lets the heap grow to twice the live data.
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
	for _, n := range c.Timesteps {
		if n < 1 {
			return usagef("--timesteps: got %d, want 1 or more", n)
		}
	}
	if (c.Stream != "" || c.PaperTables) && (c.Report != "" || c.PerImage != "") {
		return usagef("eval: --report and --per-image work on one set of images: leave out --stream and --paper-tables")
	}
	if c.OODValue > 255 {
		return usagef("--ood-value: got %d, want 0 to 255", c.OODValue)
	}
	if err := checkOutputs(c.JSON, c.PerImage); err != nil {
		return err
	}
	switch {
	case c.Stream != "":
		return c.evalStream(e)
	case c.Sets != "":
		return c.evalSets(e)
	case len(c.Choose)+len(c.Variant) > 0 || c.Markdown != "":
		return usagef("eval: --choose, --variant and --markdown work on several sets: add --sets DIR")
	case c.PaperTables:
		return c.paperTables(e)
	case c.Dataset == "" || c.Root == "":
		return usagef("eval: want --dataset and --root, or --stream and --truth, or --sets")
	}
	if dataset.IsClips(c.Dataset) {
		return c.evalClips(e)
	}
	d, err := c.openDataset(e)
	if errors.Is(err, dataset.ErrNoImages) {
		if _, clipsErr := dataset.OpenClips(c.Dataset, c.Root); clipsErr == nil { // a folder of clips
			return c.evalClips(e)
		}
	}
	if err != nil {
		return err
	}
	return labelHint(d, c.evalDataset(e, d))
}

// labelHint adds the labels of the masks to an error that the anomalous one does not occur.
func labelHint(d *dataset.Dataset, err error) error {
	if !errors.Is(err, eval.ErrNoPositive) {
		return err
	}
	labels, lookErr := d.DescribeLabels()
	if lookErr != nil {
		return err
	}
	return fmt.Errorf("%w: the masks hold %s, but anomalous is %d: see --ood-value", err, labels, d.OOD)
}

func (c *EvalCmd) evalDataset(e *env, d *dataset.Dataset) error {
	if c.Scores != "" {
		row, err := eval.Measure(e, d, eval.Result{Dataset: d.Name, Method: "scores"}, d.ScoreFiles(c.Scores, c.Suffix), c.measure())
		if err != nil {
			return err
		}
		return c.output(e, []*eval.Measured{row})
	}
	rows, err := c.evalBundle(e, d)
	if err != nil {
		return err
	}
	return c.output(e, rows)
}

// openDataset opens --dataset below --root.
func (c *EvalCmd) openDataset(e *env) (*dataset.Dataset, error) {
	d, err := dataset.Open(c.Dataset, c.Root)
	if err != nil {
		return nil, usageError{err}
	}
	if c.OODValue < 0 {
		label, found, err := d.FindOOD()
		if err != nil {
			return nil, err
		}
		if found {
			c.tellLabel(e, label)
		}
	}
	c.restrict(d)
	return d, nil
}

func (c *EvalCmd) tellLabel(e *env, label uint8) {
	fmt.Fprintf(e.Stderr, "the masks have two values: %d is anomalous (--ood-value chooses another label)\n", label)
}

// restrict applies --ood-value and --limit.
func (c *EvalCmd) restrict(d *dataset.Dataset) {
	if c.OODValue >= 0 {
		d.SetOOD(uint8(c.OODValue))
	}
	if c.Limit > 0 {
		d.Items = d.Items[:min(c.Limit, len(d.Items))]
	}
}

// evalBundle evaluates each method at each |T|, one row each.
func (c *EvalCmd) evalBundle(e *env, d *dataset.Dataset) (_ []*eval.Measured, err error) {
	ev, err := c.openEvaluator(e)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, ev.Close()) }()
	rows, err := ev.Rows(c.Method, c.Timesteps)
	if err != nil {
		return nil, err
	}
	return c.evalRows(e, ev, d, rows)
}

// openBundle opens the bundle with the settings of --set.
func (c *EvalCmd) openBundle(e *env) (*models.Bundle, error) {
	b, err := openBundle(e, c.Bundle)
	if err != nil {
		return nil, err
	}
	if b.Manifest, err = b.Override(c.Set...); err != nil {
		return nil, usageError{fmt.Errorf("--set: %w", err)}
	}
	return b, nil
}

// openEvaluator opens the bundle and reads the normal footage.
func (c *EvalCmd) openEvaluator(e *env) (_ *evaluator.Evaluator, err error) {
	b, err := c.openBundle(e)
	if err != nil {
		return nil, err
	}
	opts := evaluator.Options{ORT: c.options(), Seed: 1, SecondLook: c.SecondLook, Estimate: func(m method.Estimate) {
		if m.Images > 1 {
			fmt.Fprintln(e.Stderr, m)
		}
	}}
	if c.Seed != nil {
		opts.Seed = *c.Seed
	}
	ev, err := evaluator.Open(b, opts)
	e.ready()
	if err != nil || len(c.Reference) == 0 {
		return ev, err
	}
	if err = c.readReference(e, ev); err != nil {
		return nil, errors.Join(err, ev.Close())
	}
	return ev, nil
}

// evalRows evaluates rows on d. With --seed it drops the latency, which no two runs agree on.
func (c *EvalCmd) evalRows(e *env, ev *evaluator.Evaluator, d *dataset.Dataset, rows []method.Row) ([]*eval.Measured, error) {
	bar := newImageBar(e, "images", len(d.Items))
	defer bar.finish()
	opts := c.measure()
	if c.Sets != "" {
		opts.Draws, opts.Bootstrap, opts.Seed = setDraws, 0, 1
		if c.Bootstrap != nil {
			opts.Draws = *c.Bootstrap
		}
		if c.Seed != nil {
			opts.Seed = *c.Seed
		}
	}
	results, err := ev.Dataset(e, d, bar.reading(opencv.ReadStored), rows, opts)
	if c.Seed != nil {
		for _, r := range results {
			r.LatencyMS = nil
		}
	}
	return results, err
}
