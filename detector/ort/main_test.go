package ort

import (
	"errors"
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/oodcast/oodcast/models/graph"
)

func TestMain(m *testing.M) {
	if _, err := Find(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m)
}

func open(t testing.TB) *Runtime {
	t.Helper()
	r, err := Open("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Errorf("Close() = %v", err)
		}
	})
	return r
}

func session(t testing.TB, model []byte, opts Options) *Session {
	t.Helper()
	s, err := NewSession(model, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// chain returns a model of depth matrix products: y[n,c] = x·W·W…, where W is a cyclic shift by one. So y is x shifted by
// depth, and every value of the result can be checked exactly.
func chain(t testing.TB, c, depth int) []byte {
	t.Helper()
	g := graph.New(graph.Float32)
	w := make([]float32, c*c)
	for i := range c {
		w[i*c+(i+1)%c] = 1
	}
	x := g.Input("x", graph.Float32, -1, int64(c))
	shift := g.Const(w, int64(c), int64(c))
	for range depth {
		x = g.Node("MatMul", []*graph.Tensor{x, shift}, []int64{-1, int64(c)}, graph.Float32)
	}
	g.Output(x, "y")
	model, err := g.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return model
}

func tensor[T Element](t testing.TB, data []T, shape ...int64) *Tensor {
	t.Helper()
	v, err := NewTensor(shape, data)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = v.Close() })
	return v
}

func mustBe(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("error = %v, want %v", err, want)
	}
}
