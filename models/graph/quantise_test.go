package graph_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/oodcast/oodcast/detector/ort"
	"github.com/oodcast/oodcast/models/graph"
)

// residual is a small network with all that Quantise knows: convolutions with and without an activation that folds, one in
// groups, a sum that stays in float32, and a product with a matrix.
func residual(t *testing.T) []byte {
	t.Helper()
	g := graph.New(graph.Float32)
	seed := uint64(0)
	weights := func(shape ...int64) *graph.Tensor {
		n, rest := int64(1), int64(1)
		for i, d := range shape {
			n *= d
			if i > 0 {
				rest *= d
			}
		}
		seed++
		vs, _ := normal(seed, int(n), 1.4/math.Sqrt(float64(rest)))
		return g.Const(vs, shape...)
	}
	x := g.Input("x", graph.Float32, 1, 3, -1, -1)
	six := func(x *graph.Tensor) *graph.Tensor {
		return g.Node("Clip", []*graph.Tensor{x, g.Const([]float32{0}, 1), g.Const([]float32{6}, 1)}, x.Shape, x.DType)
	}
	a := six(g.Conv(x, weights(16, 3, 3, 3), weights(16), graph.ConvOptions{Pad: 1}))
	b := six(g.Conv(a, weights(16, 1, 3, 3), weights(16), graph.ConvOptions{Pad: 1, Groups: 16}))
	c := g.Conv(b, weights(8, 16, 1, 1), nil, graph.ConvOptions{})
	d := g.Node("HardSwish", []*graph.Tensor{g.Conv(c, weights(8, 8, 1, 1), weights(8), graph.ConvOptions{})}, c.Shape, c.DType)
	sum := g.Add(c, d)
	g.Output(sum, "sum")
	g.Output(g.MatMul(g.Transpose(sum, 0, 2, 3, 1), weights(8, 5)), "y")
	return marshal(t, g)
}

// picture returns 3×16×24 values that are not centred.
func picture(seed uint64) []float32 {
	r := rand.New(rand.NewPCG(seed, 1))
	x := make([]float32, 3*16*24)
	for i := range x {
		x[i] = float32(0.4 + r.NormFloat64())
	}
	return x
}

// runPicture evaluates a model on a picture.
func runPicture(t *testing.T, model []byte, x []float32) map[string][]float32 {
	t.Helper()
	s, err := ort.NewSession(model, ort.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	in, err := ort.NewTensor([]int64{1, 3, 16, 24}, x)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = in.Close() }()
	out, err := s.Eval(map[string]*ort.Tensor{"x": in})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string][]float32{}
	for name, v := range out {
		if strings.HasSuffix(name, "shape") {
			for _, d := range ort.Data[int64](v) {
				got[name] = append(got[name], float32(d))
			}
		} else {
			got[name] = slices.Clone(ort.Data[float32](v))
		}
		if err := v.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return got
}

// rangesOf observes a model on a few pictures.
func rangesOf(t *testing.T, model []byte) map[string]graph.Range {
	t.Helper()
	m := parse(t, model)
	seen, err := m.Observe(m.Quantisable())
	if err != nil {
		t.Fatal(err)
	}
	ranges := map[string]graph.Range{}
	for n := range 4 {
		got := runPicture(t, m.Marshal(), picture(uint64(n)))
		for _, o := range seen {
			r := ranges[o.Tensor]
			r.Min, r.Max = min(r.Min, float64(got[o.Min][0])), max(r.Max, float64(got[o.Max][0]))
			for c, v := range got[o.Mean] {
				if n == 0 {
					r.Mean = append(r.Mean, 0)
				}
				r.Mean[c] += float64(v) / 4
			}
			if len(got[o.Shape]) != 4 {
				t.Fatalf("%s has shape %v", o.Tensor, got[o.Shape])
			}
			ranges[o.Tensor] = r
		}
	}
	return ranges
}

func quantise(t *testing.T, model []byte, ranges map[string]graph.Range) []byte {
	t.Helper()
	m := parse(t, model)
	var names []string
	for _, q := range m.Quantisable() {
		names = append(names, q.Name)
	}
	if err := m.Quantise(names, ranges); err != nil {
		t.Fatal(err)
	}
	return m.Marshal()
}

func TestQuantisable(t *testing.T) {
	ops := parse(t, residual(t)).Quantisable()
	if len(ops) != 5 {
		t.Fatalf("%d operators, want 4 convolutions and a product: %+v", len(ops), ops)
	}
	type row struct {
		folds, floats bool
		feeds, work   int
	}
	for i, want := range []row{{true, false, 1, 27}, {true, false, 1, 9}, {false, true, 1, 16}, {false, true, 0, 8}, {false, true, 0, 8}} {
		q := ops[i]
		if got := (row{q.Output != q.Name, q.Floats, len(q.Feeds), q.Work}); got != want {
			t.Errorf("operator %d: %+v, want %+v", i, got, want)
		}
	}
	if ops[0].Feeds[0] != ops[1].Name {
		t.Errorf("the first convolution feeds %v, want %s", ops[0].Feeds, ops[1].Name)
	}
}

func TestQuantiseRuns(t *testing.T) {
	model := residual(t)
	ranges := rangesOf(t, model)
	eight := quantise(t, model, ranges)
	m := parse(t, eight)
	count := map[string]int{}
	for _, op := range m.Operators() {
		count[op.Type]++
	}
	// Five inputs and outputs of convolutions, two of them shared, and the input of the product are rounded.
	if count["Conv"] != 4 || count["Clip"] != 0 || count["QuantizeLinear"] != 6 || count["MatMul"] != 1 || count["Add"] != 1 {
		t.Errorf("operators %v", count)
	}
	for _, w := range m.Initialisers() {
		if len(w.Shape) == 4 && w.DType != graph.Int8 {
			t.Errorf("weights %s are %v", w.Name, w.DType)
		}
	}
	x := picture(9)
	want, got := runPicture(t, model, x), runPicture(t, eight, x)
	for _, name := range []string{"sum", "y"} {
		if d := difference(got[name], want[name]); d == 0 || d > 0.04 {
			t.Errorf("%s differs by %.4f of its root mean square", name, d)
		}
	}
}

// Weights in half precision are quantised like the same in full.
func TestQuantiseHalved(t *testing.T) {
	model := residual(t)
	ranges := rangesOf(t, model)
	m := parse(t, model)
	if err := m.Halve(64); err != nil {
		t.Fatal(err)
	}
	eight := quantise(t, m.Marshal(), ranges)
	for _, op := range parse(t, eight).Operators() {
		if op.Type == "Cast" {
			t.Errorf("a cast is left: %+v", op)
		}
	}
	x := picture(9)
	if d := difference(runPicture(t, eight, x)["y"], runPicture(t, model, x)["y"]); d > 0.04 {
		t.Errorf("differs by %.4f", d)
	}
}

// Two weights of three are too small for a step of the third. The bias takes back what they would have added to the mean.
func TestQuantiseKeepsMeans(t *testing.T) {
	g := graph.New(graph.Float32)
	x := g.Input("x", graph.Float32, 1, 3, -1, -1)
	g.Output(g.Conv(x, g.Const([]float32{1, 0.0035, 0.0035}, 1, 3, 1, 1), nil, graph.ConvOptions{}), "y")
	model := marshal(t, g)
	ranges := map[string]graph.Range{"x": {Min: 0, Max: 255, Mean: []float64{0, 100, 100}}, "y": {Min: 0, Max: 255}}
	in := make([]float32, 3*16*24)
	for i := range in[16*24:] {
		in[16*24+i] = 100
	}
	if y := runPicture(t, quantise(t, model, ranges), in)["y"][0]; y != 1 { // 0.7 and the rounding of the output
		t.Errorf("with the mean, 0.7 becomes %v", y)
	}
	r := ranges["x"]
	r.Mean = nil
	ranges["x"] = r
	if y := runPicture(t, quantise(t, model, ranges), in)["y"][0]; y != 0 {
		t.Errorf("without the mean, 0.7 becomes %v", y)
	}
}

func TestQuantiseRefuses(t *testing.T) {
	model := residual(t)
	m := parse(t, model)
	first := m.Quantisable()[0]
	for name, c := range map[string]struct {
		op     string
		ranges map[string]graph.Range
		want   string
	}{
		"an unknown operator": {"nothing", nil, `no operator with constant weights makes "nothing"`},
		"no range":            {first.Name, nil, `no finite range of "x"`},
		"an infinite range":   {first.Name, map[string]graph.Range{"x": {Max: math.Inf(1)}}, `no finite range of "x"`},
	} {
		if err := m.Quantise([]string{c.op}, c.ranges); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}
