package nets_test

import (
	"encoding/json"
	"fmt"
	"hash/crc32"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/oodcast/oodcast/detector/ort"
	"github.com/oodcast/oodcast/models"
	"github.com/oodcast/oodcast/models/checkpoint"
	"github.com/oodcast/oodcast/models/nets"
)

// segFormer describes a network of testdata/segformer_golden.py.
type segFormer struct {
	widths, depths, heads, ratios []int
	head, classes                 int
}

var (
	tinySegFormer = segFormer{[]int{8, 12, 20, 24}, []int{1, 2, 1, 2}, []int{1, 2, 5, 4}, []int{8, 4, 2, 1}, 16, 5}
	segFormerB0   = segFormer{[]int{32, 64, 160, 256}, []int{2, 2, 2, 2}, []int{1, 2, 5, 8}, []int{8, 4, 2, 1}, 256, 19}
)

// config returns config.json with some values replaced; nil removes one.
func (n segFormer) config(replace map[string]any) []byte {
	labels := map[string]string{}
	for i := range n.classes {
		labels[fmt.Sprint(i)] = fmt.Sprintf("thing %d", i)
	}
	c := map[string]any{
		"model_type": "segformer", "architectures": []string{"SegformerForSemanticSegmentation"}, "hidden_sizes": n.widths,
		"depths": n.depths, "num_attention_heads": n.heads, "sr_ratios": n.ratios, "id2label": labels, "layer_norm_eps": 1e-6,
	}
	maps.Copy(c, replace)
	maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
	raw, err := json.Marshal(c)
	if err != nil {
		panic(err)
	}
	return raw
}

// weights computes the weights by the formula of testdata/segformer_golden.py.
func (n segFormer) weights() checkpoint.Tensors {
	ts := checkpoint.Tensors{}
	put := func(name string, centre, spread float64, shape ...int) {
		size := 1
		for _, d := range shape {
			size *= d
		}
		t := &checkpoint.Tensor{Name: name, Shape: shape, Data: make([]float32, size)}
		sum := crc32.ChecksumIEEE([]byte(name))
		for i := range t.Data {
			u := float64(uint32(i)*2654435761+sum) / (1 << 32)
			t.Data[i] = float32(centre + spread*(2*u-1))
		}
		ts[name] = t
	}
	layer := func(name string, shape ...int) {
		fan := 1
		for _, d := range shape[1:] {
			fan *= d
		}
		put(name+".weight", 0, math.Sqrt(3/float64(fan)), shape...)
		put(name+".bias", 0.1, 0.3, shape[0])
	}
	norm := func(name string, size int) {
		put(name+".weight", 1, 0.3, size)
		put(name+".bias", 0.1, 0.3, size)
	}
	const e = "segformer.encoder."
	before, patches := 3, []int{7, 3, 3, 3}
	for i, w := range n.widths {
		embed := fmt.Sprintf("%spatch_embeddings.%d.", e, i)
		layer(embed+"proj", w, before, patches[i], patches[i])
		norm(embed+"layer_norm", w)
		for j := range n.depths[i] {
			b := fmt.Sprintf("%sblock.%d.%d.", e, i, j)
			norm(b+"layer_norm_1", w)
			norm(b+"layer_norm_2", w)
			for _, name := range []string{"self.query", "self.key", "self.value", "output.dense"} {
				layer(b+"attention."+name, w, w)
			}
			if r := n.ratios[i]; r > 1 {
				layer(b+"attention.self.sr", w, w, r, r)
				norm(b+"attention.self.layer_norm", w)
			}
			layer(b+"mlp.dense1", 4*w, w)
			layer(b+"mlp.dwconv.dwconv", 4*w, 1, 3, 3)
			layer(b+"mlp.dense2", w, 4*w)
		}
		norm(fmt.Sprintf("%slayer_norm.%d", e, i), w)
		layer(fmt.Sprintf("decode_head.linear_c.%d.proj", i), n.head, w)
		before = w
	}
	put("decode_head.linear_fuse.weight", 0, math.Sqrt(3/float64(4*n.head)), n.head, 4*n.head, 1, 1)
	norm("decode_head.batch_norm", n.head)
	put("decode_head.batch_norm.running_mean", 0, 0.3, n.head)
	put("decode_head.batch_norm.running_var", 1, 0.5, n.head)
	put("decode_head.batch_norm.num_batches_tracked", 7, 0)
	layer("decode_head.classifier", n.classes, n.head, 1, 1)
	return ts
}

// encoderOnly returns the weights as SegformerModel saves them.
func encoderOnly(ts checkpoint.Tensors) checkpoint.Tensors {
	out := checkpoint.Tensors{}
	for name, t := range ts {
		if short, ok := strings.CutPrefix(name, "segformer."); ok {
			out[short] = t
		}
	}
	return out
}

func segFormerEncoder(t testing.TB, cfg nets.SegFormerConfig, weights checkpoint.Tensors) *ort.Session {
	t.Helper()
	g, err := nets.SegFormer(cfg, weights)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := g.Marshal()
	return open(t, raw, err)
}

// TestSegFormerGolden compares all outputs with those of Hugging Face's transformers, in double precision, for a batch of two
// pictures at two working sizes; one has an odd number of strides on both sides.
func TestSegFormerGolden(t *testing.T) {
	golden, _, err := checkpoint.ReadSafetensors("testdata/segformer_golden.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	for name, net := range map[string]segFormer{"tiny": tinySegFormer, "b0": segFormerB0} {
		weights := net.weights()
		cfg, names, err := nets.InferSegFormer(net.config(nil), weights)
		if err != nil {
			t.Fatal(err)
		}
		if len(names) != net.classes || names[2] != "thing 2" || cfg.Variant() != strings.TrimPrefix(name, "tiny") {
			t.Errorf("%s: names %q, variant %q", name, names, cfg.Variant())
		}
		compared := 0
		for _, key := range golden.Names() {
			part := strings.Split(key, "/") // network, size, tensor
			if part[0] != name {
				continue
			}
			var w, h int
			if _, err := fmt.Sscanf(part[1], "%dx%d", &w, &h); err != nil {
				t.Fatal(err)
			}
			c, output := cfg, "features"
			if after, ok := strings.CutPrefix(part[2], "logits@"); ok {
				c.LogitsStride, output = int(after[0]-'0'), "logits"
			} else {
				c.Features = part[2]
			}
			out := encode(t, segFormerEncoder(t, c, weights), upsideDown(w, h), h, w, h, w)
			data := ort.Data[float32](out[output])
			relative(t, key, every(data, max(1, len(data)/200)|1), golden[key].Data)
			compared++
			if output == "logits" {
				checkLSE(t, key, out)
			} else if want := []int64{2, int64(h / c.Stride()), int64(w / c.Stride()), int64(c.Channels())}; !slices.Equal(out[output].Shape(), want) {
				t.Errorf("%s has shape %v, want %v", key, out[output].Shape(), want)
			}
		}
		if compared != 14 {
			t.Errorf("%s: compared %d tensors, want 14", name, compared)
		}
	}
}

// upsideDown returns the golden picture, and the same turned upside down.
func upsideDown(w, h int) []uint8 {
	p := models.GoldenImage(w, h)
	for y := range h {
		p = append(p, p[(h-1-y)*w*3:][:w*3]...)
	}
	return p
}

// checkLSE compares lse with the logits of each picture.
func checkLSE(t *testing.T, name string, out map[string]*ort.Tensor) {
	t.Helper()
	shape, data := out["logits"].Shape(), ort.Data[float32](out["logits"])
	k, cells := int(shape[1]), int(shape[2]*shape[3])
	var want []float32
	for i := range int(shape[0]) {
		want = append(want, logSumExp(&checkpoint.Tensor{Shape: []int{k, cells}, Data: data[i*k*cells:][:k*cells]})...)
	}
	compare(t, name+" lse", ort.Data[float32](out["lse"]), want)
}

// The weights of SegformerModel and of an image classifier make an encoder without classes, with the same features. A stage
// before the last does without the weights behind it.
func TestSegFormerWithoutClasses(t *testing.T) {
	net := tinySegFormer
	whole := net.weights()
	classifier := net.weights()
	maps.DeleteFunc(classifier, func(name string, _ *checkpoint.Tensor) bool { return strings.HasPrefix(name, "decode_head.") })
	classifier["classifier.weight"] = &checkpoint.Tensor{Name: "classifier.weight", Shape: []int{3, 24}, Data: make([]float32, 72)}
	picture := upsideDown(128, 64)
	for name, weights := range map[string]checkpoint.Tensors{"SegformerModel": encoderOnly(whole), "SegformerForImageClassification": classifier} {
		config := net.config(map[string]any{"architectures": []string{name}})
		cfg, names, err := nets.InferSegFormer(config, weights)
		if err != nil || cfg.Classes != 0 || names != nil {
			t.Fatalf("%s: %+v, %q, %v", name, cfg, names, err)
		}
		full, _, err := nets.InferSegFormer(net.config(nil), whole)
		if err != nil {
			t.Fatal(err)
		}
		for features, want := range map[string]int{"": 24, "stage1@4": 8, "stage2@16,stage3@16": 32, "stage3@16,keys@16": 44} {
			cfg.Features, full.Features = features, features
			got := encode(t, segFormerEncoder(t, cfg, weights), picture, 64, 128, 64, 128)
			if len(got) != 1 || got["features"].Shape()[3] != int64(want) || cfg.Channels() != want {
				t.Errorf("%s, %q: outputs %v, want features of %d channels", name, features, got, want)
				continue
			}
			same := encode(t, segFormerEncoder(t, full, whole), picture, 64, 128, 64, 128)["features"]
			relative(t, name+" "+features, ort.Data[float32](got["features"]), ort.Data[float32](same))
		}
	}
}

func TestInferSegFormerRefuses(t *testing.T) {
	tests := []struct {
		name   string
		config map[string]any
		edit   func(checkpoint.Tensors)
		want   string
	}{
		{"another network", map[string]any{"model_type": "vit"}, nil, `got model_type "vit", want "segformer"`},
		{"no type", map[string]any{"model_type": nil}, nil, `got model_type ""`},
		{"a list", map[string]any{"depths": "two"}, nil, "config.json"},
		{"three stages", map[string]any{"depths": []int{1, 2, 3}}, nil, "segformer.depths: got [1 2 3], want four numbers"},
		{"heads", map[string]any{"num_attention_heads": []int{1, 5, 5, 4}}, nil, "want divisors of [8 12 20 24]"},
		{"ratios", map[string]any{"sr_ratios": []int{8, 8, 2, 1}}, nil, "sr_ratios"},
		{"strides", map[string]any{"strides": []int{4, 2, 2, 1}}, nil, "want [4 2 2 2]"},
		{"activation", map[string]any{"hidden_act": "relu"}, nil, `got "relu", want gelu`},
		{"names", map[string]any{"id2label": map[string]string{"0": "a"}}, nil, "names 1 classes (id2label), the weights have 5"},
		{"a name", map[string]any{"id2label": map[string]string{"0": "a", "1": "b", "2": "c", "3": "d", "5": "e"}}, nil, "no name for class 4"},
		{"other weights", nil, func(ts checkpoint.Tensors) { clear(ts); ts["x.y"] = &checkpoint.Tensor{} }, `not the weights of a SegFormer: of its tensors "segformer.encoder.patch_embeddings.0.proj.weight" is missing; the file holds ["x.y"]`},
		{"no head", nil, func(ts checkpoint.Tensors) {
			maps.DeleteFunc(ts, func(n string, _ *checkpoint.Tensor) bool { return strings.HasPrefix(n, "decode_head.") })
		}, `no tensor "decode_head.classifier.weight"`},
	}
	for _, tt := range tests {
		weights := tinySegFormer.weights()
		if tt.edit != nil {
			tt.edit(weights)
		}
		if _, _, err := nets.InferSegFormer(tinySegFormer.config(tt.config), weights); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
	_, names, err := nets.InferSegFormer(tinySegFormer.config(map[string]any{"id2label": map[string]string{
		"0": "LABEL_0", "1": "LABEL_1", "2": "LABEL_2", "3": "LABEL_3", "4": "LABEL_4",
	}}), tinySegFormer.weights())
	if names != nil || err != nil {
		t.Errorf("numbered classes: %q, %v", names, err)
	}
}

func TestSegFormerRefuses(t *testing.T) {
	without := func(name string) func(*nets.SegFormerConfig, checkpoint.Tensors) {
		return func(_ *nets.SegFormerConfig, ts checkpoint.Tensors) { delete(ts, name) }
	}
	const block = "segformer.encoder.block.2.0."
	type edit = func(*nets.SegFormerConfig, checkpoint.Tensors)
	tests := []struct {
		want string
		edit edit
	}{
		{`no tensor "segformer.encoder.layer_norm.3.bias"`, without("segformer.encoder.layer_norm.3.bias")},
		{`no tensor "` + block + `attention.self.sr.weight"`, without(block + "attention.self.sr.weight")},
		{`no tensor "` + block + `mlp.dense1.weight"`, without(block + "mlp.dense1.weight")},
		{`no tensor "` + block + `attention.self.query.bias"`, without(block + "attention.self.query.bias")},
		{`no tensor "decode_head.linear_c.1.proj.weight"`, without("decode_head.linear_c.1.proj.weight")},
		{`no tensor "decode_head.batch_norm.running_var"`, without("decode_head.batch_norm.running_var")},
		{`no tensor "decode_head.linear_fuse.weight"`, without("decode_head.linear_fuse.weight")},
		{`want [20 20]`, func(_ *nets.SegFormerConfig, ts checkpoint.Tensors) {
			ts[block+"attention.self.key.weight"].Shape = []int{10, 40}
		}},
		{`does not use the weights "segformer.encoder.block.2.1.`, func(_ *nets.SegFormerConfig, ts checkpoint.Tensors) {
			ts["segformer.encoder.block.2.1.mlp.dense1.bias"] = &checkpoint.Tensor{}
		}},
		{`got "stage5", want stage1 to stage4 or keys`, func(c *nets.SegFormerConfig, _ checkpoint.Tensors) { c.Features = "stage5@16" }},
		{`got "head", want`, func(c *nets.SegFormerConfig, _ checkpoint.Tensors) { c.Features = "head@16" }},
		{"got stage3@12", func(c *nets.SegFormerConfig, _ checkpoint.Tensors) { c.Features = "stage3@12" }},
		{"logits_stride: got 16, want 4 or 8", func(c *nets.SegFormerConfig, _ checkpoint.Tensors) { c.LogitsStride = 16 }},
	}
	for _, tt := range tests {
		weights := tinySegFormer.weights()
		cfg, _, err := nets.InferSegFormer(tinySegFormer.config(nil), weights)
		if err != nil {
			t.Fatal(err)
		}
		tt.edit(&cfg, weights)
		if _, err := nets.SegFormer(cfg, weights); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%v, want %q", err, tt.want)
		}
	}
}

// Whatever a config.json says, and whatever the names and shapes of the weights, the network that it makes of them fits them, or is
// refused.
func FuzzSegFormer(f *testing.F) {
	shapes := map[string][]int{}
	for name, x := range tinySegFormer.weights() {
		shapes[name] = x.Shape
	}
	raw, err := json.Marshal(shapes)
	if err != nil {
		f.Fatal(err)
	}
	for _, replace := range []map[string]any{
		nil,
		{"depths": []int{1 << 40, 1, 1, 1}},
		{"num_attention_heads": []int{0, -1, 5, 4}},
		{"hidden_sizes": []int{}},
		{"patch_sizes": []int{7, 3, 3, 31}},
		{"id2label": map[string]string{"0": "\x00"}},
		{"num_channels": 0},
	} {
		f.Add(tinySegFormer.config(replace), "stage2@8,keys@8", raw)
	}
	f.Add([]byte(`{"model_type": "segformer"}`), "", raw)
	f.Fuzz(func(t *testing.T, config []byte, features string, shapes []byte) {
		weights := fuzzed(shapes)
		if weights == nil {
			return
		}
		cfg, names, err := nets.InferSegFormer(config, weights)
		if err != nil {
			return
		}
		if len(names) != 0 && len(names) != cfg.Classes {
			t.Errorf("%d names of %d classes", len(names), cfg.Classes)
		}
		cfg.Features = features
		if g, err := nets.SegFormer(cfg, weights); err == nil {
			marshals(t, g.Marshal)
		}
	})
}
