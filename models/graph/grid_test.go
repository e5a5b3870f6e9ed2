package graph_test

import (
	"slices"
	"testing"

	"github.com/oodcast/oodcast/models/graph"
)

// A grid of 4×4 cells with one channel and a batch of one: 1, 2, … 16 row by row.
func TestGridOperators(t *testing.T) {
	cells := make([]float32, 16)
	for i := range cells {
		cells[i] = float32(i + 1)
	}
	g := graph.New(graph.Float32)
	x := g.Reshape(g.Input("x", graph.Float32, 1, 16), 4, 4, 1, 1)
	for name, y := range map[string]*graph.Tensor{
		"down": g.Shift(x, 1, 0), "left": g.Shift(x, 0, -1), "half": g.Halve(x), "same": g.Halve(g.Double(x)),
		"around": g.Neighbours(x),
	} {
		g.Output(g.Reshape(y, 1, -1), name)
	}
	got := run(t, marshal(t, g), map[string][]float32{"x": cells})
	for name, want := range map[string][]float32{
		"down": {0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12},
		"left": {2, 3, 4, 0, 6, 7, 8, 0, 10, 11, 12, 0, 14, 15, 16, 0},
		"half": {3.5, 5.5, 11.5, 13.5},
		"same": cells,
	} {
		if !slices.Equal(got[name], want) {
			t.Errorf("%s: %v, want %v", name, got[name], want)
		}
	}
	// Cell (0, 1) holds 2. Nothing is above it, 1 and 3 are to its sides, and 5, 6, 7 are below it.
	if around := got["around"][9:18]; !slices.Equal(around, []float32{0, 0, 0, 1, 2, 3, 5, 6, 7}) {
		t.Errorf("around cell (0, 1): %v", around)
	}
}
