package graph_test

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/oodcast/oodcast/models/graph"
)

func marshal(t testing.TB, g *graph.Graph) []byte {
	t.Helper()
	b, err := g.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func parse(t testing.TB, b []byte) *graph.Model {
	t.Helper()
	m, err := graph.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// unknownFields adds fields that no version of ONNX has, at the top and inside the graph.
func unknownFields(t testing.TB, b []byte) []byte {
	t.Helper()
	extra := protowire.AppendString(protowire.AppendTag(nil, 900, protowire.BytesType), "kept")
	out := slices.Clone(extra)
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		m := protowire.ConsumeFieldValue(num, typ, b[n:])
		if n < 0 || m < 0 {
			t.Fatal("the builder wrote a broken message")
		}
		if num == 7 {
			v, _ := protowire.ConsumeBytes(b[n:])
			v = append(slices.Clone(v), extra...)
			out = protowire.AppendBytes(protowire.AppendTag(out, 7, protowire.BytesType), v)
		} else {
			out = append(out, b[:n+m]...)
		}
		b = b[n+m:]
	}
	return append(out, extra...)
}

func TestParseRoundTrip(t *testing.T) {
	want := unknownFields(t, marshal(t, mlp()))
	if got := parse(t, want).Marshal(); !bytes.Equal(got, want) {
		t.Error("an unchanged model is written differently")
	}
}

// A cast gets a name of its own and the type that it converts to.
func TestCast(t *testing.T) {
	m := parse(t, marshal(t, mlp()))
	if got := m.Types(); !slices.Equal(got, []graph.DType{graph.Float32}) {
		t.Errorf("Types() = %v", got)
	}
	first, err := m.Cast("hidden", graph.Float16)
	if err != nil {
		t.Fatal(err)
	}
	second, err := m.Cast("hidden", graph.Float16)
	if err != nil || first == second {
		t.Errorf("casts %q and %q, %v", first, second, err)
	}
	if got := parse(t, m.Marshal()).Types(); !slices.Equal(got, []graph.DType{graph.Float32, graph.Float16}) {
		t.Errorf("Types() = %v", got)
	}
	if is := m.TypeOf("hidden"); is != graph.Float32 {
		t.Errorf("TypeOf(hidden) = %v", is)
	}
	if _, err := m.Cast("nothing", graph.Float16); err == nil {
		t.Error("a tensor that does not exist is cast")
	}
}

func TestParseLists(t *testing.T) {
	m := parse(t, marshal(t, mlp()))
	in := m.Inputs()
	if len(in) != 1 || in[0].Name != "x" || in[0].DType != graph.Float32 || !slices.Equal(in[0].Shape, []int64{-1, 4}) {
		t.Errorf("inputs %+v", in)
	}
	var names []string
	for _, o := range m.Outputs() {
		names = append(names, o.Name)
	}
	if want := []string{"y", "hidden", "copy"}; !slices.Equal(names, want) {
		t.Errorf("outputs %v, want %v", names, want)
	}
	w := m.Initialisers()
	if len(w) != 2 || !slices.Equal(w[0].Shape, []int64{3, 4}) || w[0].Bytes != 48 || w[1].DType != graph.Float32 {
		t.Errorf("initialisers %+v", w)
	}
	if ops := m.Operators(); len(ops) != 6 || ops[0].Type != "Gemm" || len(ops[0].Inputs) != 3 {
		t.Errorf("operators %+v", ops)
	}
	if v := m.Opsets()[""]; v != 17 {
		t.Errorf("operator set %d, want 17", v)
	}
}

func TestParseRefuses(t *testing.T) {
	good := marshal(t, mlp())
	for name, b := range map[string][]byte{
		"empty": {}, "text": []byte("not a model"), "cut": good[:len(good)-3], "half": good[:len(good)/2],
		"no graph": good[:2], "two graphs": append(slices.Clone(good), good...),
	} {
		if _, err := graph.Parse(b); !errors.Is(err, graph.ErrModel) {
			t.Errorf("%s: Parse() = %v, want ErrModel", name, err)
		}
	}
}

func TestTap(t *testing.T) {
	b := unknownFields(t, marshal(t, mlp()))
	m := parse(t, b)
	inner := m.Operators()[0].Outputs[0]
	if err := m.Tap(inner); err != nil {
		t.Fatal(err)
	}
	if err := m.Tap(inner); err != nil {
		t.Errorf("second Tap() = %v", err)
	}
	again := parse(t, m.Marshal())
	if out := again.Outputs(); len(out) != 4 || out[3].Name != inner {
		t.Errorf("outputs %+v, want %q last", out, inner)
	}
	if !bytes.Contains(m.Marshal(), []byte("kept")) {
		t.Error("unknown fields were lost")
	}
	want := `graph: no operator of the model makes a tensor "nothing"`
	if err := m.Tap("nothing"); err == nil || err.Error() != want {
		t.Errorf("Tap() = %v, want %q", err, want)
	}
}

func TestMergeRefuses(t *testing.T) {
	m := parse(t, marshal(t, mlp()))
	tests := []struct {
		name string
		join map[string]string
		want string
	}{
		{"output", map[string]string{"z": "x"}, `graph: merge: the first model has no output "z"`},
		{"input", map[string]string{"y": "z"}, `graph: merge: the second model has no input "z"`},
		{"twice", map[string]string{"y": "x", "hidden": "x"}, `graph: merge: input "x" is fed twice`},
		{"names", map[string]string{"y": "x"}, `graph: merge: both models use the name "copy"`},
	}
	for _, tt := range tests {
		if _, err := graph.Merge(m, m, tt.join); err == nil || err.Error() != tt.want {
			t.Errorf("%s: Merge() = %v, want %q", tt.name, err, tt.want)
		}
	}
}

// A model that parses can be listed, tapped and merged, and parses again after writing.
func FuzzParse(f *testing.F) {
	good := marshal(f, mlp())
	f.Add(good)
	f.Add(unknownFields(f, good))
	f.Add(good[:len(good)/2])
	f.Add([]byte{0x3a, 0})
	for _, m := range hostileModels() {
		if len(m.raw) < 1<<16 {
			f.Add(m.raw)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := graph.Parse(b)
		if err != nil {
			return
		}
		if !bytes.Equal(m.Marshal(), b) {
			t.Error("an unchanged model is written differently")
		}
		m.Opsets()
		m.Inputs()
		m.Types()
		for _, op := range m.Operators() {
			for _, o := range op.Outputs {
				_ = m.Tap(o)
				if name, err := m.Cast(o, graph.Float32); err == nil && m.Tap(name) != nil {
					t.Errorf("the result %q of a cast cannot be tapped", name)
				}
			}
		}
		written := m.Marshal()
		again, err := graph.Parse(written)
		if err != nil {
			t.Fatalf("the model as written does not parse: %v", err)
		}
		if a, b := len(m.Outputs()), len(again.Outputs()); a != b {
			t.Errorf("%d outputs, after writing %d", a, b)
		}
		if both, err := graph.Merge(again, m, nil); err == nil {
			if _, err := graph.Parse(both.Marshal()); err != nil {
				t.Errorf("the merged model does not parse: %v", err)
			}
		}
	})
}
