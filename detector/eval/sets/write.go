package sets

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/oodcast/oodcast/detector/eval"
)

// sheet is a table of texts with a sentence above it.
type sheet struct {
	title string
	head  []string
	rows  [][]string
}

// Write prints the table as text: AP / FPR95 in percent, then, as far as they were computed, the spread, the sizes of the
// objects and the choice.
func (t *Table) Write(w io.Writer) error {
	for i, s := range t.sheets() {
		if i > 0 {
			fmt.Fprintln(w)
		}
		fmt.Fprintln(w, s.title)
		tab := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
		for _, row := range append([][]string{s.head}, s.rows...) {
			fmt.Fprintln(tab, strings.Join(row, "\t"))
		}
		if err := tab.Flush(); err != nil {
			return err
		}
	}
	return nil
}

// Markdown returns the same as Markdown.
func (t *Table) Markdown() string {
	var b strings.Builder
	for _, s := range t.sheets() {
		fmt.Fprintf(&b, "\n%s\n\n", s.title)
		for i, row := range append([][]string{s.head}, s.rows...) {
			for _, cell := range row {
				fmt.Fprintf(&b, "| %s ", strings.ReplaceAll(cell, "|", `\|`))
			}
			b.WriteString("|\n")
			if i == 0 {
				b.WriteString(strings.Repeat("|---", len(row)) + "|\n")
			}
		}
	}
	return b.String()
}

func (t *Table) sheets() []sheet {
	var list []sheet
	if len(t.Rows) > 0 {
		list = append(list, t.rates())
	}
	for _, s := range []*sheet{t.spread(), t.areas(), t.choice()} {
		if s != nil {
			list = append(list, *s)
		}
	}
	return list
}

func (r *Row) name() []string {
	steps := "–"
	if r.Timesteps > 0 {
		steps = fmt.Sprint(r.Timesteps)
	}
	return []string{r.Method, steps}
}

func rates(r Rates) string { return fmt.Sprintf("%.1f / %.1f", 100*r.AP, 100*r.FPR95) }

func (t *Table) rates() sheet {
	s := sheet{title: "AP / FPR95 in %, with the number of images, and the geometric mean of AP.", head: []string{"method", "|T|"}}
	if t.Bundle != "" {
		s.title = fmt.Sprintf("Bundle %s: %s", t.Bundle, s.title)
	}
	for _, set := range t.Sets {
		s.head = append(s.head, fmt.Sprintf("%s (%d)", set.Name, set.Images))
	}
	s.head = append(s.head, "mean", "geometric")
	for _, r := range t.Rows {
		row := r.name()
		for _, result := range r.Results {
			row = append(row, rates(ratesOf(result)))
		}
		s.rows = append(s.rows, append(row, rates(Rates{r.Means.AP, r.Means.FPR95}), fmt.Sprintf("%.1f", 100*r.Means.APGeometric)))
	}
	return s
}

// spread returns nil if no row has a spread.
func (t *Table) spread() *sheet {
	s := sheet{head: []string{"method", "|T|"}}
	for _, set := range t.Sets {
		s.head = append(s.head, set.Name)
	}
	for _, r := range t.Rows {
		row := r.name()
		for _, result := range r.Results {
			cell := "–"
			if d := result.Spread; d != nil {
				s.title = fmt.Sprintf("AP in %% from the 5 %% to the 95 %% quantile of %d draws of the images, with replacement.", d.N)
				cell = fmt.Sprintf("%.1f … %.1f", 100*d.AP[0], 100*d.AP[1])
			}
			row = append(row, cell)
		}
		s.rows = append(s.rows, row)
	}
	if s.title == "" {
		return nil
	}
	return &s
}

// areas returns nil if no row has components.
func (t *Table) areas() *sheet {
	s := sheet{
		title: "By size of the object, the root of its area in pixels: AP / share found (sIoU of 25 % or more) in %, means over the sets " +
			"that have such objects.",
		head: []string{"method", "|T|"},
	}
	for _, class := range eval.AreaClasses() {
		objects, sets := 0, 0
		for i := range t.Sets {
			if a := area(t.Rows, i, class.Class); a != nil {
				objects, sets = objects+a.Objects, sets+1
			}
		}
		size := fmt.Sprintf("%d to %d px", class.From, class.To)
		if class.To == 0 {
			size = fmt.Sprintf("%d px or more", class.From)
		}
		s.head = append(s.head, fmt.Sprintf("%s, %s (%d on %d sets)", class.Class, size, objects, sets))
	}
	for _, r := range t.Rows {
		row, some := r.name(), false
		for _, class := range eval.AreaClasses() {
			var ap, found, n float64
			for _, result := range r.Results {
				if result.Components == nil {
					continue
				}
				if a := result.Components.Area(class.Class); a != nil {
					ap, found, n = ap+a.AP, found+a.Recall, n+1
				}
			}
			cell := "–"
			if n > 0 {
				some, cell = true, fmt.Sprintf("%.1f / %.1f", 100*ap/n, 100*found/n)
			}
			row = append(row, cell)
		}
		if some {
			s.rows = append(s.rows, row)
		}
	}
	if len(s.rows) == 0 {
		return nil
	}
	return &s
}

// area returns a class of a set from the first row that has it: the objects are those of the set, not of the method.
func area(rows []Row, set int, class string) *eval.AreaClass {
	for _, r := range rows {
		if c := r.Results[set].Components; c != nil {
			return c.Area(class)
		}
	}
	return nil
}

// choice returns nil if there was nothing to choose from.
func (t *Table) choice() *sheet {
	c := t.Choice
	if c == nil {
		return nil
	}
	s := sheet{
		title: fmt.Sprintf("Leave one set out: of %d settings those with the best mean AP on the other sets, likewise by the geometric mean, and as "+
			"a bound those that are best on the set itself; AP / FPR95 in %%.", len(c.Variants)),
		head: []string{"set", "by the mean of the others", "AP / FPR95", "by their geometric mean", "AP / FPR95", "best on the set itself", "AP / FPR95"},
	}
	for _, l := range c.Sets {
		s.rows = append(s.rows, []string{
			l.Set, l.ByMean.Variant, rates(l.ByMean.Rates), l.ByGeometric.Variant, rates(l.ByGeometric.Rates), l.Best.Variant, rates(l.Best.Rates),
		})
	}
	s.rows = append(s.rows,
		[]string{"mean", "", rates(Rates{c.Mean.AP, c.Mean.FPR95}), "", rates(Rates{c.MeanGeometric.AP, c.MeanGeometric.FPR95}), "", ""},
		[]string{"geometric mean of AP", "", fmt.Sprintf("%.1f", 100*c.Mean.APGeometric), "", fmt.Sprintf("%.1f", 100*c.MeanGeometric.APGeometric), "", ""},
		[]string{"chosen on all, which flatters", c.ByMean.Variant, rates(c.ByMean.Rates), c.ByGeometric.Variant, rates(c.ByGeometric.Rates), "", ""})
	return &s
}
