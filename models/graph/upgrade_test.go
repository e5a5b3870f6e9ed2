package graph_test

import (
	"errors"
	"math"
	"slices"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/oodcast/oodcast/models/graph"
)

// old returns a model of one operator in an older operator set, from x[1,12], reshaped, to y.
func old(t *testing.T, opset int64, shape []int64, build func(g *graph.Graph, x *graph.Tensor) *graph.Tensor) *graph.Model {
	t.Helper()
	g := graph.New(graph.Float32)
	x := g.Reshape(g.Input("x", graph.Float32, 1, 12), shape...)
	g.Output(build(g, x), "y")
	m := parse(t, marshal(t, g))
	m.SetOpset(opset)
	return m
}

// Each operator gives what ONNX Runtime computes for the model as it was.
func TestUpgradeKeepsResults(t *testing.T) {
	var x []float32
	for i := range 12 {
		x = append(x, float32(math.Sin(float64(3*i)))*2)
	}
	one := func(op string, attrs ...graph.Attr) func(*graph.Graph, *graph.Tensor) *graph.Tensor {
		return func(g *graph.Graph, x *graph.Tensor) *graph.Tensor {
			return g.Node(op, []*graph.Tensor{x}, []int64{-1}, graph.Float32, attrs...)
		}
	}
	scaled := func(op, mode string) func(*graph.Graph, *graph.Tensor) *graph.Tensor {
		return func(g *graph.Graph, x *graph.Tensor) *graph.Tensor {
			scales := g.Const([]float32{1, 1, 2, 3})
			return g.Node(op, []*graph.Tensor{x, scales}, []int64{-1}, graph.Float32, graph.Str("mode", mode))
		}
	}
	picture := []int64{1, 2, 2, 3}
	for name, tt := range map[string]struct {
		opset int64
		shape []int64
		build func(*graph.Graph, *graph.Tensor) *graph.Tensor
	}{
		"softmax":         {9, picture, one("Softmax")},
		"softmax axis 2":  {12, picture, one("Softmax", graph.Int("axis", 2))},
		"softmax axis -1": {11, picture, one("LogSoftmax", graph.Int("axis", -1))},
		"upsample":        {9, picture, scaled("Upsample", "linear")},
		"nearest":         {9, picture, scaled("Upsample", "nearest")},
		"resize":          {10, picture, scaled("Resize", "linear")},
		"resize nearest":  {10, picture, scaled("Resize", "nearest")},
		"clip":            {10, picture, one("Clip", graph.Float("min", -1), graph.Float("max", 0.5))},
		"clip above":      {9, picture, one("Clip", graph.Float("max", 0.5))},
		"pad":             {9, picture, one("Pad", graph.Ints("pads", 0, 0, 1, 0, 0, 0, 0, 2), graph.Float("value", 1.5))},
		"pad edge":        {10, picture, one("Pad", graph.Ints("pads", 0, 0, 1, 0, 0, 0, 0, 1), graph.Str("mode", "edge"))},
		"slice":           {9, picture, one("Slice", graph.Ints("starts", 0, 1), graph.Ints("ends", 1, 9), graph.Ints("axes", 1, 3))},
		"slice all":       {9, picture, one("Slice", graph.Ints("starts", 0, 1), graph.Ints("ends", 1, 2))},
		"squeeze":         {12, picture, one("Squeeze", graph.Ints("axes", 0))},
		"unsqueeze":       {9, picture, one("Unsqueeze", graph.Ints("axes", 0, 2))},
		"sum":             {12, picture, one("ReduceSum", graph.Ints("axes", 1, 3), graph.Int("keepdims", 0))},
		"mean":            {9, picture, one("ReduceMean", graph.Ints("axes", 1))},
		"dropout":         {10, picture, one("Dropout", graph.Float("ratio", 0.5))},
		"split": {11, picture, func(g *graph.Graph, x *graph.Tensor) *graph.Tensor {
			part := graph.Spec{DType: graph.Float32, Shape: []int64{-1}}
			return g.NodeN("Split", []*graph.Tensor{x}, []graph.Spec{part, part}, graph.Int("axis", 3), graph.Ints("split", 1, 2))[1]
		}},
	} {
		m := old(t, tt.opset, tt.shape, tt.build)
		want := run(t, m.Marshal(), map[string][]float32{"x": x})["y"]
		if err := m.Upgrade(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if m.Opsets()[""] != 13 {
			t.Errorf("%s: operator set %d", name, m.Opsets()[""])
		}
		got := run(t, m.Marshal(), map[string][]float32{"x": x})["y"]
		if !slices.EqualFunc(got, want, func(a, b float32) bool { return math.Abs(float64(a-b)) < 1e-6 }) || len(got) == 0 {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}

func TestUpgradeRefuses(t *testing.T) {
	relu := func(g *graph.Graph, x *graph.Tensor) *graph.Tensor { return g.Unary("Relu", x) }
	if err := old(t, 8, []int64{12}, relu).Upgrade(); !errors.Is(err, graph.ErrOpset) {
		t.Errorf("operator set 8: %v", err)
	}
	m := old(t, 20, []int64{12}, relu)
	before := m.Marshal()
	if err := m.Upgrade(); err != nil || !slices.Equal(m.Marshal(), before) {
		t.Errorf("operator set 20 has changed, %v", err)
	}
	own := slices.Concat(old(t, 12, []int64{12}, relu).Marshal(), message(25, message(1, "Twice", 10, "mine")))
	want := `graph: operator set 12 with the function "mine.Twice": export with 13 or later`
	if err := parse(t, own).Upgrade(); err == nil || err.Error() != want {
		t.Errorf("function: %v, want %s", err, want)
	}
}

// Branches are brought up to date too.
func TestUpgradeBranches(t *testing.T) {
	raw := branching()
	m := parse(t, raw)
	m.SetOpset(9)
	if err := m.Upgrade(); err != nil {
		t.Fatal(err)
	}
	if got := run(t, m.Marshal(), map[string][]float32{"in": {1, 2}})["out"]; got[0] != -2 || got[1] != -4 {
		t.Errorf("out = %v, want [-2 -4]", got)
	}
}

func TestTraining(t *testing.T) {
	build := func(on byte) *graph.Model {
		g := graph.New(graph.Float32)
		x := g.Input("x", graph.Float32, 1, 2)
		ins := []*graph.Tensor{x, g.Scalar(0.5), g.ConstRaw(graph.Bool, []byte{on}, 1)}
		g.Output(g.Node("Dropout", ins, x.Shape, graph.Float32), "y")
		return parse(t, marshal(t, g))
	}
	if _, op := build(0).Training(); op != "" {
		t.Errorf("a Dropout that is off: %s", op)
	}
	if name, op := build(1).Training(); op != "Dropout" || name == "" {
		t.Errorf("a Dropout that is on: %q %q", op, name)
	}
}

// Weights among the inputs of format version 3 are no inputs.
func TestHideWeights(t *testing.T) {
	g := graph.New(graph.Float32)
	w := g.Const([]float32{2, 3})
	g.Output(g.Mul(g.Input("x", graph.Float32, 1, 2), w), "y")
	raw := marshal(t, g)
	value := message(1, w.Name, 2, message(1, message(1, 1, 2, message(1, message(1, 2)))))
	declared := parse(t, raw)
	m := parse(t, rawGraph(t, raw, value))
	if len(m.Inputs()) != 1 {
		t.Errorf("inputs %v", m.Inputs())
	}
	m.HideWeights()
	if got, want := m.Marshal(), declared.Marshal(); !slices.Equal(got, want) {
		t.Errorf("%d bytes without the declared weights, want %d", len(got), len(want))
	}
}

// rawGraph adds a declared input to the graph of a model.
func rawGraph(t *testing.T, model, input []byte) []byte {
	t.Helper()
	return eachGraph(t, model, func(g []byte) []byte { return slices.Concat(g, message(11, input)) })
}

func TestTapShapes(t *testing.T) {
	m := parse(t, scale(t, "x", "y", 3))
	inner := m.Operators()[0].Outputs[0]
	names := m.TapShapes([]string{inner, "y"})
	got := run(t, m.Marshal(), map[string][]float32{"x": {1, 2}})
	for _, name := range names {
		if v := got[name]; len(v) != 2 || v[0] != 1 || v[1] != 2 || len(got) != 2 {
			t.Errorf("%s = %v of %d outputs, want [1 2] of two", name, v, len(got))
		}
	}
}

// eachGraph replaces the graph of a model.
func eachGraph(t *testing.T, model []byte, edit func([]byte) []byte) []byte {
	t.Helper()
	var out []byte
	for b := model; len(b) > 0; {
		num, typ, n := protowire.ConsumeTag(b)
		m := protowire.ConsumeFieldValue(num, typ, b[max(n, 0):])
		if n < 0 || m < 0 {
			t.Fatal("broken model")
		}
		if num == 7 {
			val, _ := protowire.ConsumeBytes(b[n:])
			out = append(out, message(7, edit(val))...)
		} else {
			out = append(out, b[:n+m]...)
		}
		b = b[n+m:]
	}
	return out
}
