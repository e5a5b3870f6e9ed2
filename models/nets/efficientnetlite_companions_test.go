package nets_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/oodcast/oodcast/detector/ort"
	"github.com/oodcast/oodcast/models/checkpoint"
	"github.com/oodcast/oodcast/models/nets"
)

// liteHeads returns n heads of two hidden layers on the tiny network, with random weights.
func liteHeads(n int) checkpoint.Tensors {
	r := rand.New(rand.NewPCG(5, 0))
	ts := checkpoint.Tensors{}
	put := func(name string, scale float64, shape ...int) {
		t := &checkpoint.Tensor{Name: name, Shape: shape, Data: make([]float32, 1)}
		for _, d := range shape {
			t.Data = make([]float32, len(t.Data)*d)
		}
		for i := range t.Data {
			t.Data[i] = float32(scale * r.NormFloat64())
		}
		ts[name] = t
	}
	for k := range n {
		in := 44 // of stages 3, 5 and 6
		for layer, out := range []int{12, 9, 5} {
			put(fmt.Sprintf("head.%d.%d.weight", k, layer), 1/math.Sqrt(float64(in)), out, in)
			put(fmt.Sprintf("head.%d.%d.bias", k, layer), 0.3, out)
			in = out
		}
	}
	put("heads.scale", 1, n)
	put("heads.shift", 1, n)
	return ts
}

// plainHeads computes H of one feature vector, in double precision.
func plainHeads(ts checkpoint.Tensors, x []float32) float64 {
	sum := 0.0
	for k, scale := range ts["heads.scale"].Data {
		v := make([]float64, len(x))
		for i, f := range x {
			v[i] = float64(f)
		}
		for layer := range 3 {
			w, b := ts[fmt.Sprintf("head.%d.%d.weight", k, layer)], ts[fmt.Sprintf("head.%d.%d.bias", k, layer)]
			next := make([]float64, len(b.Data))
			for o := range next {
				next[o] = float64(b.Data[o])
				for i, f := range v {
					next[o] += float64(w.Data[o*len(v)+i]) * f
				}
				if layer < 2 {
					next[o] = max(0, next[o])
				}
			}
			v = next
		}
		total := 0.0
		for _, l := range v {
			total += math.Exp(l)
		}
		sum += -float64(scale)*math.Log(total) + float64(ts["heads.shift"].Data[k])
	}
	return sum
}

// The heads see the stages enlarged to stride 8, which is what the feature list of all three at that stride gives. The
// segmenter's outputs are those that it has alone.
func TestLiteCompanions(t *testing.T) {
	cfg := tinyLite()
	weights, heads := tinyLiteWeights(cfg), liteHeads(3)
	segmenterConfig := small()
	segmenter := weightsFor(segmenterConfig, 0.5)
	g, err := nets.EfficientNetLite(cfg, weights, nets.LiteCompanions{
		Heads: heads, Segmenter: segmenter, SegmenterConfig: segmenterConfig,
	})
	if err != nil {
		t.Fatal(err)
	}
	raw, err := g.Marshal()
	const n, h, w = 2, 50, 70
	pictures := noise(n * h * w * 3)
	got := encode(t, open(t, raw, err), pictures, h, w, 64, 96)

	joined := cfg
	joined.Features = "stage3@8,stage5@8,stage6@8"
	tokens := ort.Data[float32](encode(t, liteEncoder(t, joined, weights), pictures, h, w, 64, 96)["features"])
	var want []float32
	for i := 0; i < len(tokens); i += 44 {
		want = append(want, float32(plainHeads(heads, tokens[i:i+44])))
	}
	relative(t, "unclaimed", ort.Data[float32](got["unclaimed"]), want)

	alone := encode(t, encoder(t, segmenterConfig, segmenter), pictures, h, w, 64, 96)
	for _, name := range []string{"logits", "lse"} {
		relative(t, name, ort.Data[float32](got[name]), ort.Data[float32](alone[name]))
	}
	alone = encode(t, liteEncoder(t, cfg, weights), pictures, h, w, 64, 96)
	relative(t, "features", ort.Data[float32](got["features"]), ort.Data[float32](alone["features"]))
}

func TestLiteCompanionsRefuse(t *testing.T) {
	for _, tt := range []struct {
		name string
		edit func(*nets.EfficientNetLiteConfig, *nets.LiteCompanions)
		want string
	}{
		{
			"missing layer", func(_ *nets.EfficientNetLiteConfig, c *nets.LiteCompanions) { delete(c.Heads, "head.1.2.bias") },
			`no tensor "head.1.2.bias"`,
		},
		{"another network's", func(_ *nets.EfficientNetLiteConfig, c *nets.LiteCompanions) {
			c.Heads["head.0.0.weight"].Shape = []int{24, 22}
		}, `tensor "head.0.0.weight" has shape [24 22], want [-1 44]`},
		{"left over", func(_ *nets.EfficientNetLiteConfig, c *nets.LiteCompanions) {
			c.Heads["whiten.weight"] = &checkpoint.Tensor{Name: "whiten.weight"}
		}, `does not use the weights "whiten.weight"`},
		{"shallow", func(c *nets.EfficientNetLiteConfig, _ *nets.LiteCompanions) { c.Features = "stage5@16" }, "the heads need stage6"},
		{"segmenter", func(_ *nets.EfficientNetLiteConfig, c *nets.LiteCompanions) {
			c.Segmenter = checkpoint.Tensors{"x": {Name: "x"}}
			c.SegmenterConfig = small()
		}, "segmenter"},
	} {
		cfg, with := tinyLite(), nets.LiteCompanions{Heads: liteHeads(2)}
		tt.edit(&cfg, &with)
		_, err := nets.EfficientNetLite(cfg, tinyLiteWeights(tinyLite()), with)
		if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}
