package sets

import (
	"github.com/oodcast/oodcast/detector/eval"
)

// Table is the result of an evaluation of several sets.
type Table struct {
	Bundle string  `json:"bundle,omitempty"`
	Sets   []Set   `json:"sets"`
	Rows   []Row   `json:"rows"`
	Choice *Choice `json:"choice,omitempty"`
}

// Set is a data set of a table.
type Set struct {
	Name     string  `json:"name"`
	Images   int     `json:"images"`
	Pixels   int     `json:"pixels"`
	OODShare float64 `json:"ood_share"`
}

// Row is a method at one |T| on all sets.
type Row struct {
	Method    string        `json:"method"`
	Timesteps int           `json:"timesteps"`
	Means     Means         `json:"mean"`
	Results   []eval.Result `json:"sets"` // in the order of Table.Sets
}

// Add adds the rows of a set. Every set has the same methods in the same order. The last variants of them are settings to
// choose from: see Finish.
func (t *Table) Add(rows []*eval.Measured) {
	first := rows[0]
	t.Bundle = first.Bundle
	t.Sets = append(t.Sets, Set{first.Dataset, first.Images, first.Pixels, first.OODShare})
	if t.Rows == nil {
		t.Rows = make([]Row, len(rows))
	}
	for i, m := range rows {
		r := &t.Rows[i]
		r.Method, r.Timesteps = m.Method, m.Timesteps
		r.Results = append(r.Results, m.Result)
	}
}

// Finish computes the means. The last variants of the rows become the Choice instead of rows of the table.
func (t *Table) Finish(variants int) (err error) {
	for i := range t.Rows {
		var list []Rates
		for _, r := range t.Rows[i].Results {
			list = append(list, ratesOf(r))
		}
		t.Rows[i].Means = means(list)
	}
	if variants == 0 {
		return nil
	}
	var names, sets []string
	var rates [][]Rates
	for _, r := range t.Rows[len(t.Rows)-variants:] {
		var of []Rates
		for _, result := range r.Results {
			of = append(of, ratesOf(result))
		}
		names, rates = append(names, r.Method), append(rates, of)
	}
	for _, s := range t.Sets {
		sets = append(sets, s.Name)
	}
	t.Rows = t.Rows[:len(t.Rows)-variants]
	t.Choice, err = Choose(names, sets, rates)
	return err
}
