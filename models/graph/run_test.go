package graph_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/oodcast/oodcast/detector/ort"
	"github.com/oodcast/oodcast/models/graph"
)

func TestMain(m *testing.M) {
	rt, err := ort.Open("")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	if err := rt.Close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// run evaluates a model on inputs of one row.
func run(t *testing.T, model []byte, inputs map[string][]float32) map[string][]float32 {
	t.Helper()
	s, err := ort.NewSession(model, ort.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	in := map[string]*ort.Tensor{}
	for name, v := range inputs {
		x, err := ort.NewTensor([]int64{1, int64(len(v))}, v)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = x.Close() }()
		in[name] = x
	}
	out, err := s.Eval(in)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string][]float32{}
	for name, x := range out {
		got[name] = append([]float32(nil), ort.Data[float32](x)...)
		if err := x.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return got
}

// scale is y = k·x + x, with an inner tensor k·x.
func scale(t *testing.T, in, out string, k float32) []byte {
	t.Helper()
	g := graph.New(graph.Float32)
	x := g.Input(in, graph.Float32, -1, 2)
	g.Output(g.Add(g.Mul(x, g.Const([]float32{k})), x), out)
	return marshal(t, g)
}

func TestTapRuns(t *testing.T) {
	m := parse(t, scale(t, "x", "y", 3))
	inner := m.Operators()[0].Outputs[0]
	if err := m.Tap(inner); err != nil {
		t.Fatal(err)
	}
	got := run(t, m.Marshal(), map[string][]float32{"x": {1, 2}})
	if got[inner][1] != 6 || got["y"][1] != 8 {
		t.Errorf("got %v, want %s = [3 6] and y = [4 8]", got, inner)
	}
}

// The inner names of both models are the same: the second one's must change.
func TestMergeRuns(t *testing.T) {
	a, b := parse(t, scale(t, "x", "y", 3)), parse(t, scale(t, "in", "out", 10))
	m, err := graph.Merge(a, b, map[string]string{"y": "in"})
	if err != nil {
		t.Fatal(err)
	}
	got := run(t, m.Marshal(), map[string][]float32{"x": {1, 2}})
	if len(got) != 1 || got["out"][0] != 44 || got["out"][1] != 88 {
		t.Errorf("got %v, want out = [44 88]", got)
	}
	side, err := graph.Merge(a, b, nil)
	if err != nil {
		t.Fatal(err)
	}
	got = run(t, side.Marshal(), map[string][]float32{"x": {1, 2}, "in": {1, 1}})
	if len(got) != 2 || got["y"][0] != 4 || got["out"][0] != 11 {
		t.Errorf("got %v, want y = [4 8] and out = [11 11]", got)
	}
}
