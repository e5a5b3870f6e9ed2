package importer_test

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/oodcast/oodcast/detector/ort"
	"github.com/oodcast/oodcast/models"
	"github.com/oodcast/oodcast/models/checkpoint"
	"github.com/oodcast/oodcast/models/graph"
	"github.com/oodcast/oodcast/models/importer"
	"github.com/oodcast/oodcast/models/nets"
)

// exported is a network of testdata/onnx, which golden.py made with the exporter that its name says.
type exported struct {
	name, features string
	cfg            nets.ForeignConfig
	stride, map4   int    // strides of the features and of the class scores
	says           string // in the summary
	loose          bool   // half precision
}

// exports lists the networks. The features are named as the exporter named them.
func exports() []exported {
	return []exported{
		{name: "script9", features: "/Relu_2_output_0", stride: 8, map4: 8, says: "before the Resize"},
		{name: "script10", features: "/Relu_2_output_0", stride: 8, map4: 8, says: "before the Resize"},
		{name: "script12", features: "/Relu_2_output_0", stride: 8, map4: 8, says: "before the Resize"},
		{name: "script17", features: "/Relu_2_output_0", stride: 8, map4: 8, says: "before the Resize"},
		{name: "script20", features: "/Relu_2_output_0", stride: 8, map4: 8, says: "before the Resize"},
		{name: "dynamo23", features: "relu_2", stride: 8, map4: 8, says: "before the Resize"},
		{name: "fixed", features: "relu_2", stride: 8, map4: 8, says: "96x64 only"},
		{name: "softmax", features: "/Relu_2_output_0", stride: 8, map4: 8, says: "before the Softmax"},
		{name: "argmax", features: "/Relu_2_output_0", stride: 8, map4: 8, says: "before the ArgMax"},
		{name: "aux", features: "/Relu_2_output_0", stride: 8, map4: 8, says: "before the Resize"},
		{name: "transposed", features: "/Relu_2_output_0", stride: 8, map4: 8, says: "nchw"},
		{name: "tokens", features: "layer_norm_2", stride: 8, map4: 8, says: "tokens without the first 5"},
		{name: "half_io", features: "/Relu_2_output_0", stride: 8, map4: 8, says: "before the Resize", loose: true},
		{name: "half", features: "/Relu_2_output_0", stride: 8, map4: 8, says: "before the Resize", loose: true},
		{name: "keras", features: "functional_1/separable_conv2d_1/Relu:0", stride: 8, map4: 8, says: "before the Resize"},
		{
			name: "keras_last", features: "functional_1/separable_conv2d_1/Relu:0", cfg: nets.ForeignConfig{Logits: "Identity:0"},
			stride: 8, map4: 8, says: "nchw",
		},
		{name: "keras_u8", features: "functional_1_1/separable_conv2d_1_1/Relu:0", stride: 8, map4: 8, says: "before the Softmax"},
	}
}

// What others export gives what ONNX Runtime computes with the file as it was exported: their operator sets, layouts, types,
// sizes and ends.
func TestONNXExports(t *testing.T) {
	golden, _, err := checkpoint.ReadSafetensors("testdata/onnx/golden.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range exports() {
		t.Run(e.name, func(t *testing.T) {
			cfg := e.cfg
			cfg.Features = e.features
			opt := importer.Options{
				Out: filepath.Join(t.TempDir(), "mine"), Size: models.Size{Width: 1024, Height: 512}, Round: true, Runner: ort.Runner{},
			}
			r, err := importer.ONNX(filepath.Join("testdata/onnx", strings.TrimSuffix(e.name, "_last")+".onnx"), cfg, 32, opt)
			if err != nil {
				t.Fatal(err)
			}
			if r.Encoder.Stride != e.stride || r.Encoder.LogitsStride != e.map4 || !strings.Contains(r.Summary, e.says) {
				t.Errorf("strides %d and %d, %s; want %d, %d, %s", r.Encoder.Stride, r.Encoder.LogitsStride, r.Summary, e.stride, e.map4,
					e.says)
			}
			t.Log(r.Summary)
			out := run(t, opt.Out)
			compare(t, "features", channelsFirst(out["features"], e.name == "tokens"),
				golden[strings.TrimSuffix(e.name, "_last")+"/features"], e.loose)
			logits := "/logits"
			if e.cfg.Logits != "" {
				logits += " last"
			}
			if want := golden[strings.TrimSuffix(e.name, "_last")+logits]; want != nil {
				compare(t, "logits", out["logits"].Data, want, e.loose)
			}
		})
	}
}

// run computes the outputs of a bundle for the picture of golden.py.
func run(t *testing.T, bundle string) (out map[string]models.Output) {
	t.Helper()
	b, err := models.Open(bundle)
	if err != nil {
		t.Fatal(err)
	}
	model, err := b.Encoder()
	if err != nil {
		t.Fatal(err)
	}
	err = ort.Runner{}.Run(model, func(encode models.EncodeFunc) (err error) {
		out, err = encode(models.GoldenImage(96, 64), 96, 64, models.Size{Width: 96, Height: 64})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// channelsFirst returns the values of [h,w,C] in the order of [C,h,w], or as they are.
func channelsFirst(o models.Output, last bool) []float32 {
	if last {
		return o.Data
	}
	c := int(o.Shape[2])
	n := len(o.Data) / c
	v := make([]float32, len(o.Data))
	for i := range n {
		for k := range c {
			v[k*n+i] = o.Data[i*c+k]
		}
	}
	return v
}

// compare compares every 7th value.
func compare(t *testing.T, what string, got []float32, want *checkpoint.Tensor, loose bool) {
	t.Helper()
	bar := 1e-4
	if loose {
		bar = 5e-3 // 11 bits of mantissa, and other fusions
	}
	top, worst := 0.0, 0.0
	for i, w := range want.Data {
		if 7*i >= len(got) {
			t.Fatalf("%s: %d values, want %d", what, len(got), 7*len(want.Data))
		}
		top = max(top, math.Abs(float64(w)))
		worst = max(worst, math.Abs(float64(w-got[7*i])))
	}
	if !(worst <= bar*top) {
		t.Errorf("%s: differs by %.2g of %.3g", what, worst, top)
	}
}

// What cannot be imported is refused in one line that names it and the way out.
func TestONNXExportsRefused(t *testing.T) {
	fixed := importer.Options{Out: filepath.Join(t.TempDir(), "mine"), Size: models.Size{Width: 128, Height: 64}, Runner: ort.Runner{}}
	for name, tt := range map[string]struct {
		file string
		cfg  nets.ForeignConfig
		want string
	}{
		"batch": {"batch2", nets.ForeignConfig{}, `input "pixels" takes 2 pictures at once: export it with a batch of 1`},
		"size":  {"fixed", nets.ForeignConfig{}, "takes pictures of 96x64 only: leave --size out"},
		"classes": {
			"argmax",
			nets.ForeignConfig{Logits: "out"},
			`"out" comes out of ArgMax, and the scores before it are wanted: --logits "/Resize_2_output_0"`,
		},
		"bytes":       {"keras_u8", nets.ForeignConfig{Std: [3]float64{1, 1, 1}}, "leave --mean and --std out"},
		"order":       {"keras", nets.ForeignConfig{Order: "nwhc"}, "--layout nwhc: want nchw or nhwc"},
		"wrong order": {"keras", nets.ForeignConfig{Order: "nchw"}, "is no picture in this order"},
	} {
		if tt.cfg.Features == "" {
			tt.cfg.Features = "relu_2"
		}
		if name == "wrong order" {
			tt.cfg.Features = "functional_1/separable_conv2d_1/Relu:0"
		}
		_, err := importer.ONNX(filepath.Join("testdata/onnx", tt.file+".onnx"), tt.cfg, 32, fixed)
		if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
}

// The exports of old operator sets stay ONNX files that parse when they are brought up to date.
func TestUpgrade(t *testing.T) {
	for _, name := range []string{"script9", "script10", "script12"} {
		raw, err := os.ReadFile(filepath.Join("testdata/onnx", name+".onnx"))
		if err != nil {
			t.Fatal(err)
		}
		m, err := graph.Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Upgrade(); err != nil || m.Opsets()[""] != 13 {
			t.Errorf("%s: %v, operator set %d", name, err, m.Opsets()[""])
		}
		if _, err := graph.Parse(m.Marshal()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
