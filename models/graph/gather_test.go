package graph_test

import (
	"bytes"
	"slices"
	"testing"
	"testing/fstest"

	"github.com/oodcast/oodcast/models/graph"
)

// Gathered weights lie aligned in one file, small ones stay, and the model with the weights inside is the one before but for the
// order of fields.
func TestGather(t *testing.T) {
	g := graph.New(graph.Float32)
	x := g.Input("x", graph.Float32, 1, 300)
	ramp := func(n int) []float32 {
		v := make([]float32, n)
		for i := range v {
			v[i] = float32(i)
		}
		return v
	}
	x = g.Add(x, g.Const(ramp(300), 1, 300))
	x = g.MatMul(x, g.Const(ramp(301 * 300)[300:], 300, 300))
	g.Output(g.Add(x, g.Const(ramp(3)[1:2], 1)), "y")
	model, err := g.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	var weights bytes.Buffer
	small, size, err := graph.Gather(model, fstest.MapFS{}, &weights, "w")
	if err != nil {
		t.Fatal(err)
	}
	names, err := graph.External(small)
	if err != nil || !slices.Equal(names, []string{"w"}) || size != int64(weights.Len()) || size != 1216+4*300*300 {
		t.Errorf("files %v with %d of %d bytes, %v", names, weights.Len(), size, err)
	}
	if n := len(model) - len(small); n < 361000 {
		t.Errorf("the model is only %d bytes smaller", n)
	}
	dir := fstest.MapFS{"w": {Data: weights.Bytes()}}
	var whole bytes.Buffer
	if err := graph.InlineTo(&whole, small, dir); err != nil {
		t.Fatal(err)
	}
	if inline, err := graph.Inline(small, dir); err != nil || !bytes.Equal(inline, whole.Bytes()) {
		t.Errorf("Inline and InlineTo differ, %v", err)
	}
	was, err := graph.Parse(model)
	if err != nil {
		t.Fatal(err)
	}
	is, err := graph.Parse(whole.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if len(whole.Bytes()) != len(model) || !slices.EqualFunc(was.Initialisers(), is.Initialisers(), func(a, b graph.Weight) bool {
		return a.Name == b.Name && a.Bytes == b.Bytes && slices.Equal(a.Shape, b.Shape)
	}) {
		t.Errorf("%d bytes with %v, want %d with %v", whole.Len(), is.Initialisers(), len(model), was.Initialisers())
	}
	dir["w"].Data = dir["w"].Data[:1000]
	if err := graph.InlineTo(&whole, small, dir); err == nil {
		t.Error("a file that is cut off is accepted")
	}
}
