package nets_test

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/oodcast/oodcast/detector/ort"
	"github.com/oodcast/oodcast/models/graph"
	"github.com/oodcast/oodcast/models/nets"
)

// patches returns a network as users export them: its input is a normalised picture, which it cuts into patches of 16
// pixels, and it outputs class scores. The names are those of the inner tensors that hold the patches as a picture, with
// channels last, and as tokens after a class token.
func patches(t *testing.T, opset int64) (model []byte, nchw, nhwc, tokens string) {
	t.Helper()
	const channels, classes = 6, 3
	rng := rand.New(rand.NewPCG(7, 8))
	random := func(n int) []float32 {
		v := make([]float32, n)
		for i := range v {
			v[i] = float32(rng.NormFloat64()) / 10
		}
		return v
	}
	g := graph.New(graph.Float32)
	x := g.Input("pixel_values", graph.Float32, 1, 3, -1, -1)
	f := g.Conv(x, g.Const(random(channels*3*256), channels, 3, 16, 16), nil, graph.ConvOptions{Stride: 16})
	last := g.Transpose(f, 0, 2, 3, 1)
	flat := g.Node("Reshape", []*graph.Tensor{last, g.Int64s(1, -1, channels)}, []int64{1, -1, channels}, graph.Float32)
	all := g.Concat(1, g.Const(random(channels), 1, 1, channels), flat)
	g.Output(all, "last_hidden_state")
	g.Output(g.Conv(f, g.Const(random(classes*channels), classes, channels, 1, 1), nil, graph.ConvOptions{}), "scores")
	raw, err := g.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	m, err := graph.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	m.SetOpset(opset)
	return m.Marshal(), f.Name, last.Name, all.Name
}

// TestForeign imports the same network with each layout. The features must be the same.
func TestForeign(t *testing.T) {
	const h, w = 64, 96
	image := noise(50 * 70 * 3)
	for _, opset := range []int64{17, 20} {
		model, nchw, nhwc, tokens := patches(t, opset)
		var first []float32
		for _, tensor := range []string{nchw, nhwc, tokens} {
			cfg := nets.ForeignConfig{Logits: "scores", Features: tensor}
			probe, names, err := nets.ForeignProbe(model, cfg)
			p := open(t, probe, err)
			raw := encode(t, p, image, 50, 70, h, w)
			shape := nets.ForeignShape{
				Height: h, Width: w, Features: raw[names.Features].Shape(), Logits: raw[names.Logits].Shape(),
			}
			enc, layout, err := nets.Foreign(model, cfg, shape)
			s := open(t, enc, err)
			if layout.Channels != 6 || layout.Stride != 16 || layout.LogitsStride != 16 || layout.Classes != 3 {
				t.Errorf("layout %+v", layout)
			}
			if len(s.Outputs()) != 3 {
				t.Errorf("outputs %v", s.Outputs())
			}
			out := encode(t, s, image, 50, 70, h, w)
			f, y, lse := ort.Data[float32](out["features"]), ort.Data[float32](out["logits"]), ort.Data[float32](out["lse"])
			if len(f) != 4*6*6 || len(y) != 3*4*6 || len(lse) != 4*6 {
				t.Fatalf("%d features, %d logits, %d lse", len(f), len(y), len(lse))
			}
			for i, v := range lse {
				want := math.Log(math.Exp(float64(y[i])) + math.Exp(float64(y[24+i])) + math.Exp(float64(y[48+i])))
				if math.Abs(float64(v)-want) > 1e-5 {
					t.Fatalf("lse %d = %v, want %v", i, v, want)
				}
			}
			if first == nil {
				first = f
			}
			for i := range f {
				if f[i] != first[i] {
					t.Fatalf("opset %d, %s: feature %d = %v, want %v", opset, layout.Kind, i, f[i], first[i])
				}
			}
			// another size on the same session
			if got := encode(t, s, image, 50, 70, 32, 160)["features"].Shape(); got[0] != 2 || got[1] != 10 || got[2] != 6 {
				t.Errorf("features at 160×32: %v", got)
			}
		}
	}
}

func TestForeignRefuses(t *testing.T) {
	model, nchw, _, _ := patches(t, 17)
	old, _, _, _ := patches(t, 8)
	tests := []struct {
		name, want string
		model      []byte
		cfg        nets.ForeignConfig
	}{
		{"no onnx", "foreign model", []byte("\x0a\x05hello"), nets.ForeignConfig{Features: "x"}},
		{"which output", `want one of ["last_hidden_state" "scores"]`, model, nets.ForeignConfig{Features: nchw}},
		{"no features", "name the tensor", model, nets.ForeignConfig{Logits: "scores"}},
		{"unknown", `makes a tensor "keys"`, model, nets.ForeignConfig{Logits: "scores", Features: "keys"}},
		{"input", `got input "image"`, model, nets.ForeignConfig{Input: "image", Logits: "scores", Features: nchw}},
		{"half the masks", "or neither", model, nets.ForeignConfig{Features: nchw, ClassLogits: "scores"}},
		{"old", "operator set 8 is too old: export with 9 or later", old, nets.ForeignConfig{Logits: "scores", Features: nchw}},
	}
	for _, tt := range tests {
		if _, _, err := nets.ForeignProbe(tt.model, tt.cfg); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
	for _, shape := range []nets.ForeignShape{
		{Height: 64, Width: 64, Features: []int64{1, 6, 5, 5}, Logits: []int64{1, 3, 4, 4}},
		{Height: 64, Width: 64, Features: []int64{1, 6, 4, 4}, Logits: []int64{3, 4, 4}},
		{Height: 64, Width: 64, Features: []int64{1, 40, 6}, Logits: []int64{1, 3, 4, 4}},
		{Height: 64, Width: 64, Features: []int64{1, 6, 4, 4}, ClassLogits: []int64{1, 5, 4}, MaskLogits: []int64{1, 6, 4, 4}},
		{Height: 64, Width: 64, Features: []int64{1, 6, 4, 4}, ClassLogits: []int64{1, 5, 4}, MaskLogits: []int64{1, 5, 9, 4}},
		{
			Height: 64, Width: 64, Features: []int64{1, 6, 4, 4}, Logits: []int64{1, 4, 4, 4},
			ClassLogits: []int64{1, 5, 4}, MaskLogits: []int64{1, 5, 4, 4},
		},
	} {
		if l, err := shape.Layout(); err == nil {
			t.Errorf("%+v gave %+v", shape, l)
		}
	}
}
