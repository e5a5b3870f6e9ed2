package nets_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/oodcast/oodcast/detector/ort"
	"github.com/oodcast/oodcast/models/checkpoint"
	"github.com/oodcast/oodcast/models/graph"
	"github.com/oodcast/oodcast/models/nets"
)

// small is a network with the structure of the published ones, but with other sizes throughout.
func small() nets.EfficientViTConfig {
	return nets.EfficientViTConfig{
		Widths: []int{4, 8, 24, 16, 32}, Depths: []int{2, 1, 3, 1, 2}, Dim: 8, HeadWidth: 12, HeadDepth: 2, Classes: 5,
		Upsample: "bicubic", NormEps: 1e-5, Features: nets.DefaultFeatures,
	}
}

// weightsFor returns seeded weights under the names of the published checkpoints; scale 0 makes them all zero.
func weightsFor(cfg nets.EfficientViTConfig, scale float32) checkpoint.Tensors {
	ts := checkpoint.Tensors{}
	rng := rand.New(rand.NewPCG(1, 2))
	put := func(name string, mean float32, shape ...int) {
		n := 1
		for _, d := range shape {
			n *= d
		}
		t := &checkpoint.Tensor{Name: name, Shape: shape, Data: make([]float32, n)}
		for i := range t.Data {
			t.Data[i] = mean + scale*float32(rng.NormFloat64())
		}
		ts[name] = t
	}
	norm := func(p string, c int) {
		put(p+".weight", 1, c)
		put(p+".bias", 0, c)
		put(p+".running_mean", 0, c)
		put(p+".running_var", 1+5*scale, c)
		put(p+".num_batches_tracked", 7)
	}
	layer := func(p string, out, in, k int, bias bool) {
		put(p+".conv.weight", 0, out, in, k, k)
		if bias {
			put(p+".conv.bias", 0, out)
		} else {
			norm(p+".norm", out)
		}
	}
	bottleneck := func(p string, in, out int, few bool) {
		layer(p+".main.inverted_conv", 4*in, in, 1, few)
		layer(p+".main.depth_conv", 4*in, 1, 3, few)
		layer(p+".main.point_conv", out, 4*in, 1, false)
	}
	w, d := cfg.Widths, cfg.Depths
	layer("backbone.input_stem.op_list.0", w[0], 3, 3, false)
	for i := range d[0] {
		p := fmt.Sprintf("backbone.input_stem.op_list.%d.main", i+1)
		layer(p+".depth_conv", w[0], 1, 3, false)
		layer(p+".point_conv", w[0], w[0], 1, false)
	}
	for s := range 4 {
		p := fmt.Sprintf("backbone.stages.%d.op_list.", s)
		c := w[s+1]
		bottleneck(p+"0", w[s], c, s >= 2)
		for i := 1; i < d[s+1] && s < 2; i++ {
			bottleneck(fmt.Sprint(p, i), c, c, false)
		}
		for i := 1; i <= d[s+1] && s >= 2; i++ {
			a := fmt.Sprintf("%s%d.context_module.main.", p, i)
			put(a+"qkv.conv.weight", 0, 3*c, c, 1, 1)
			put(a+"aggreg.0.0.weight", 0, 3*c, 1, 5, 5)
			put(a+"aggreg.0.1.weight", 0, 3*c, cfg.Dim, 1, 1)
			layer(a+"proj", c, 2*c, 1, false)
			bottleneck(fmt.Sprintf("%s%d.local_module", p, i), c, c, true)
		}
	}
	h := cfg.HeadWidth
	layer("head.input_ops.0.op_list.0", h, w[4], 1, false)
	layer("head.input_ops.1.op_list.0", h, w[3], 1, false)
	layer("head.input_ops.2", h, w[2], 1, false)
	for i := range cfg.HeadDepth {
		bottleneck(fmt.Sprintf("head.middle.op_list.%d", i), h, h, false)
	}
	layer("head.output_ops.0.op_list.0", 4*h, h, 1, false)
	layer("head.output_ops.0.op_list.1", cfg.Classes, 4*h, 1, true)
	return ts
}

func TestInferEfficientViT(t *testing.T) {
	want := small()
	got, err := nets.InferEfficientViT(weightsFor(want, 0.1))
	if err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("InferEfficientViT() = %+v, want %+v", got, want)
	}
	_, err = nets.InferEfficientViT(checkpoint.Tensors{"x": {Name: "x"}})
	if err == nil || strings.Contains(err.Error(), "\n") ||
		!strings.Contains(err.Error(), "not the weights of an EfficientViT") {
		t.Errorf("other weights: %v", err)
	}
	stated, err := want.WithMeta(map[string]any{"upsample": "bilinear", "norm_eps": 1e-3, "final_expand": 4})
	if err != nil || stated.Upsample != "bilinear" || stated.NormEps != 1e-3 || stated.HeadWidth != want.HeadWidth {
		t.Errorf("WithMeta() = %+v, %v", stated, err)
	}
}

// TestEfficientViTSizes runs one session on pictures and working sizes of several shapes.
func TestEfficientViTSizes(t *testing.T) {
	cfg := small()
	weights := weightsFor(cfg, 0.1)
	for _, upsample := range []string{"bicubic", "bilinear"} {
		for features, want := range map[string][2]int{ // channels, stride
			"":                          {28, 16},
			"head@8":                    {12, 8},
			"stage1@4":                  {8, 4},
			"stage2@16, stage3@16":      {40, 16},
			"keys@32,head@32,stage4@32": {76, 32},
		} {
			cfg.Upsample, cfg.Features = upsample, features
			if cfg.Channels() != want[0] || cfg.Stride() != want[1] {
				t.Errorf("%q: %d channels at %d, want %v", features, cfg.Channels(), cfg.Stride(), want)
			}
			s := encoder(t, cfg, weights)
			for _, size := range [][4]int{{33, 47, 64, 96}, {64, 96, 64, 96}, {200, 100, 32, 32}} {
				h, w := size[2], size[3]
				out := encode(t, s, noise(size[0]*size[1]*3), size[0], size[1], h, w)
				for name, shape := range map[string][]int64{
					"features": {1, int64(h / want[1]), int64(w / want[1]), int64(want[0])},
					"logits":   {1, 5, int64(h / 8), int64(w / 8)},
					"lse":      {1, int64(h / 8), int64(w / 8)},
				} {
					if got := out[name].Shape(); !slices.Equal(got, shape) {
						t.Errorf("%q, %v: %s has shape %v, want %v", features, size, name, got, shape)
					}
				}
			}
		}
	}
}

func noise(n int) []uint8 {
	rng := rand.New(rand.NewPCG(3, 4))
	out := make([]uint8, n)
	for i := range out {
		out[i] = uint8(rng.Uint32())
	}
	return out
}

// TestEfficientViTZero tests the division in the attention: with all weights zero, every normaliser is zero.
func TestEfficientViTZero(t *testing.T) {
	cfg := small()
	out := encode(t, encoder(t, cfg, weightsFor(cfg, 0)), noise(64*64*3), 64, 64, 64, 64)
	for name, v := range out {
		for _, x := range ort.Data[float32](v) {
			if math.IsNaN(float64(x)) || math.IsInf(float64(x), 0) {
				t.Fatalf("%s holds %v", name, x)
			}
		}
	}
}

// TestEfficientViTBicubic compares the head's enlargement by convolution with ONNX Runtime's own cubic Resize.
func TestEfficientViTBicubic(t *testing.T) {
	for _, factor := range []int{2, 4} {
		g := graph.New(graph.Float32)
		x := g.Input("x", graph.Float32, 1, 3, -1, -1)
		g.Output(nets.UpsampleBicubic(g, x, factor), "ours")
		f := float32(factor)
		g.Output(g.Node("Resize", []*graph.Tensor{x, nil, g.Const([]float32{1, 1, f, f}, 4)}, []int64{1, 3, -1, -1},
			graph.Float32, graph.Str("mode", "cubic"), graph.Float("cubic_coeff_a", -0.75),
			graph.Str("coordinate_transformation_mode", "half_pixel")), "theirs")
		raw, err := g.Marshal()
		s := open(t, raw, err)
		in := make([]float32, 3*5*7)
		rng := rand.New(rand.NewPCG(5, 6))
		for i := range in {
			in[i] = float32(rng.NormFloat64())
		}
		out := eval(t, s, map[string]*ort.Tensor{"x": tensor(t, in, 1, 3, 5, 7)})
		ours, theirs := ort.Data[float32](out["ours"]), ort.Data[float32](out["theirs"])
		for i := range theirs {
			// 16 products and sums of magnitude 1 are rounded once each.
			if d := math.Abs(float64(ours[i] - theirs[i])); !(d < 1e-5) {
				t.Fatalf("factor %d, value %d: %v, want %v", factor, i, ours[i], theirs[i])
			}
		}
	}
}

func TestEfficientViTRefuses(t *testing.T) {
	tests := []struct {
		name string
		edit func(*nets.EfficientViTConfig, checkpoint.Tensors)
		want string
	}{
		{
			"missing", func(_ *nets.EfficientViTConfig, ts checkpoint.Tensors) { delete(ts, "head.input_ops.2.conv.weight") },
			`no tensor "head.input_ops.2.conv.weight"`,
		},
		{"no norm", func(_ *nets.EfficientViTConfig, ts checkpoint.Tensors) {
			delete(ts, "head.input_ops.2.norm.running_var")
		}, `no tensor "head.input_ops.2.norm.running_var"`},
		{"shape", func(_ *nets.EfficientViTConfig, ts checkpoint.Tensors) {
			ts["head.input_ops.2.conv.weight"].Shape = []int{12, 24, 1, 2}
		}, `shape [12 24 1 2], want [12 24 1 1]`},
		{"unknown weights", func(_ *nets.EfficientViTConfig, ts checkpoint.Tensors) {
			ts["head.extra"] = &checkpoint.Tensor{Name: "head.extra"}
		}, `does not use the weights "head.extra"`},
		{
			"features", func(c *nets.EfficientViTConfig, _ checkpoint.Tensors) { c.Features = "stage9@16" },
			`efficientvit.features: got "stage9", want stage1, stage2`,
		},
		{
			"strides", func(c *nets.EfficientViTConfig, _ checkpoint.Tensors) { c.Features = "head@8,stage4@16" },
			"want the same for all",
		},
		{"stride", func(c *nets.EfficientViTConfig, _ checkpoint.Tensors) { c.Features = "head@12" }, "got head@12"},
		{"syntax", func(c *nets.EfficientViTConfig, _ checkpoint.Tensors) { c.Features = "head" }, "want NAME@STRIDE"},
		{"dim", func(c *nets.EfficientViTConfig, _ checkpoint.Tensors) { c.Dim = 5 }, "a divisor of the widths [16 32]"},
	}
	for _, tt := range tests {
		cfg := small()
		weights := weightsFor(cfg, 0.1)
		tt.edit(&cfg, weights)
		if _, err := nets.EfficientViT(cfg, weights); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}
