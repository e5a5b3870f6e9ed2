package ort

import (
	"math"
	"runtime"
	"sync"
	"testing"

	"github.com/oodcast/oodcast/models/graph"
)

const (
	keepRows, keepWidth, keepDepth = 512, 256, 24
	keepRuns                       = 60
)

// lateRead is a model that reads its input again at the very end of a run: y = x·W·…·W + x, where W is the identity.
func lateRead(t testing.TB) []byte {
	t.Helper()
	g := graph.New(graph.Float32)
	w := make([]float32, keepWidth*keepWidth)
	for i := range keepWidth {
		w[i*keepWidth+i] = 1
	}
	shape := []int64{keepRows, keepWidth}
	x := g.Input("x", graph.Float32, shape...)
	one, h := g.Const(w, keepWidth, keepWidth), x
	for range keepDepth {
		h = g.Node("MatMul", []*graph.Tensor{h, one}, shape, graph.Float32)
	}
	g.Output(g.Node("Add", []*graph.Tensor{h, x}, shape, graph.Float32), "y")
	model, err := g.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return model
}

// The binding drops its references to tensors that are in use. The test collects garbage all the time and fills freed
// memory with NaN: the results of Run must stay right. The same loop with run, which is Run without its KeepAlive lines,
// proves that the test can detect the fault.
func TestRunKeepsTensorsAlive(t *testing.T) {
	open(t)
	s := session(t, lateRead(t), Options{Threads: 1})
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() { churn(stop) })
	defer wg.Wait()
	defer close(stop)

	if bad := wrongRuns(t, s.Run); bad != 0 {
		t.Errorf("%d of %d runs are wrong", bad, keepRuns)
	}
	if bad := wrongRuns(t, s.run); bad == 0 {
		t.Errorf("none of %d runs without KeepAlive is wrong: this test detects nothing", keepRuns)
	} else {
		t.Logf("without KeepAlive %d of %d runs are wrong", bad, keepRuns)
	}
}

func wrongRuns(t *testing.T, run func(in, out []*Tensor) error) int {
	t.Helper()
	wrong := 0
	for range keepRuns {
		out := make([]*Tensor, 1)
		if err := run(unreferenced(t), out); err != nil {
			t.Fatal(err)
		}
		for _, v := range Data[float32](out[0]) {
			if v != 2 {
				wrong++
				break
			}
		}
		_ = out[0].Close()
	}
	return wrong
}

// unreferenced returns an input of ones to which only the returned slice refers. Its native handle, some 200 bytes, leaks:
// keeping it to free it later would keep the memory alive.
func unreferenced(t *testing.T) []*Tensor {
	t.Helper()
	data := make([]float32, keepRows*keepWidth)
	for i := range data {
		data[i] = 1
	}
	x, err := NewTensor([]int64{keepRows, keepWidth}, data)
	if err != nil {
		t.Fatal(err)
	}
	_ = release() // the leaked native handle must not keep the library loaded
	return []*Tensor{x}
}

// churn collects garbage and fills freed memory with NaN until stop is closed.
func churn(stop <-chan struct{}) {
	var keep [8][]float32
	for i := 0; ; i++ {
		select {
		case <-stop:
			return
		default:
		}
		runtime.GC()
		junk := make([]float32, keepRows*keepWidth)
		for j := range junk {
			junk[j] = float32(math.NaN())
		}
		keep[i%len(keep)] = junk
	}
}
