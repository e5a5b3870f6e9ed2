package graph_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/oodcast/oodcast/models/graph"
)

func mlp() *graph.Graph {
	g := graph.New(graph.Float32)
	x := g.Input("x", graph.Float32, -1, 4)
	w := g.Const(make([]float32, 12), 3, 4)
	b := g.Const([]float32{1, 2, 3})
	y := g.SiLU(g.Linear(x, w, b))
	g.Output(g.Add(y, g.Linear(x, w, b)), "y")
	g.Output(y, "hidden")
	g.Output(x, "copy")
	return g
}

func TestMarshalDeterministic(t *testing.T) {
	a, err := mlp().Marshal()
	if err != nil {
		t.Fatal(err)
	}
	b, err := mlp().Marshal()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a, b) {
		t.Error("the same calls gave different bytes")
	}
}

func TestConstDeduplicated(t *testing.T) {
	g := graph.New(graph.Float32)
	if g.Const([]float32{1, 2}) != g.Const([]float32{1, 2}, 2) {
		t.Error("equal constants are two tensors")
	}
	if g.Const([]float32{1, 2}) == g.Const([]float32{1, 2}, 1, 2) {
		t.Error("constants of different shape are one tensor")
	}
	if g.Scalar(0) == g.ConstRaw(graph.Int32, make([]byte, 4), 1) {
		t.Error("constants of different type are one tensor")
	}
}

func TestShapes(t *testing.T) {
	g := graph.New(graph.Float32)
	x := g.Input("x", graph.Float32, -1, 8)
	y := g.Input("y", graph.Float32, 6, 8)
	tests := []struct {
		name string
		got  *graph.Tensor
		want []int64
	}{
		{"add", g.Add(x, y), []int64{6, 8}},
		{"reshape unknown", g.Reshape(x, -1, 2, 4), []int64{-1, 2, 4}},
		{"reshape known", g.Reshape(y, 3, -1, 8), []int64{3, 2, 8}},
		{"reshape copy", g.Reshape(x, 0, 2, 4), []int64{-1, 2, 4}},
		{"concat", g.Concat(1, x, y), []int64{6, 16}},
		{"concat rows", g.Concat(0, x, y), []int64{-1, 8}},
		{"gather", g.Gather(y, g.Int64s(1, 2, 3), 0), []int64{3, 8}},
		{"reduce", g.Reduce("ReduceMean", y, true, -1), []int64{6, 1}},
		{"sum", g.ReduceSum(y, false, 0), []int64{8}},
		{"slice", g.Slice(y, 0, 2, 100), []int64{4, 8}},
		{"transpose", g.Transpose(x, 1, 0), []int64{8, -1}},
		{"matmul", g.MatMul(x, g.Transpose(y, 1, 0)), []int64{-1, 6}},
		{"unsqueeze", g.Unsqueeze(y, 2), []int64{6, 8, 1}},
	}
	if err := g.Err(); err != nil {
		t.Fatal(err)
	}
	for _, tt := range tests {
		if !equal(tt.got.Shape, tt.want) {
			t.Errorf("%s: shape %v, want %v", tt.name, tt.got.Shape, tt.want)
		}
	}
}

func equal(a, b []int64) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// The first mistake is reported, nothing after it panics, and Marshal refuses.
func TestMistakes(t *testing.T) {
	type G = *graph.Graph
	type T = *graph.Tensor
	tests := []struct {
		name  string
		build func(g G, x T)
		want  string
	}{
		{
			"add", func(g G, x T) { g.Add(x, g.Const(make([]float32, 3))) },
			"graph: Add of float[2 4] and float[3]: they do not fit",
		},
		{"nil", func(g G, x T) { g.Add(x, nil) }, "graph: Add: input 1 is missing"},
		{"linear", func(g G, x T) { g.Linear(x, x, x) }, "graph: Gemm of [2 4] and [2 4]: cannot add [2 4]"},
		{
			"groups", func(g G, x T) { g.GroupNorm(x, x, x, 3) },
			"graph: GroupNorm of [2 4] in 3 groups: the channels must divide",
		},
		{"reshape", func(g G, x T) { g.Reshape(x, 3, -1) }, "graph: Reshape of [2 4] to [3 -1]: sizes differ"},
		{"name", func(g G, _ T) { g.Input("x", graph.Float32, 1) }, `graph: the name "x" is used twice`},
		{"const", func(g G, _ T) { g.Const([]float32{1}, 2) }, "graph: constant float[2]: 4 bytes given"},
		{"transpose", func(g G, x T) { g.Transpose(x, 0, 0) }, "graph: Transpose of [2 4] by [0 0]: not a permutation"},
		{"split", func(g G, x T) { g.Split(x, 1, 1, 1) }, "graph: Split of [2 4] along axis 1 into [1 1]"},
		{"gradient", func(g G, x T) {
			y := g.Add(x, x)
			g.Backward(map[T]T{y: y}, []T{g.Scalar(1)})
		}, `graph: no gradient reaches "const_2"[1]`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g := graph.New(graph.Float32)
			x := g.Input("x", graph.Float32, 2, 4)
			tt.build(g, x)
			g.Output(g.SiLU(g.Concat(1, g.Split(x, 0, 5)...)), "y")
			_, err := g.Marshal()
			if err == nil || err.Error() != tt.want {
				t.Errorf("Marshal() = %v, want %q", err, tt.want)
			}
		})
	}
	if _, err := graph.New(graph.Float32).Marshal(); err == nil || !strings.Contains(err.Error(), "no output") {
		t.Errorf("Marshal() of an empty graph = %v", err)
	}
}
