package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"text/tabwriter"

	"github.com/oodcast/oodcast/detector/eval/trial"
	"github.com/oodcast/oodcast/detector/fit"
	"github.com/oodcast/oodcast/detector/ort"
	"github.com/oodcast/oodcast/detector/synth"
	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/models"
	"github.com/oodcast/oodcast/models/importer"
	"github.com/oodcast/oodcast/models/nets"
	"github.com/oodcast/oodcast/publish/visible"
)

// ImportONNXCmd imports any network that was exported to ONNX.
type ImportONNXCmd struct {
	Model    string `arg:"" name:"file" help:"ONNX file, operator set 9 or later; files with its weights must lie beside it." placeholder:"FILE"`
	Features string `help:"Tensor that holds the features: [1,C,h,w], [1,h,w,C] or tokens [1,N,C]; or auto, the best of those that are tried. Without it, they are listed only." placeholder:"TENSOR"`
	Logits   string `help:"Tensor with the class scores before softmax, [1,K,h,w] or [1,h,w,K], or none: features alone. Default: what the main output is made of, before softmax, arg-max or enlargement; or computed from the masks." placeholder:"TENSOR"`

	ClassLogits string `help:"Mask-classification networks: tensor with the classes of the queries, [1,Q,K+1]." placeholder:"TENSOR"`
	MaskLogits  string `help:"Mask-classification networks: tensor with the masks of the queries, [1,Q,h,w]." placeholder:"TENSOR"`

	Input    string    `help:"Tensor for the picture, [1,3,H,W] or [1,H,W,3], float32, float16, double or, normalised inside, uint8. Default: the only input." placeholder:"TENSOR"`
	Layout   string    `enum:"nchw,nhwc," default:"" help:"Order of the picture's dimensions, nchw or nhwc. Default: as the file declares them." placeholder:"ORDER"`
	Mean     []float64 `help:"Mean of red, green and blue in pixels scaled to 0..1. Default: ImageNet's." placeholder:"R,G,B"`
	Std      []float64 `help:"Standard deviation of red, green and blue. Default: ImageNet's." placeholder:"R,G,B"`
	Multiple int       `default:"32" help:"Both sides of a working size must be multiples of this."`

	Normal []string `sep:"none" help:"Normal footage to try tensors on, if --features names none: a file or a folder of images. May be repeated. Default: the demo clip." placeholder:"SOURCE"`
	JSON   string   `name:"json" help:"Write the tensors that were tried as JSON; - for stdout." placeholder:"FILE"`
	Out    string   `help:"Folder of the new bundle." placeholder:"DIR"`
	bundleFlags
}

// autoFeatures stands for the best of the tensors that are tried.
const autoFeatures = "auto"

// Run lists tensors or writes the bundle.
func (c *ImportONNXCmd) Run(e *env) error {
	cfg := nets.ForeignConfig{
		Input: c.Input, Logits: c.Logits, Features: c.Features, ClassLogits: c.ClassLogits, MaskLogits: c.MaskLogits,
		Order: c.Layout,
	}
	if len(c.Mean) != len(c.Std) || len(c.Mean) != 0 && len(c.Mean) != 3 {
		return usagef("--mean and --std: want three numbers each, or none")
	}
	copy(cfg.Mean[:], c.Mean)
	copy(cfg.Std[:], c.Std)
	if err := c.local(e, &c.Model); err != nil {
		return err
	}
	opt, err := c.options(c.Out)
	if err != nil {
		return err
	}
	opt.Round = c.Size == defaultImportSize
	if c.Features != "" && c.Out == "" {
		return usagef("missing flags: --out=DIR")
	}
	if c.Features == "" || c.Features == autoFeatures {
		best, err := c.try(e, cfg, opt)
		if err != nil || c.Features == "" {
			return err
		}
		cfg.Features = best
	}
	r, err := importer.ONNX(c.Model, cfg, c.Multiple, opt)
	return reportImport(e, c.Out, r, false, err)
}

// triedTensor is a row of the list of tensors.
type triedTensor struct {
	Tensor   string  `json:"tensor"`
	Operator string  `json:"operator"`
	Shape    []int64 `json:"shape"`
	Stride   int     `json:"stride"`
	Channels int     `json:"channels"`
	*trial.Result
}

// try lists the tensors that may be features, the best first, and returns its name.
func (c *ImportONNXCmd) try(e *env, cfg nets.ForeignConfig, opt importer.Options) (best string, err error) {
	if err := checkOutputs(c.JSON); err != nil {
		return "", err
	}
	if opt.Out == "" {
		opt.Out = filepath.Join(os.TempDir(), "oodcast-import")
	}
	rt, err := ort.Open(c.Library)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, rt.Close()) }()
	frames, footage, err := c.frames(e)
	if err != nil {
		return "", err
	}
	product, err := ort.NewProduct()
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, product.Close()) }()
	e.ready()
	var list []triedTensor
	_, err = importer.Candidates(c.Model, cfg, c.Multiple, opt, func(t importer.Candidate, encode models.EncodeFunc) error {
		row := triedTensor{Tensor: t.Name, Operator: t.Operator, Shape: t.Shape, Stride: t.Stride, Channels: t.Channels}
		if frames != nil {
			fmt.Fprintln(e.Stderr, "trying", visible.Text(t.Name))
			r, err := frames.Score(e, encode, t.Spec, product)
			if err != nil {
				return fmt.Errorf("tensor %q: %w", t.Name, err)
			}
			row.Result = &r
		}
		list = append(list, row)
		return nil
	})
	if err != nil {
		return "", importError(err)
	}
	slices.SortStableFunc(list, func(a, b triedTensor) int { return cmp.Compare(b.ap(), a.ap()) })
	if c.JSON != "-" {
		c.print(e, list, frames, footage)
	}
	return list[0].Tensor, writeJSON(e, c.JSON, list)
}

func (t triedTensor) ap() float64 {
	if t.Result == nil {
		return 0
	}
	return t.AP
}

// print prints the table and what to do with it.
func (c *ImportONNXCmd) print(e *env, list []triedTensor, frames *trial.Frames, footage string) {
	w := tabwriter.NewWriter(e.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "TENSOR\tOPERATOR\tSHAPE\tSTRIDE\tCHANNELS\tAP\tFPR95\tMS")
	for _, t := range list {
		figures := "-\t-\t-"
		if t.Result != nil {
			figures = fmt.Sprintf("%.1f\t%.1f\t%.1f", 100*t.AP, 100*t.FPR95, t.Milliseconds)
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%d\t%s\n", visible.Text(t.Tensor), visible.Text(t.Operator), t.Shape, t.Stride, t.Channels, figures)
	}
	_ = w.Flush() // e.Stdout reports its own
	if frames == nil {
		fmt.Fprintln(e.Stdout, "not tried: --normal SOURCE tells which suits that footage")
	} else {
		fmt.Fprintf(e.Stdout, "AP, FPR95 (%%): Mahalanobis distance from %d frames of %s, on things pasted into %d others; MS: a picture up to here\n",
			len(frames.Normal), visible.Text(footage), len(frames.Pasted))
	}
	if c.Features == "" {
		fmt.Fprintf(e.Stdout, "next: oodcast models import onnx %s --features %q --out DIR\n", visible.Text(c.Model), visible.Text(list[0].Tensor))
	}
}

// frames reads the footage to try tensors on, and names it. The frames are nil if there is none.
func (c *ImportONNXCmd) frames(e *env) (*trial.Frames, string, error) {
	uris, name := c.Normal, "the footage"
	if len(uris) == 0 {
		uris, name = defaultNormal(), "the demo clip (--normal SOURCE: of your own footage)"
	}
	if len(uris) == 0 {
		if c.Features == autoFeatures {
			return nil, "", usagef("--features %s: name normal footage to try tensors on: --normal SOURCE", autoFeatures)
		}
		return nil, "", nil
	}
	if len(c.Normal) == 1 {
		name = fit.SourceName(c.Normal[0])
	}
	pool := ingest.NewPool(4)
	var sources []ingest.Source
	for _, uri := range uris {
		s, live, err := footage(e, uri, pool)
		if err != nil {
			return nil, "", err
		}
		if live {
			return nil, "", usagef("--normal %s never ends: record some of it to a file", ingest.RedactURI(uri))
		}
		sources = append(sources, s)
	}
	g, err := synth.New(synth.DefaultConfig(), nil)
	if err != nil {
		return nil, "", err
	}
	frames, err := trial.Read(e, sources, g)
	if errors.Is(err, trial.ErrFootage) {
		return nil, "", usagef("--normal: %w", err)
	}
	return frames, name, err
}

// defaultNormal returns the clip that make run shows, if it is installed.
func defaultNormal() []string {
	paths := []string{"/usr/share/doc/opencv-doc/examples/data/vtest.avi"}
	if program, err := os.Executable(); err == nil {
		paths = append(paths, filepath.Join(filepath.Dir(program), "..", ".deps", "vtest.avi"))
	}
	for _, p := range paths {
		if _, err := os.Stat(p); err == nil {
			return []string{p}
		}
	}
	return nil
}
