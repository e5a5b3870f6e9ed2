package paper

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/oodcast/oodcast/detector/eval"
)

// Methods returns the methods of the tables.
func Methods() []string {
	var names []string
	for _, s := range sources() {
		for _, e := range s.entries {
			if !slices.Contains(names, e.method) {
				names = append(names, e.method)
			}
		}
	}
	return names
}

// Timesteps returns the |T| at which the tables need a method. The reverse chain of recon-mse takes t evaluations for each
// timestep t, hundreds of times more than the other methods.
func Timesteps(method string) []int {
	if method == "recon-mse" {
		return []int{1, 5}
	}
	return []int{1, 5, 10, 25}
}

// Bootstraps is the number of subsets of Table 2.
const Bootstraps = 10

// Datasets returns the data sets that have a column, and those that stand in for them.
func Datasets() []string {
	return []string{roadAnomaly, anomaly, lostFound, obstacle, static, adeOOD}
}

// Write writes the tables with our figures next to the paper's, once for each bundle among the rows. A later row replaces
// an earlier one of the same bundle, data set, method and |T|.
func Write(w io.Writer, rows []eval.Result) error {
	for i, bundle := range bundles(rows) {
		if i > 0 {
			fmt.Fprintln(w)
		}
		fmt.Fprintf(w, "The paper's figures and ours, in percent. Ours: bundle %s%s.\n", cmp.Or(bundle, "without a name"),
			encoder(rows, bundle))
		for _, s := range sources() {
			if err := s.write(w, rows, bundle); err != nil {
				return err
			}
		}
	}
	return nil
}

// bundles returns the bundles of the rows that get tables. A bundle with the denoiser of the ablation gets none, unless all
// have it.
func bundles(rows []eval.Result) []string {
	var names, ablations []string
	for _, r := range rows {
		list := &names
		if r.Denoiser == "unet" {
			list = &ablations
		}
		if !slices.Contains(*list, r.Bundle) {
			*list = append(*list, r.Bundle)
		}
	}
	if len(names) == 0 {
		return ablations
	}
	return names
}

func encoder(rows []eval.Result, bundle string) string {
	for _, r := range rows {
		if r.Bundle == bundle && r.Encoder != "" {
			return ", encoder " + r.Encoder
		}
	}
	return ""
}

func (s source) write(w io.Writer, rows []eval.Result, bundle string) error {
	fmt.Fprintf(w, "\n%s: %s\n", s.name, s.title)
	var stands []string // by column: the data set whose figures of ours are shown
	for _, d := range s.datasets {
		stands = append(stands, ours(rows, bundle, d))
	}
	t := tabwriter.NewWriter(w, 0, 4, 3, ' ', 0)
	header, under := "", ""
	for i, d := range s.datasets {
		header += "\t" + titles()[d] + "\t"
		if stands[i] != d {
			header += titles()[stands[i]] + " *"
		}
		under += "\tpaper\tours"
	}
	fmt.Fprintf(t, "%s\n%s\n", header, under)
	var missing []string
	for _, e := range s.entries {
		fmt.Fprint(t, e.label)
		for i := range s.datasets {
			value := e.value(s.metric, rows, bundle, stands[i])
			if value == "" {
				value = "–"
				if !slices.Contains(missing, e.method) {
					missing = append(missing, e.method)
				}
			}
			fmt.Fprintf(t, "\t%s\t%s", e.paper[i], value)
		}
		fmt.Fprintln(t)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, note := range s.differences(rows, bundle, stands, missing) {
		fmt.Fprintln(w, "  "+note)
	}
	return nil
}

// ours returns the data set whose figures fill a column: the paper's own if there is a row of it.
func ours(rows []eval.Result, bundle, dataset string) string {
	has := func(name string) bool {
		return slices.ContainsFunc(rows, func(r eval.Result) bool { return r.Dataset == name && r.Bundle == bundle })
	}
	if other := standIns()[dataset]; !has(dataset) && other != "" && has(other) {
		return other
	}
	return dataset
}

// differences returns the notes that a reader needs to compare the figures.
func (s source) differences(rows []eval.Result, bundle string, stands, missing []string) (notes []string) {
	notes = append(notes, "Encoder: the paper's is "+s.encoder+".")
	for i, d := range s.datasets {
		if stands[i] != d {
			notes = append(notes, fmt.Sprintf("* Data: %s stands in for %s: other pictures, %s.",
				titles()[stands[i]], titles()[d], images(rows, bundle, stands[i])))
		} else if n := images(rows, bundle, d); n != "" {
			notes = append(notes, fmt.Sprintf("Data: %s, %s.", titles()[d], n))
		}
	}
	notes = append(notes, s.notes...)
	if len(missing) > 0 {
		notes = append(notes, "– marks methods without a row: "+strings.Join(missing, ", ")+". Make rows with oodcast eval --dataset D "+
			"--root DIR --method M --json F and add them with --from F.")
	}
	return notes
}

func images(rows []eval.Result, bundle, dataset string) string {
	for _, r := range rows {
		if r.Dataset == dataset && r.Bundle == bundle {
			return fmt.Sprintf("%d images", r.Images)
		}
	}
	return ""
}

// value returns our cell, or "" if there is no row for it.
func (e entry) value(m metric, rows []eval.Result, bundle, dataset string) string {
	var found []eval.Result
	for _, r := range rows {
		mine := r.Bundle == bundle && r.Denoiser != "unet"
		if e.denoiser == "unet" { // a separate bundle
			mine = r.Denoiser == "unet"
		}
		if mine && r.Dataset == dataset && r.Method == e.method && (e.timesteps == 0 || r.Timesteps == e.timesteps) {
			found = append(found, r)
		}
	}
	if len(found) == 0 {
		return ""
	}
	// Take the last of equal rows; MaxFunc returns the first.
	slices.Reverse(found)
	r := slices.MaxFunc(found, func(a, b eval.Result) int { return cmp.Compare(a.Timesteps, b.Timesteps) })
	switch m {
	case apFirstBest:
		return firstAndBest(found)
	case bootstrapped:
		if b := r.Bootstrap; b != nil {
			return fmt.Sprintf("%.1f±%.1f / %.1f±%.1f", 100*b.APMean, 100*b.APStd, 100*b.FPR95Mean, 100*b.FPR95Std)
		}
		return ""
	case cost:
		if r.LatencyMS == nil {
			return fmt.Sprintf("– / %.1f", 100*r.AP)
		}
		return fmt.Sprintf("%.3f / %.1f", r.LatencyMS.P50/1000, 100*r.AP)
	default:
		return fmt.Sprintf("%.1f / %.1f", 100*r.AP, 100*r.FPR95)
	}
}

func firstAndBest(found []eval.Result) string {
	top := slices.MaxFunc(found, func(a, b eval.Result) int { return cmp.Compare(a.AP, b.AP) })
	for _, r := range found {
		if r.Timesteps == 1 {
			return fmt.Sprintf("%.1f / %.1f", 100*r.AP, 100*top.AP)
		}
	}
	return fmt.Sprintf("– / %.1f", 100*top.AP)
}
