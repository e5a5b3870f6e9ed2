package graph_test

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/oodcast/oodcast/detector/ort"
	"github.com/oodcast/oodcast/models"
	"github.com/oodcast/oodcast/models/graph"
)

// normal returns n floats and the same as little-endian bytes.
func normal(seed uint64, n int, scale float64) ([]float32, []byte) {
	rng := rand.New(rand.NewPCG(seed, 0))
	vs, raw := make([]float32, n), []byte{}
	for i := range vs {
		vs[i] = float32(scale * rng.NormFloat64())
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(vs[i]))
	}
	return vs, raw
}

// encode returns the outputs of an encoder for the golden picture.
func encode(t *testing.T, model []byte) map[string]models.Output {
	t.Helper()
	var out map[string]models.Output
	err := ort.Runner{}.Run(model, func(f models.EncodeFunc) (err error) {
		out, err = f(models.GoldenImage(256, 128), 256, 128, models.Size{Width: 256, Height: 128})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// difference returns the root mean square of a-b as a share of that of b.
func difference(a, b []float32) float64 {
	var d, sum float64
	for i := range b {
		e := float64(a[i]) - float64(b[i])
		d, sum = d+e*e, sum+float64(b[i])*float64(b[i])
	}
	return math.Sqrt(d / sum)
}

// The embedded encoder takes half the room and computes the same, up to the rounding of its weights.
func TestHalveEncoder(t *testing.T) {
	b, err := models.Open(models.Embedded)
	if err != nil {
		t.Fatal(err)
	}
	whole, err := b.Encoder()
	if err != nil {
		t.Fatal(err)
	}
	m := parse(t, whole)
	if err := m.Halve(1 << 10); err != nil {
		t.Fatal(err)
	}
	half := m.Marshal()
	if 100*len(half) > 60*len(whole) {
		t.Errorf("%d bytes of %d", len(half), len(whole))
	}
	want, got := encode(t, whole), encode(t, half)
	for name, w := range want {
		g := got[name]
		if !slices.Equal(g.Shape, w.Shape) {
			t.Fatalf("output %q: shape %v, want %v", name, g.Shape, w.Shape)
		}
		if d := difference(g.Data, w.Data); !(d <= 1e-3) {
			t.Errorf("output %q differs by %.2g of its root mean square", name, d)
		} else {
			t.Logf("output %q differs by %.2g", name, d)
		}
	}
	again := parse(t, half)
	if err := again.Halve(1 << 10); err != nil || !bytes.Equal(again.Marshal(), half) {
		t.Errorf("a second Halve changed the model: %v", err)
	}
}

func TestHalveRoundsToEven(t *testing.T) {
	values := []float32{
		0, float32(math.Copysign(0, -1)), 1, -2, 1.0 / 3, 1 + 1.0/2048, 1 + 3.0/2048, 2047.9, 65504, 65519,
		0x1p-14, 0x1p-14 - 0x1p-25, 0x1p-24, 0x1p-25, 0x1.8p-25, -0x1p-26,
	}
	want := []uint16{0, 0x8000, 0x3c00, 0xc000, 0x3555, 0x3c00, 0x3c02, 0x6800, 0x7bff, 0x7bff, 0x0400, 0x0400, 1, 0, 1, 0x8000}
	g := graph.New(graph.Float32)
	g.Output(g.Add(g.Input("x", graph.Float32, int64(len(values))), g.Const(values)), "y")
	m := parse(t, marshal(t, g))
	if err := m.Halve(4); err != nil {
		t.Fatal(err)
	}
	raw := []byte{}
	for _, h := range want {
		raw = binary.LittleEndian.AppendUint16(raw, h)
	}
	if !bytes.Contains(m.Marshal(), raw) {
		t.Errorf("%q, want %x in it", m.Marshal(), raw)
	}
}

func TestHalveLeavesAlone(t *testing.T) {
	_, good := normal(1, 512, 0.1)
	_, tiny := normal(2, 512, 1e-9)
	_, huge := normal(3, 512, 1e5)
	nan := slices.Clone(good)
	binary.LittleEndian.PutUint32(nan, math.Float32bits(float32(math.NaN())))
	weight := func(dtype, shape uint64, rest ...[]byte) []byte {
		return msg(5, append([][]byte{num(1, shape), num(2, dtype), msg(8, []byte("w"))}, rest...)...)
	}
	tests := []struct {
		name   string
		weight []byte
		halved bool
	}{
		{"good", weight(1, 512, msg(9, good)), true},
		{"good, with a comment", weight(1, 512, msg(12, []byte("a kernel")), msg(9, good)), true},
		{"input too", slices.Concat(weight(1, 512, msg(9, good)), msg(11, msg(1, []byte("w")))), false},
		{"small", weight(1, 255, msg(9, good[:1020])), false},
		{"integers", weight(6, 512, msg(9, good)), false},
		{"shape", weight(7, 256, msg(9, good)), false},
		{"double", weight(11, 256, msg(9, good)), false},
		{"lost", weight(1, 512, msg(9, tiny)), false},
		{"out of range", weight(1, 512, msg(9, huge)), false},
		{"not a number", weight(1, 512, msg(9, nan)), false},
		{"list", weight(1, 512, msg(4, good)), false},
		{"in a file", msg(5, outside("w", 512, "location", "w.bin")), false},
		{"twice", weight(1, 512, msg(9, good), msg(9, good)), false},
	}
	for _, tt := range tests {
		was := msg(7, tt.weight, msg(1, msg(1, []byte("w")), msg(2, []byte("y")), msg(4, []byte("Identity"))))
		m := parse(t, was)
		if err := m.Halve(1024); err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		if changed := !bytes.Equal(m.Marshal(), was); changed != tt.halved {
			t.Errorf("%s: changed: %v, want %v", tt.name, changed, tt.halved)
		}
	}
}

// A subgraph uses weights of the outer graph by name, and the halved ones keep theirs.
func TestHalveSubgraph(t *testing.T) {
	const n = 256
	w, raw := normal(4, n, 0.1)
	info := func(name string, dtype uint64, dims ...[]byte) []byte {
		return slices.Concat(msg(1, []byte(name)), msg(2, msg(1, num(1, dtype), msg(2, dims...))))
	}
	row := [][]byte{msg(1, num(1, 1)), msg(1, num(1, n))}
	branch := func(name, op string) []byte {
		return msg(5, msg(1, []byte(name)), num(20, 5), msg(6,
			msg(1, msg(1, []byte("w")), msg(1, []byte("x")), msg(2, []byte(name+"_y")), msg(4, []byte(op))),
			msg(2, []byte(name)), msg(12, info(name+"_y", 1, row...))))
	}
	// w_half is taken, so that the new name must be another.
	model := slices.Concat(num(1, 8), msg(8, num(2, 17)), msg(7,
		msg(1, msg(1, []byte("x")), msg(2, []byte("w_half")), msg(4, []byte("ReduceSum")), msg(5, msg(1, []byte("keepdims")), num(3, 0), num(20, 2))),
		msg(1, msg(1, []byte("w_half")), msg(1, []byte("zero")), msg(2, []byte("positive")), msg(4, []byte("Greater"))),
		msg(1, msg(1, []byte("positive")), msg(2, []byte("y")), msg(4, []byte("If")),
			branch("then_branch", "Add"), branch("else_branch", "Mul")),
		msg(2, []byte("test")),
		msg(5, num(2, 1), msg(8, []byte("zero")), msg(9, make([]byte, 4))),
		msg(5, num(1, 1), num(1, n), num(2, 1), msg(8, []byte("w")), msg(9, raw)),
		msg(11, info("x", 1, row...)), msg(12, info("y", 1, row...))))
	m := parse(t, model)
	if err := m.Halve(1024); err != nil {
		t.Fatal(err)
	}
	half := m.Marshal()
	if bytes.Contains(half, raw) || !strings.Contains(string(half), "w_half_") {
		t.Error("the weight is not halved under a new name")
	}
	for _, sign := range []float32{1, -1} {
		x := make([]float32, n)
		for i := range x {
			x[i] = sign
		}
		got := run(t, half, map[string][]float32{"x": x})["y"]
		want := slices.Clone(w)
		for i := range want {
			if want[i] += sign; sign < 0 {
				want[i] = -w[i]
			}
		}
		if d := difference(got, want); !(d <= 1e-3) {
			t.Errorf("sign %v: differs by %.2g", sign, d)
		}
	}
}
