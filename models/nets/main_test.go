package nets_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/oodcast/oodcast/detector/ort"
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

// tensor returns an input of a session; it is closed at the end of the test.
func tensor[T ort.Element](t testing.TB, data []T, shape ...int64) *ort.Tensor {
	t.Helper()
	x, err := ort.NewTensor(shape, data)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = x.Close() })
	return x
}

// open returns a session of a model; it is closed at the end of the test.
func open(t testing.TB, model []byte, err error) *ort.Session {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	s, err := ort.NewSession(model, ort.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// eval runs a session on named inputs.
func eval(t testing.TB, s *ort.Session, inputs map[string]*ort.Tensor) map[string]*ort.Tensor {
	t.Helper()
	out, err := s.Eval(inputs)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range out {
		t.Cleanup(func() { _ = o.Close() })
	}
	return out
}
