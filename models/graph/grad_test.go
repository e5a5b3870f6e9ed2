package graph_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/oodcast/oodcast/detector/ort"
	"github.com/oodcast/oodcast/models/graph"
)

// The gradient of sum(y²) agrees with central differences for every differentiable operator, with and without broadcasting.
func TestGradients(t *testing.T) {
	type G = *graph.Graph
	type T = *graph.Tensor
	const n, c = 4, 8
	tests := []struct {
		name  string
		shape []int64 // of the second argument w; x is [4,8]
		f     func(g G, x, w T) T
	}{
		{"add", []int64{n, c}, func(g G, x, w T) T { return g.Add(x, w) }},
		{"add row", []int64{c}, func(g G, x, w T) T { return g.Add(x, w) }},
		{"add column", []int64{n, 1}, func(g G, x, w T) T { return g.Add(w, x) }},
		{"mul", []int64{n, c}, func(g G, x, w T) T { return g.Mul(x, w) }},
		{"mul row", []int64{1, c}, func(g G, x, w T) T { return g.Mul(w, x) }},
		{"mul number", []int64{1}, func(g G, x, w T) T { return g.Mul(x, w) }},
		{"square", []int64{1}, func(g G, x, w T) T { return g.Add(g.Mul(x, x), w) }},
		{"linear", []int64{3, c}, func(g G, x, w T) T { return g.Linear(x, w, g.Scalar(0.5)) }},
		{"bias", []int64{n}, func(g G, x, w T) T { return g.Linear(x, x, w) }},
		{"silu", []int64{1}, func(g G, x, w T) T { return g.SiLU(g.Mul(x, w)) }},
		{"concat", []int64{n, 2}, func(g G, x, w T) T { return g.Concat(1, w, x, w) }},
		{"concat rows", []int64{2, c}, func(g G, x, w T) T { return g.Mul(g.Concat(0, x, w), g.Concat(0, w, x)) }},
		{"reshape", []int64{2, 16}, func(g G, x, w T) T { return g.Mul(g.Reshape(x, 2, -1), w) }},
		{"per time", []int64{2, c}, func(g G, x, w T) T { return g.AddPerTime(x, w) }},
		{"per row", []int64{n, c}, func(g G, x, w T) T { return g.AddPerTime(x, w) }},
		{"small groups", []int64{c}, func(g G, x, w T) T { return g.GroupNorm(x, w, g.Scalar(1), 2) }},
		{"beta", []int64{c}, func(g G, x, w T) T { return g.GroupNorm(x, ones(g, c), w, 4) }},
		{"large groups", []int64{4 * c}, func(g G, x, w T) T {
			return g.GroupNorm(g.Concat(1, x, g.Mul(x, x), x, g.SiLU(x)), w, w, 1)
		}},
		{"custom", []int64{1}, func(g G, x, w T) T {
			y := g.Unary("Exp", x)
			return g.Mul(g.Custom(y, []T{x}, func(dy T) []T { return []T{g.Mul(dy, y)} }), w)
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g := graph.New(graph.Float64)
			x, w := g.Input("x", graph.Float64, n, c), g.Input("w", graph.Float64, tt.shape...)
			y := tt.f(g, x, w)
			flat := g.Reshape(g.Mul(y, y), 1, -1)
			one := g.Add(g.Mul(flat, g.Scalar(0)), g.Scalar(1))
			grads := g.Backward(map[T]T{flat: one}, []T{x, w})
			g.Output(g.ReduceSum(flat, false, 1), "loss")
			for i, d := range grads {
				g.Output(d, []string{"dx", "dw"}[i])
			}
			checkGradients(t, marshal(t, g), n*c, int(w.Size()), tt.shape)
		})
	}
}

func ones(g *graph.Graph, n int) *graph.Tensor {
	v := make([]float32, n)
	for i := range v {
		v[i] = 1
	}
	return g.Const(v)
}

func checkGradients(t *testing.T, model []byte, nx, nw int, shape []int64) {
	t.Helper()
	s, err := ort.NewSession(model, ort.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	rnd := rand.New(rand.NewPCG(1, 2))
	values := map[string][]float64{"x": make([]float64, nx), "w": make([]float64, nw)}
	in := map[string]*ort.Tensor{}
	for _, name := range []string{"x", "w"} {
		v := values[name]
		for i := range v {
			v[i] = rnd.NormFloat64()
		}
		sh := shape
		if name == "x" {
			sh = []int64{4, 8}
		}
		if in[name], err = ort.NewTensor(sh, v); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = in[name].Close() }()
	}
	eval := func() map[string][]float64 {
		out, err := s.Eval(in)
		if err != nil {
			t.Fatal(err)
		}
		got := map[string][]float64{}
		for name, x := range out {
			got[name] = append([]float64(nil), ort.Data[float64](x)...)
			_ = x.Close()
		}
		return got
	}
	first := eval()
	for _, name := range []string{"x", "w"} {
		v := values[name]
		for i, g := range first["d"+name] {
			const h = 1e-6
			old := v[i]
			v[i] = old + h
			up := eval()["loss"][0]
			v[i] = old - h
			down := eval()["loss"][0]
			v[i] = old
			// Rounding a loss of a few tens and dividing by 2h leaves 1e-8 of noise.
			if d := math.Abs(g - (up-down)/(2*h)); !(d < 1e-6*(1+math.Abs(g))) {
				t.Fatalf("d%s[%d] = %g, central difference %g", name, i, g, (up-down)/(2*h))
			}
		}
	}
}
