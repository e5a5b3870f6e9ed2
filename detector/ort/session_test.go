package ort

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/oodcast/oodcast/detector/ort/orttest"
	"github.com/oodcast/oodcast/models/graph"
)

func TestSessionPorts(t *testing.T) {
	open(t)
	s := session(t, chain(t, 8, 2), Options{Threads: 1})
	if len(s.Inputs()) != 1 || s.Inputs()[0].Name != "x" || !slices.Equal(s.Inputs()[0].Shape, []int64{-1, 8}) {
		t.Errorf("Inputs() = %+v", s.Inputs())
	}
	if len(s.Outputs()) != 1 || s.Outputs()[0].Name != "y" || s.Outputs()[0].DType != graph.Float32 {
		t.Errorf("Outputs() = %+v", s.Outputs())
	}
}

// Constants are not inputs, and a picture of bytes keeps its type.
func TestEncoderPorts(t *testing.T) {
	model, err := orttest.MeanEncoder()
	if err != nil {
		t.Fatal(err)
	}
	in, out, err := ports(model, false)
	if err != nil {
		t.Fatal(err)
	}
	if got := names(in); !slices.Equal(got, encoderInputs) {
		t.Errorf("inputs %v, want %v", got, encoderInputs)
	}
	if got, want := names(out), encoderOutputs[:outLSE+1]; !slices.Equal(got, want) {
		t.Errorf("outputs %v, want %v", got, want)
	}
	if in[0].DType != graph.Uint8 || !slices.Equal(in[0].Shape, []int64{-1, -1, 3}) {
		t.Errorf("image is %+v", in[0])
	}
}

func TestSessionBadModels(t *testing.T) {
	open(t)
	good := chain(t, 8, 2)
	empty := []byte{7<<3 | 2, 0} // a model whose graph has no outputs
	if _, err := NewSession(empty, Options{}); err == nil || !strings.Contains(err.Error(), "no outputs: not an ONNX model") {
		t.Errorf("NewSession(no outputs) = %v", err)
	}
	for name, model := range map[string][]byte{
		"empty": nil, "text": []byte("not a model"), "truncated": good[:len(good)/2], "a byte short": good[:len(good)-1],
	} {
		if s, err := NewSession(model, Options{}); err == nil {
			_ = s.Close()
			t.Errorf("NewSession(%s) succeeds", name)
		}
	}
}

func TestNewTensorMistakes(t *testing.T) {
	open(t)
	for _, tt := range []struct {
		name  string
		shape []int64
		data  []float32
		want  string
	}{
		{"no dimension", nil, []float32{1}, "without a dimension"},
		{"negative", []int64{-1, 2}, nil, "negative dimension"},
		{"too short", []int64{2, 2}, []float32{1}, "got 1 values, want 4"},
	} {
		if _, err := NewTensor(tt.shape, tt.data); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: NewTensor() = %v, want %q", tt.name, err, tt.want)
		}
	}
}

func TestRunMistakes(t *testing.T) {
	open(t)
	s := session(t, chain(t, 8, 2), Options{Threads: 1})
	x := tensor[float32](t, nil, 2, 8)
	wrong := tensor[float32](t, nil, 2, 7)
	closed := tensor[float32](t, nil, 2, 8)
	_ = closed.Close()
	for _, tt := range []struct {
		name    string
		in, out []*Tensor
		want    string
	}{
		{"too few", nil, []*Tensor{nil}, "got 0 inputs and 1 outputs, want 1 and 1"},
		{"nil input", []*Tensor{nil}, []*Tensor{nil}, `input "x" is closed or nil`},
		{"closed input", []*Tensor{closed}, []*Tensor{nil}, `input "x" is closed or nil`},
		{"closed output", []*Tensor{x}, []*Tensor{closed}, `output "y" is closed`},
		{"wrong shape", []*Tensor{wrong}, []*Tensor{nil}, "ort: run:"},
	} {
		if err := s.Run(tt.in, tt.out); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: Run() = %v, want %q", tt.name, err, tt.want)
		}
	}
	_ = s.Close()
	if err := s.Run([]*Tensor{x}, []*Tensor{nil}); err == nil {
		t.Error("Run() after Close succeeds")
	}
}

func TestProviderFallback(t *testing.T) {
	open(t)
	model := chain(t, 8, 2)
	for _, p := range []Provider{CUDA, TensorRT} {
		s, err := NewSession(model, Options{Provider: p})
		if err != nil {
			t.Fatalf("NewSession(%s) = %v, want a fallback", p, err)
		}
		if s.Provider() == p {
			t.Logf("%s is available here", p)
			_ = s.Close()
			continue
		}
		if s.Provider() != CPU || !strings.Contains(s.Note(), string(p)) {
			t.Errorf("Provider() = %s, Note() = %q", s.Provider(), s.Note())
		}
		out, err := s.Eval(map[string]*Tensor{"x": tensor[float32](t, nil, 2, 8)})
		if err != nil {
			t.Errorf("the fallback does not run: %v", err)
		} else {
			_ = out["y"].Close()
		}
		_ = s.Close()
		s, err = NewSession(model, Options{Provider: p, Required: true})
		mustBe(t, err, ErrProvider)
		if err == nil {
			_ = s.Close()
		} else if strings.Contains(err.Error(), ".cc:") || strings.Contains(err.Error(), "\n") {
			t.Errorf("the message is not fit for users: %v", err)
		}
	}
	if _, err := NewSession(model, Options{Provider: "abacus"}); err == nil {
		t.Error("an unknown provider is accepted")
	}
}

// Repeated calls must grow neither native nor Go memory.
func TestRunLeaksNothing(t *testing.T) {
	open(t)
	const rows, c = 256, 64
	s := session(t, chain(t, c, 2), Options{Threads: 1})
	once := func() {
		x, err := NewTensor[float32]([]int64{rows, c}, nil)
		if err != nil {
			t.Fatal(err)
		}
		out := make([]*Tensor, 1)
		if err := s.Run([]*Tensor{x}, out); err != nil {
			t.Fatal(err)
		}
		if err := x.Close(); err != nil {
			t.Error(err)
		}
		if err := x.Close(); err != nil {
			t.Errorf("second Close() = %v", err)
		}
		if err := out[0].Close(); err != nil {
			t.Error(err)
		}
	}
	for range 200 {
		once()
	}
	runtime.GC()
	before := rss(t)
	for range 2000 { // 64 KiB each way: leaking either would take at least 128 MiB
		once()
	}
	runtime.GC()
	if grown := rss(t) - before; grown > 32<<20 {
		t.Errorf("memory grew by %d MiB over 2000 runs", grown>>20)
	}
}

// rss returns the resident memory of the process in bytes.
func rss(t *testing.T) int {
	t.Helper()
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Skip("no /proc here: ", err)
	}
	var size, resident int
	if _, err := fmt.Sscan(string(b), &size, &resident); err != nil {
		t.Fatal(err)
	}
	return resident * os.Getpagesize()
}

func TestConcurrentRuns(t *testing.T) {
	open(t)
	const c = 16
	s := session(t, chain(t, c, 3), Options{Threads: 1})
	var wg sync.WaitGroup
	for k := range 4 {
		wg.Go(func() {
			for i := range 50 {
				data := make([]float32, c)
				data[0] = float32(k*100 + i)
				x, err := NewTensor([]int64{1, c}, data)
				if err != nil {
					t.Error(err)
					return
				}
				out := make([]*Tensor, 1)
				if err := s.Run([]*Tensor{x}, out); err != nil {
					t.Error(err)
					return
				}
				if got := Data[float32](out[0])[3]; got != data[0] {
					t.Errorf("y[3] = %v, want %v", got, data[0])
				}
				_, _ = x.Close(), out[0].Close()
			}
		})
	}
	wg.Wait()
}
