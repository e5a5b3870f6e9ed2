package events

import (
	"math"
	"math/rand/v2"
	"testing"
)

// bestWeight returns the largest total weight by trying all assignments.
func bestWeight(edges [][]edge, taken map[int]bool) float64 {
	if len(edges) == 0 {
		return 0
	}
	best := bestWeight(edges[1:], taken)
	for _, e := range edges[0] {
		if !taken[e.col] {
			taken[e.col] = true
			best = max(best, e.weight+bestWeight(edges[1:], taken))
			delete(taken, e.col)
		}
	}
	return best
}

func TestMatchIsOptimal(t *testing.T) {
	random := rand.New(rand.NewPCG(11, 12))
	var h matcher // shared by all cases: state must not leak from one call into the next
	for n := range 3000 {
		edges, cols := make([][]edge, random.IntN(7)), random.IntN(7)
		for i := range edges {
			for j := range cols {
				if random.IntN(3) > 0 {
					edges[i] = append(edges[i], edge{j, float64(1+random.IntN(9)) / 8}) // few values, so that ties occur
				}
			}
		}
		got, seen := 0.0, map[int]bool{}
		for i, col := range h.match(edges, cols) {
			if col < 0 {
				continue
			}
			if seen[col] {
				t.Fatalf("case %d: column %d has two rows", n, col)
			}
			seen[col] = true
			weight := math.NaN()
			for _, e := range edges[i] {
				if e.col == col {
					weight = e.weight
				}
			}
			got += weight // NaN if there is no such edge
		}
		if want := bestWeight(edges, map[int]bool{}); !(math.Abs(got-want) < 1e-9) {
			t.Fatalf("case %d: total weight %v for edges %v, want %v", n, got, edges, want)
		}
	}
}

// Taking the best pair first would leave the second row unassigned.
func TestMatchBeatsTheGreedyChoice(t *testing.T) {
	var h matcher
	got := h.match([][]edge{{{0, 0.6}, {1, 0.5}}, {{0, 0.55}}}, 2)
	if got[0] != 1 || got[1] != 0 {
		t.Errorf("match() = %v, want [1 0]", got)
	}
}

// As many tracks as a map can hold at the smallest area, each next to a few others.
func BenchmarkMatch(b *testing.B) {
	random := rand.New(rand.NewPCG(13, 14))
	edges := make([][]edge, 2000)
	for i := range edges {
		for j := max(0, i-3); j < min(len(edges), i+4); j++ {
			edges[i] = append(edges[i], edge{j, random.Float64()})
		}
	}
	var h matcher
	b.ReportAllocs()
	for b.Loop() {
		h.match(edges, len(edges))
	}
}
