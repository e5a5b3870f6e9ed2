package events

import "math"

// matcher finds the assignment of rows to columns with the largest total weight. Rows and columns may stay unassigned.
// It keeps its buffers between calls.
//
// It inserts one row after the other by the shortest augmenting path (Jonker and Volgenant, 1987, on a sparse list of edges
// instead of a full matrix). Every row also has a column of its own with weight 0, which stands for unassigned.
type matcher struct {
	rowCost, colCost []float64 // dual variables
	owner            []int     // row of each column; -1: none
	before           []int     // previous column on the path
	slack            []float64 // reduced cost of the cheapest path to each column
	done             []bool
	touched          []int // columns that the path search has seen
	rows             []int // result: column of each row
}

// edge is the weight of assigning a row to a column.
type edge struct {
	col    int
	weight float64 // more than 0
}

// match returns the column of each row, or -1. The edges of row i are edges[i]. The result is valid until the next call.
func (h *matcher) match(edges [][]edge, cols int) []int {
	n := len(edges)
	total := cols + n + 1 // the real columns, one column per row for unassigned, and one where a search begins
	h.rowCost, h.colCost, h.slack = grow(h.rowCost, n), grow(h.colCost, total), grow(h.slack, total)
	h.owner, h.before, h.done, h.rows = grow(h.owner, total), grow(h.before, total), grow(h.done, total), grow(h.rows, n)
	clear(h.rowCost)
	clear(h.colCost)
	clear(h.done)
	for j := range h.owner {
		h.owner[j], h.slack[j] = -1, math.Inf(1)
	}
	for i := range edges {
		h.insert(edges, cols, i)
		h.rows[i] = -1
	}
	for j, i := range h.owner[:cols] {
		if i >= 0 {
			h.rows[i] = j
		}
	}
	return h.rows
}

// insert assigns a column to row i and reassigns other rows if the total weight gains from it.
func (h *matcher) insert(edges [][]edge, cols, i int) {
	begin := cols + len(edges)
	at := begin
	h.owner[begin], h.done[begin], h.colCost[begin] = i, true, 0
	h.touched = append(h.touched[:0], begin)
	for h.owner[at] >= 0 {
		h.done[at] = true
		row := h.owner[at]
		for _, e := range edges[row] {
			h.reach(row, e.col, at, -e.weight)
		}
		h.reach(row, cols+row, at, 0)
		next, least := -1, math.Inf(1)
		for _, j := range h.touched {
			if !h.done[j] && h.slack[j] < least {
				next, least = j, h.slack[j]
			}
		}
		for _, j := range h.touched {
			if h.done[j] {
				h.rowCost[h.owner[j]] += least
				h.colCost[j] -= least
			} else {
				h.slack[j] -= least
			}
		}
		at = next
	}
	for at != begin {
		h.owner[at] = h.owner[h.before[at]]
		at = h.before[at]
	}
	for _, j := range h.touched {
		h.done[j], h.slack[j] = false, math.Inf(1)
	}
	h.owner[begin] = -1
}

// reach records that the path can go on from column from, which row owns, to another column.
func (h *matcher) reach(row, col, from int, cost float64) {
	if h.done[col] {
		return
	}
	if math.IsInf(h.slack[col], 1) {
		h.touched = append(h.touched, col)
	}
	if s := cost - h.rowCost[row] - h.colCost[col]; s < h.slack[col] {
		h.slack[col], h.before[col] = s, from
	}
}
