package graph_test

import (
	"testing"

	"github.com/oodcast/oodcast/detector/ort"
	"github.com/oodcast/oodcast/models/graph"
)

// A grouped strided convolution, a product with a constant, one of two activations, and Gemm count as by hand.
func TestWork(t *testing.T) {
	g := graph.New(graph.Float32)
	x := g.Input("x", graph.Float32, 1, 4, -1, -1)
	y := g.Conv(x, g.Const(make([]float32, 6*2*9), 6, 2, 3, 3), nil, graph.ConvOptions{Stride: 2, Pad: 1, Groups: 2}) // 6×4×5 of 2·9
	tokens := g.Transpose(g.Reshape(y, 1, 6, -1), 0, 2, 1)                                                            // 20 tokens of 6
	a := g.MatMul(tokens, g.Const(make([]float32, 6*7), 6, 7))                                                        // 20×7 of 6
	b := g.MatMul(a, g.Transpose(a, 0, 2, 1))                                                                         // 20×20 of 7
	b = g.MatMul(g.Unary("Softmax", b), g.Const(make([]float32, 20*20), 20, 20))                                      // 20×20 of 20
	g.Output(g.Gemm(g.Reshape(b, 20, 20), g.Const(make([]float32, 20*3), 20, 3), nil, graph.GemmOptions{}), "y")      // 20×3 of 20
	raw, err := g.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	m, err := graph.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	work := m.Work()
	if _, err := work.Multiplications(nil); err == nil {
		t.Error("no shapes: want an error")
	}
	rt, err := ort.Open("")
	if err != nil {
		t.Fatal(err)
	}
	defer rt.Close()
	s, err := ort.NewSession(m.Marshal(), ort.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	in, err := ort.NewTensor([]int64{1, 4, 8, 10}, make([]float32, 4*8*10))
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := s.Eval(map[string]*ort.Tensor{"x": in})
	if err != nil {
		t.Fatal(err)
	}
	shapes := map[string][]int64{}
	for name, o := range out {
		shapes[name] = append([]int64{}, ort.Data[int64](o)...)
		_ = o.Close()
	}
	const want = 6*4*5*2*9 + 20*7*6 + 20*20*7 + 20*20*20 + 20*3*20
	if got, err := work.Multiplications(shapes); err != nil || got != want {
		t.Errorf("Multiplications() = %d, %v, want %d", got, err, want)
	}
}
