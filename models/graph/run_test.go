package graph_test

import (
	"fmt"
	"os"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

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

// The inner names of both models are the same, so those of the second model must change.
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

// message writes a protobuf message from field numbers and their values: strings, bytes and integers.
func message(fields ...any) []byte {
	var b []byte
	for i := 0; i < len(fields); i += 2 {
		num := protowire.Number(fields[i].(int))
		switch v := fields[i+1].(type) {
		case string:
			b = protowire.AppendString(protowire.AppendTag(b, num, protowire.BytesType), v)
		case []byte:
			b = protowire.AppendBytes(protowire.AppendTag(b, num, protowire.BytesType), v)
		case int:
			b = protowire.AppendVarint(protowire.AppendTag(b, num, protowire.VarintType), uint64(v))
		}
	}
	return b
}

// branching is y = if 1 then t+t else t-t, with t = -in taken from outside the branches.
func branching() []byte {
	value := func(name string) []byte {
		dim := func(n int) []byte { return message(1, n) }
		tensor := message(1, 1, 2, message(1, dim(1), 1, dim(2)))
		return message(1, name, 2, message(1, tensor))
	}
	branch := func(name, op string) []byte {
		inner := message(1, message(1, "t", 1, "t", 2, "r", 4, op), 2, name, 12, value("r"))
		return message(1, name, 6, inner, 20, 5)
	}
	graph := message(
		1, message(1, "in", 2, "t", 4, "Neg"),
		1, message(1, "c", 2, "out", 4, "If", 5, branch("then_branch", "Add"), 5, branch("else_branch", "Sub")),
		2, "branching",
		5, message(1, 1, 2, int(graph.Bool), 8, "c", 9, []byte{1}),
		11, value("in"), 12, value("out"),
	)
	return message(1, 8, 7, graph, 8, message(2, 17))
}

// Merge renames in branches too, where they use a name of the outer graph.
func TestMergeBranches(t *testing.T) {
	g := graph.New(graph.Float32)
	x := g.Input("t", graph.Float32, 1, 2)
	g.Output(g.Mul(x, g.Scalar(5)), "y")
	m, err := graph.Merge(parse(t, marshal(t, g)), parse(t, branching()), map[string]string{"y": "in"})
	if err != nil {
		t.Fatal(err)
	}
	got := run(t, m.Marshal(), map[string][]float32{"t": {1, 2}})
	if got["out"][0] != -10 || got["out"][1] != -20 {
		t.Errorf("got %v, want out = [-10 -20]", got)
	}
}
