package nets_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/oodcast/oodcast/detector/ort"
	"github.com/oodcast/oodcast/models/graph"
	"github.com/oodcast/oodcast/models/nets"
)

// maskNetwork returns a mask-classification network as users export them: its input is a picture, and its outputs are the
// classes and the masks of the queries. features is the name of the inner tensor that holds the features.
func maskNetwork(t *testing.T, queries, classes int64) (model []byte, features string) {
	t.Helper()
	const channels = 6
	rng := rand.New(rand.NewPCG(9, 8))
	random := func(g *graph.Graph, shape ...int64) *graph.Tensor {
		n := int64(1)
		for _, d := range shape {
			n *= d
		}
		v := make([]float32, n)
		for i := range v {
			v[i] = float32(rng.NormFloat64()) / 3
		}
		return g.Const(v, shape...)
	}
	g := graph.New(graph.Float32)
	x := g.Input("pixel_values", graph.Float32, 1, 3, -1, -1)
	f := g.Conv(x, random(g, channels, 3, 16, 16), nil, graph.ConvOptions{Stride: 16})
	mean := g.Reduce("ReduceMean", f, false, 2, 3) // [1, channels]: classes look at the whole picture
	g.Output(g.Reshape(g.Linear(mean, random(g, queries*(classes+1), channels), nil), 1, queries, classes+1), "class_queries_logits")
	g.Output(g.Conv(f, random(g, queries, channels, 1, 1), nil, graph.ConvOptions{}), "masks_queries_logits")
	raw, err := g.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return raw, f.Name
}

// A network without class scores gets those of MaskFormer: Σ softmax·sigmoid over the queries.
func TestForeignMasks(t *testing.T) {
	const h, w, queries, classes = 64, 96, 5, 3
	model, features := maskNetwork(t, queries, classes)
	cfg := nets.ForeignConfig{
		Features: features, ClassLogits: "class_queries_logits", MaskLogits: "masks_queries_logits",
	}
	image := noise(50 * 70 * 3)
	probe, names, err := nets.ForeignProbe(model, cfg)
	raw := encode(t, open(t, probe, err), image, 50, 70, h, w)
	if names.Logits != "" || len(raw) != 3 {
		t.Errorf("probe of %+v has %d outputs, want three", names, len(raw))
	}
	shape := nets.ForeignShape{
		Height: h, Width: w, Features: raw[names.Features].Shape(),
		ClassLogits: raw[names.ClassLogits].Shape(), MaskLogits: raw[names.MaskLogits].Shape(),
	}
	model, layout, err := nets.Foreign(model, cfg, shape)
	s := open(t, model, err)
	if layout.Queries != queries || layout.Classes != classes || layout.LogitsStride != 16 || layout.Channels != 6 {
		t.Errorf("layout %+v", layout)
	}
	out := encode(t, s, image, 50, 70, h, w)
	const plane = h / 16 * w / 16
	for name, want := range map[string][]int64{
		"features": {h / 16, w / 16, 6}, "logits": {classes, h / 16, w / 16}, "lse": {h / 16, w / 16},
		"class_logits": {queries, classes + 1}, "mask_logits": {queries, h / 16, w / 16},
	} {
		if got := out[name].Shape(); !slices.Equal(got, want) {
			t.Fatalf("%s has shape %v, want %v", name, got, want)
		}
	}
	class, mask := ort.Data[float32](out["class_logits"]), ort.Data[float32](out["mask_logits"])
	for i, got := range ort.Data[float32](out["logits"]) {
		k, cell, want := i/plane, i%plane, 0.0
		for q := range queries {
			row, sum := class[q*(classes+1):][:classes+1], 0.0
			for _, v := range row {
				sum += math.Exp(float64(v))
			}
			want += math.Exp(float64(row[k])) / sum / (1 + math.Exp(-float64(mask[q*plane+cell])))
		}
		if math.Abs(float64(got)-want) > 1e-5 {
			t.Fatalf("logits[%d] = %v, want %v", i, got, want)
		}
	}
	// another size on the same session
	if got := encode(t, s, image, 50, 70, 32, 160)["mask_logits"].Shape(); !slices.Equal(got, []int64{queries, 2, 10}) {
		t.Errorf("mask_logits at 160×32: %v", got)
	}
}
