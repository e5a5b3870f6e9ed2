package graph_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/oodcast/oodcast/models/graph"
)

// twoLayers is a network with two layers of weights, named by prefix.
func twoLayers(t testing.TB, prefix string, first, second uint64) []byte {
	t.Helper()
	g := graph.New(graph.Float32)
	w1, _ := normal(first, 16*32, 0.1)
	w2, _ := normal(second, 32*16, 0.1)
	b, _ := normal(99, 16, 1)
	x := g.Input("x", graph.Float32, 1, 16)
	y := g.Add(g.MatMul(g.MatMul(x, g.Const(w1, 16, 32)), g.Const(w2, 32, 16)), g.Const(b))
	g.Output(y, "y")
	raw, err := g.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	m, err := graph.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Prefix(prefix); err != nil {
		t.Fatal(err)
	}
	return m.Marshal()
}

func references(t testing.TB, models ...[]byte) graph.References {
	t.Helper()
	var list []*graph.Model
	for _, raw := range models {
		m, err := graph.Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, m)
	}
	return graph.NewReferences(list...)
}

// What two models have in common is taken out, whatever its name, and put back byte for byte. The rest stays.
func TestTakeOutAndPutBack(t *testing.T) {
	model, upstream := twoLayers(t, "trained.", 1, 2), twoLayers(t, "upstream.", 3, 1)
	refs := references(t, upstream)
	part, taken, err := graph.TakeOut(model, refs, 1024)
	if err != nil || taken != 4*16*32 {
		t.Fatalf("TakeOut() = %d bytes, %v", taken, err)
	}
	_, published := normal(1, 16*32, 0.1)
	_, trained := normal(2, 32*16, 0.1)
	if bytes.Contains(part, published) || !bytes.Contains(part, trained) || len(part) > len(model)-taken+200 {
		t.Errorf("a part of %d bytes, from %d", len(part), len(model))
	}
	back, err := graph.PutBack(part, refs)
	if err != nil || !bytes.Equal(back, model) {
		t.Errorf("PutBack(): %v, the same bytes: %v", err, bytes.Equal(back, model))
	}
	if names, err := graph.External(part); err != nil || len(names) != 1 {
		t.Errorf("a runtime could take the part for a model: External() = %q, %v", names, err)
	}
	_, err = graph.PutBack(part, references(t, twoLayers(t, "other.", 4, 5)))
	if !errors.Is(err, graph.ErrPart) || !strings.Contains(err.Error(), `"trained.`) || !strings.Contains(err.Error(), "float[16 32], sha256 ") {
		t.Errorf("PutBack() with other weights: %v", err)
	}
	if all, err := graph.PutBack(model, refs); err != nil || !bytes.Equal(all, model) {
		t.Errorf("PutBack() of a whole model: %v", err)
	}
}

// What is small stays, and so does everything that no reference has.
func TestTakeOutLeaves(t *testing.T) {
	model := twoLayers(t, "trained.", 1, 2)
	for name, refs := range map[string]graph.References{
		"small": references(t, twoLayers(t, "a.", 7, 8)), // the biases are the same
		"none":  references(t),
	} {
		part, taken, err := graph.TakeOut(model, refs, 1024)
		if err != nil || taken != 0 || !bytes.Equal(part, model) {
			t.Errorf("%s: %d bytes taken, %v", name, taken, err)
		}
	}
}

// Halved weights are found in halved references.
func TestTakeOutHalved(t *testing.T) {
	halved := func(model []byte) []byte {
		m := parse(t, model)
		if err := m.Halve(1024); err != nil {
			t.Fatal(err)
		}
		return m.Marshal()
	}
	whole, upstream := twoLayers(t, "trained.", 1, 2), twoLayers(t, "upstream.", 3, 1)
	model := halved(whole)
	refs := references(t, upstream, halved(upstream))
	part, taken, err := graph.TakeOut(model, refs, 1024)
	if err != nil || taken != 2*16*32 {
		t.Fatalf("TakeOut() = %d bytes, %v", taken, err)
	}
	if back, err := graph.PutBack(part, refs); err != nil || !bytes.Equal(back, model) {
		t.Errorf("PutBack(): %v", err)
	}
}

func TestTakeOutRefuses(t *testing.T) {
	_, data := normal(1, 512, 1)
	refs := references(t, msg(7, msg(5, inside("w", data))))
	if _, _, err := graph.TakeOut(msg(7, msg(5, outside("w", 512, "location", "w.bin"))), refs, 1); !errors.Is(err, graph.ErrExternal) {
		t.Errorf("weights in a file: %v", err)
	}
	if _, _, err := graph.TakeOut([]byte("onnx"), refs, 1); !errors.Is(err, graph.ErrModel) {
		t.Errorf("no model: %v", err)
	}
	// The length of the data takes three bytes instead of two: what is written again would be another file.
	long := append([]byte{9<<3 | 2, 0x80, 0x90, 0x00}, data...)
	if _, _, err := graph.TakeOut(msg(7, msg(5, long)), refs, 1); !errors.Is(err, graph.ErrModel) || !strings.Contains(err.Error(), "byte for byte") {
		t.Errorf("an unusual encoding: %v", err)
	}
}

// A small part cannot claim more than a model may hold.
func TestPutBackBounded(t *testing.T) {
	data := make([]byte, 16<<20)
	refs := references(t, msg(7, msg(5, inside("w", data))))
	part, _, err := graph.TakeOut(msg(7, msg(5, inside("000", data))), refs, 1)
	if err != nil {
		t.Fatal(err)
	}
	initialiser, _ := protowire.ConsumeBytes(part[1:]) // the only field of the graph
	var all []byte
	for i := range 200 {
		all = append(all, bytes.Replace(initialiser, []byte("000"), fmt.Appendf(nil, "%03d", i), 1)...)
	}
	many := msg(7, all)
	if _, err := graph.PutBack(many, refs); !errors.Is(err, graph.ErrModel) || !strings.Contains(err.Error(), "2 GiB") {
		t.Errorf("3.2 GB from %d bytes: %v", len(many), err)
	}
}

func FuzzPutBack(f *testing.F) {
	_, data := normal(1, 64, 1)
	model := msg(7, msg(5, inside("w", data)), msg(5, inside("v", data[:128])))
	refs := references(f, model)
	part, _, err := graph.TakeOut(model, refs, 1)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(part)
	f.Add(model)
	f.Add(msg(7, msg(5, outside("w", 4, "location", "sha256:", "length", "16"))))
	f.Add(slices.Concat(part[:len(part)/2], part))
	f.Fuzz(func(t *testing.T, part []byte) {
		whole, err := graph.PutBack(part, refs)
		if err != nil {
			if !errors.Is(err, graph.ErrPart) && !errors.Is(err, graph.ErrModel) {
				t.Errorf("error %v", err)
			}
			return
		}
		again, _, err := graph.TakeOut(whole, refs, 1)
		if err != nil {
			return // not a model that TakeOut takes
		}
		if back, err := graph.PutBack(again, refs); err != nil || !bytes.Equal(back, whole) {
			t.Errorf("put back twice: %v", fmt.Sprint(err))
		}
	})
}
