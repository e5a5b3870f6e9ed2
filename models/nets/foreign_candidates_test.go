package nets_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/oodcast/oodcast/models/graph"
	"github.com/oodcast/oodcast/models/nets"
)

// exportOf reads a network of another exporter.
func exportOf(t testing.TB, name string) []byte {
	t.Helper()
	raw, err := os.ReadFile("../importer/testdata/onnx/" + name + ".onnx")
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// Of the chains of a network only the ends may be features: no convolution in front of its activation, no gate, no scores.
func TestForeignShapes(t *testing.T) {
	probe, list, outputs, err := nets.ForeignShapes(exportOf(t, "script17"), nets.ForeignConfig{})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range list {
		got = append(got, c.Operator+" "+c.Name)
	}
	want := []string{
		"Relu /Relu_output_0", "Clip /Clip_output_0", "Relu /Relu_1_output_0", "Concat /Concat_output_0",
		"Conv /d/d.0/Conv_output_0", "Mul /Mul_output_0", "Concat /Concat_1_output_0", "Add /Add_output_0", "Add /Add_1_output_0",
		"Relu /Relu_2_output_0", // the first Concat makes widths of a border and has no grid
	}
	if !slices.Equal(got, want) {
		t.Errorf("candidates %q, want %q", got, want)
	}
	m, err := graph.Parse(probe)
	if err != nil || len(m.Outputs()) != len(outputs) || len(outputs) != len(list) {
		t.Errorf("%d outputs, %d names, %d candidates, %v", len(m.Outputs()), len(outputs), len(list), err)
	}
}

// The last of each stride and width comes first, then those in the middle; what has no grid, or the wrong stride or width, does
// not come at all.
func TestChooseCandidates(t *testing.T) {
	var list []nets.ForeignCandidate
	add := func(name string, shape ...int64) {
		list = append(list, nets.ForeignCandidate{Name: name, Shape: shape})
	}
	add("stride 2", 1, 64, 32, 64)
	for _, name := range []string{"a1", "a2", "a3", "a4", "a5"} {
		add(name, 1, 64, 16, 32)
	}
	add("pooled", 1, 256, 1, 1)
	add("narrow", 1, 16, 8, 16)
	add("b1", 1, 128, 8, 16)
	add("wide", 1, 4096, 4, 8)
	add("tokens", 1, 37, 192)
	s := nets.ForeignShape{Height: 64, Width: 128}
	names := func(most int) (all []string) {
		for _, c := range nets.ChooseCandidates(list, s, most) {
			all = append(all, c.Name)
		}
		return all
	}
	for most, want := range map[int]string{3: "a5 b1 tokens", 4: "a2 a5 b1 tokens", 12: "a1 a2 a3 a4 a5 b1 tokens"} {
		if got := strings.Join(names(most), " "); got != want {
			t.Errorf("%d: %s, want %s", most, got, want)
		}
	}
	list = list[7:8]
	if got := names(12); !slices.Equal(got, []string{"narrow"}) {
		t.Errorf("without wider ones %v, want narrow", got)
	}
}

// Layouts that users bring: what the shape alone says.
func TestForeignShapeLayout(t *testing.T) {
	for _, tt := range []struct {
		features                []int64
		last                    bool
		kind                    string
		channels, stride, extra int
	}{
		{[]int64{1, 6, 8, 16}, false, "nchw", 6, 8, 0},
		{[]int64{1, 8, 16, 6}, false, "nhwc", 6, 8, 0},
		{[]int64{1, 8, 16, 32}, true, "nhwc", 32, 8, 0},
		{[]int64{1, 133, 24}, false, "tokens", 24, 8, 5},
		{[]int64{128, 24}, false, "flat tokens", 24, 8, 0},
		{[]int64{1, 24, 128}, false, "channels-tokens", 24, 8, 0},
		{[]int64{1, 3, 33, 64}, false, "tokens by heads", 192, 16, 1},
	} {
		s := nets.ForeignShape{Height: 64, Width: 128, Features: tt.features, ChannelsLast: tt.last}
		l, err := s.Layout()
		if err != nil || l.Kind != tt.kind || l.Channels != tt.channels || l.Stride != tt.stride || l.Extra != tt.extra {
			t.Errorf("%v: %+v, %v; want %s, %d, %d, %d", tt.features, l, err, tt.kind, tt.channels, tt.stride, tt.extra)
		}
	}
}

// The class scores come on the grid of maps: millions of cells are averaged, and what the network enlarges is enlarged.
func TestForeignShapeLogits(t *testing.T) {
	for _, tt := range []struct {
		features, logits []int64
		found            bool
		stride           int
	}{
		{[]int64{1, 64, 64, 128}, []int64{1, 19, 1024, 2048}, false, 8},
		{[]int64{1, 64, 256, 512}, []int64{1, 19, 1024, 2048}, false, 4},
		{[]int64{1, 64, 64, 128}, []int64{1, 256, 512, 19}, false, 4},
		{[]int64{1, 64, 64, 128}, []int64{1, 19, 64, 128}, true, 8},
		{[]int64{1, 64, 64, 128}, []int64{1, 19, 32, 64}, true, 8},
		{[]int64{1, 64, 64, 128}, []int64{1, 19, 32, 64}, false, 32},
	} {
		s := nets.ForeignShape{Height: 1024, Width: 2048, Features: tt.features, Logits: tt.logits, Found: tt.found}
		if l, err := s.Layout(); err != nil || l.LogitsStride != tt.stride || l.Classes != 19 {
			t.Errorf("%v: stride %d of %d classes, %v; want %d", tt.logits, l.LogitsStride, l.Classes, err, tt.stride)
		}
	}
	s := nets.ForeignShape{Height: 64, Width: 64, Features: []int64{1, 6, 8, 8}, Logits: []int64{1, 1, 8, 8}}
	if _, err := s.Layout(); err == nil || !strings.Contains(err.Error(), "--logits none") {
		t.Errorf("one class: %v", err)
	}
}

// No file makes the importer panic or run without bounds.
func FuzzForeign(f *testing.F) {
	for _, name := range []string{"script9", "softmax", "aux", "half", "tokens", "keras_u8", "batch2"} {
		f.Add(exportOf(f, name))
	}
	f.Fuzz(func(t *testing.T, model []byte) {
		in, err := nets.ReadForeignInput(model, nets.ForeignConfig{})
		if err == nil && in.Name == "" && len(model) == 0 {
			t.Error("an empty model has an input")
		}
		_, list, _, err := nets.ForeignShapes(model, nets.ForeignConfig{})
		if err != nil || len(list) == 0 {
			return
		}
		cfg := nets.ForeignConfig{Features: list[len(list)-1].Name}
		if probe, _, err := nets.ForeignProbe(model, cfg); err == nil {
			if _, err := graph.Parse(probe); err != nil {
				t.Errorf("the probe does not parse: %v", err)
			}
		}
	})
}
