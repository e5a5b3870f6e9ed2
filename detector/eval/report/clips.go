package report

import (
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/oodcast/oodcast/detector/eval/clips"
)

// WriteClipTable prints the rows of clips as two text tables, rates in percent: frames, pixels and regions, then the events at
// the threshold in force.
func WriteClipTable(w io.Writer, rows []clips.Result) error {
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "dataset\tmethod\t|T|\tclips\tframes\tframe AUROC\tsmoothed\tmacro\tEER\tpixel AUROC\tpixel AP\tRBDC\tTBDC\tms\t")
	for _, r := range rows {
		pixel, regions, ms := "-\t-", "-\t-", "-"
		if p := r.Pixel; p != nil {
			pixel = percent(p.AUROC) + "\t" + percent(p.AP)
		}
		if g := r.Regions; g != nil {
			regions = percent(g.RBDC) + "\t" + percent(g.TBDC)
		}
		if r.LatencyMS != nil {
			ms = fmt.Sprintf("%.0f", r.LatencyMS.P50)
		}
		fmt.Fprintf(t, "%s\t%s\t%d\t%d\t%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t\n", r.Dataset, r.Method, r.Timesteps, r.Clips, r.Frames,
			percent(r.Frame.AUROC), percent(r.Frame.Smoothed), percent(r.Frame.Macro), percent(r.Frame.EER), pixel, regions, ms)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(t, "\nmethod\t|T|\tthreshold\tfound\tevents\tfalse\tfalse/h\tdelay s\t")
	for _, r := range rows {
		if e := r.Events; e != nil {
			fmt.Fprintf(t, "%s\t%d\t%.2f\t%d/%d\t%d\t%d\t%.1f\t%.2f\t\n", r.Method, r.Timesteps, e.Threshold, e.Found, e.Objects, e.Events,
				e.False, e.FalsePerHour, e.DelayP50)
		}
	}
	return t.Flush()
}
