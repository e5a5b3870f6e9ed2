package main

import (
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/oodcast/oodcast/detector/eval"
)

// EvalCmd measures AP, AUROC and FPR95 on labelled images.
type EvalCmd struct {
	Dataset   string `required:"" help:"roadanomaly, roadanomaly21, roadobstacle21, fs_lostfound, fs_static, ade_ood, folder."`
	Root      string `required:"" type:"existingdir" help:"Folder of the data set."`
	Scores    string `required:"" type:"existingdir" help:"Folder of score files: evaluate these."`
	Suffix    string `default:"_scores.npy" help:"Ending of a score file after the image's name."`
	OODValue  int    `name:"ood-value" default:"-1" help:"Label of anomalous pixels; default: the data set's own."`
	FPR       string `name:"fpr" enum:"nearest,first" default:"nearest" help:"FPR at the TPR nearest to 0.95, or at the first TPR above."`
	Bootstrap int    `placeholder:"N" help:"Also mean and deviation over N random subsets of 90 % of the images."`
	JSON      string `name:"json" placeholder:"FILE" help:"Write the rows as JSON; - for stdout."`
}

// Run evaluates and prints a table.
func (c *EvalCmd) Run(e *env) error {
	d, err := eval.Open(c.Dataset, c.Root)
	if err != nil {
		return usageError{err}
	}
	if c.OODValue >= 0 {
		if c.OODValue >= eval.Ignore {
			return usagef("--ood-value: got %d, want 0 to 254", c.OODValue)
		}
		d.OOD = uint8(c.OODValue)
	}
	pool, err := eval.Scores(e, d, c.Scores, c.Suffix)
	if err != nil {
		return err
	}
	row := eval.Result{Dataset: d.Name, Method: "scores"}
	if row, err = eval.NewResult(row, pool, eval.FPRConvention(c.FPR), c.Bootstrap); err != nil {
		return err
	}
	rows := []eval.Result{row}
	if c.JSON != "-" {
		if err := evalTable(e.Stdout, rows); err != nil {
			return err
		}
	}
	return writeJSON(e, c.JSON, rows)
}

func evalTable(w io.Writer, rows []eval.Result) error {
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "dataset\tmethod\t|T|\timages\tAP\tAUROC\tFPR95\t")
	for _, r := range rows {
		fmt.Fprintf(t, "%s\t%s\t%d\t%d\t%.1f\t%.1f\t%.1f\t\n",
			r.Dataset, r.Method, r.Timesteps, r.Images, 100*r.AP, 100*r.AUROC, 100*r.FPR95)
	}
	return t.Flush()
}
