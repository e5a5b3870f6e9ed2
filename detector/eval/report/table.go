package report

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/oodcast/oodcast/detector/eval"
	"github.com/oodcast/oodcast/detector/eval/stream"
)

// WriteTable prints rows as a text table, rates in percent. It has the columns of components if a row has components: S, M
// and L are the AP of small, medium and large ones.
func WriteTable(w io.Writer, rows []*eval.Measured) error {
	components := false
	for _, r := range rows {
		components = components || r.Components != nil
	}
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(t, "dataset\tmethod\t|T|\timages\tAP\tAUROC\tFPR95\t")
	if components {
		fmt.Fprint(t, "sIoU\tPPV\tF1\tAP S\tAP M\tAP L\t")
	}
	fmt.Fprintln(t, "ms\t")
	for _, r := range rows {
		fmt.Fprintf(t, "%s\t%s\t%d\t%d\t%.1f\t%.1f\t%.1f\t",
			r.Dataset, r.Method, r.Timesteps, r.Images, 100*r.AP, 100*r.AUROC, 100*r.FPR95)
		if c := r.Components; c != nil {
			fmt.Fprintf(t, "%.1f\t%.1f\t%.1f\t%s\t", 100*c.SIoU, 100*c.PPV, 100*c.F1, strings.Join(areaAPs(c), "\t"))
		} else if components {
			fmt.Fprint(t, "-\t-\t-\t-\t-\t-\t")
		}
		if r.LatencyMS != nil {
			fmt.Fprintf(t, "%.0f\t\n", r.LatencyMS.P50)
		} else {
			fmt.Fprint(t, "-\t\n")
		}
	}
	return t.Flush()
}

// areaAPs returns the AP of each class of area in percent, - for a class without components.
func areaAPs(c *eval.Components) []string {
	var list []string
	for _, class := range eval.AreaClasses() {
		text := "-"
		if a := c.Area(class.Class); a != nil {
			text = percent(a.AP)
		}
		list = append(list, text)
	}
	return list
}

// WriteStreamTable prints the rows of a stream as two text tables: pixels and steadiness, then the events at each
// threshold.
func WriteStreamTable(w io.Writer, rows []stream.Result) error {
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "method\t|T|\tAP\tAUROC\tFPR95\tstreaming AP\tscored\tage ms\tflicker\tmotion\t")
	for _, r := range rows {
		fmt.Fprintf(t, "%s\t%d\t%.1f\t%.1f\t%.1f\t%.1f\t%.0f %%\t%.0f\t%.3f\t%.3f\t\n",
			r.Method, r.Timesteps, 100*r.Offline.AP, 100*r.Offline.AUROC, 100*r.Offline.FPR95, 100*r.Streaming.AP,
			100*r.Streaming.Scored, r.Streaming.AgeMS, r.Temporal.Flicker, r.Temporal.Motion)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(t, "\nmethod\t|T|\tthreshold\tfound\tevents\tfalse\tfalse/h\tswitches\tdelay s\tat most\t")
	for _, r := range rows {
		for _, ev := range append([]*stream.Events{r.Events}, r.Sweep...) {
			if ev != nil {
				fmt.Fprintf(t, "%s\t%d\t%.2f\t%d/%d\t%d\t%d\t%.1f\t%d\t%.2f\t%.2f\t\n", r.Method, r.Timesteps, ev.Threshold,
					ev.Found, ev.Objects, ev.Events, ev.False, ev.FalsePerHour, ev.Switches, ev.DelayP50, ev.DelayMax)
			}
		}
	}
	return t.Flush()
}
