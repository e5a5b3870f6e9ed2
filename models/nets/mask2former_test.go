package nets_test

import (
	"encoding/json"
	"fmt"
	"maps"
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

// smallMask2Former returns the network of testdata/mask2former_golden.py, with some values of its config.json replaced; nil removes
// one.
func smallMask2Former(t testing.TB, replace, backbone map[string]any) (config []byte, weights checkpoint.Tensors) {
	t.Helper()
	dir := filepath.Join("..", "importer", "testdata", "mask2former")
	weights, _, err := checkpoint.ReadSafetensors(filepath.Join(dir, "model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(filepath.Join(dir, "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]any
	if err := json.Unmarshal(raw, &all); err != nil {
		t.Fatal(err)
	}
	removed := func(_ string, v any) bool { return v == nil }
	maps.Copy(all["backbone_config"].(map[string]any), backbone)
	maps.DeleteFunc(all["backbone_config"].(map[string]any), removed)
	maps.Copy(all, replace)
	maps.DeleteFunc(all, removed)
	if config, err = json.Marshal(all); err != nil {
		t.Fatal(err)
	}
	return config, weights
}

// TestMask2FormerGolden compares all outputs with those of Hugging Face's transformers, in double precision, at three working
// sizes, of which none is a multiple of a window and one is not even a multiple of the largest stride.
func TestMask2FormerGolden(t *testing.T) {
	golden, _, err := checkpoint.ReadSafetensors("testdata/mask2former_golden.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	config, weights := smallMask2Former(t, nil, nil)
	cfg, names, err := nets.InferMask2Former(config, weights)
	if err != nil || strings.Join(names, ",") != "road,building,sky" {
		t.Fatalf("classes %q, %v", names, err)
	}
	sessions := map[string]*ort.Session{}
	for _, key := range golden.Names() {
		var w, h int
		size, output, _ := strings.Cut(key, "/")
		if _, err := fmt.Sscanf(size, "%dx%d", &w, &h); err != nil {
			t.Fatal(err)
		}
		c := cfg
		if strings.Contains(output, "@") {
			c.Features, output = output, "features"
		}
		if sessions[c.Features] == nil {
			g, err := nets.Mask2Former(c, weights)
			if err != nil {
				t.Fatal(err)
			}
			raw, err := g.Marshal()
			sessions[c.Features] = open(t, raw, err)
		}
		out := encode(t, sessions[c.Features], models.GoldenImage(w, h), h, w, h, w)
		data := ort.Data[float32](out[output])
		relative(t, key, every(data, max(1, len(data)/120)|1), golden[key].Data)
		s := c.Stride()
		want := map[string][]int64{
			"features":     {int64((h + s - 1) / s), int64((w + s - 1) / s), int64(c.Channels())},
			"class_logits": {6, 4}, "mask_logits": {6, int64(h / 4), int64(w / 4)}, "logits": {3, int64(h / 4), int64(w / 4)},
		}[output]
		if got := out[output].Shape(); !slices.Equal(got, want) {
			t.Errorf("%s has shape %v, want %v", key, got, want)
		}
		if output == "logits" {
			compare(t, key+" lse", ort.Data[float32](out["lse"]),
				logSumExp(&checkpoint.Tensor{Shape: []int{3, h / 4 * w / 4}, Data: data}))
		}
	}
	if len(golden) != 36 {
		t.Errorf("compared %d tensors, want 36", len(golden))
	}
}

// Taps at another stride and several taps together have the same values as alone.
func TestMask2FormerTaps(t *testing.T) {
	config, weights := smallMask2Former(t, nil, nil)
	cfg, _, err := nets.InferMask2Former(config, weights)
	if err != nil {
		t.Fatal(err)
	}
	features := func(list string) []float32 {
		cfg.Features = list
		g, err := nets.Mask2Former(cfg, weights)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := g.Marshal()
		return ort.Data[float32](encode(t, open(t, raw, err), models.GoldenImage(96, 64), 64, 96, 64, 96)["features"])
	}
	both, first, second := features("stage2@16,pixel3@16"), features("stage2@16"), features("")
	if cfg.Features = "stage2@16,pixel3@16"; cfg.Channels() != 8+32 || cfg.Stride() != 16 {
		t.Errorf("%d channels at stride %d", cfg.Channels(), cfg.Stride())
	}
	for i := range len(both) / 40 {
		if !slices.Equal(both[i*40:][:8], first[i*8:][:8]) || !slices.Equal(both[i*40+8:][:32], second[i*32:][:32]) {
			t.Fatalf("token %d: other values together than alone", i)
		}
	}
}

// Older files also hold tables that follow from the window, the loss, and a norm behind the backbone that nothing reads.
func TestMask2FormerIgnores(t *testing.T) {
	config, weights := smallMask2Former(t, nil, nil)
	const encoder = "model.pixel_level_module.encoder."
	for _, name := range []string{
		encoder + "encoder.layers.0.blocks.0.attention.self.relative_position_index", encoder + "layernorm.weight",
		encoder + "swin.layernorm.bias", "criterion.empty_weight",
	} {
		weights[name] = &checkpoint.Tensor{Name: name, Shape: []int{1}, Data: []float32{0}}
	}
	cfg, _, err := nets.InferMask2Former(config, weights)
	if err == nil {
		_, err = nets.Mask2Former(cfg, weights)
	}
	if err != nil {
		t.Error(err)
	}
}

func TestInferMask2FormerRefuses(t *testing.T) {
	without := func(name string) func(checkpoint.Tensors) {
		return func(ts checkpoint.Tensors) { delete(ts, name) }
	}
	const pixels = "model.pixel_level_module."
	tests := []struct {
		name              string
		replace, backbone map[string]any
		edit              func(checkpoint.Tensors)
		want              string
	}{
		{"another network", map[string]any{"model_type": "maskformer"}, nil, nil, `got model_type "maskformer", want "mask2former"`},
		{"another backbone", nil, map[string]any{"model_type": "resnet"}, nil, `backbone_config.model_type: got "resnet", want swin`},
		{"a list", map[string]any{"num_queries": "six"}, nil, nil, "config.json"},
		{"three stages", nil, map[string]any{"depths": []int{1, 2, 3}}, nil, "backbone_config.depths: got [1 2 3], want four numbers"},
		{"heads", nil, map[string]any{"num_heads": []int{1, 3, 2, 4}}, nil, "3 heads to divide 8 channels"},
		{"window", nil, map[string]any{"window_size": 99}, nil, "window_size: got 99, want 2 to 32"},
		{"positions", nil, map[string]any{"use_absolute_embeddings": true}, nil, "use_absolute_embeddings"},
		{"order", map[string]any{"pre_norm": true}, nil, nil, "mask2former.pre_norm: got true, want false"},
		{"groups", map[string]any{"feature_size": 48}, nil, nil, "feature_size: got 48, want a multiple of 32"},
		{"strides", map[string]any{"feature_strides": []int{4, 8, 16, 16}}, nil, nil, "want [4 8 16 32]"},
		{"names", map[string]any{"id2label": map[string]string{"0": "a"}}, nil, nil, "names 1 classes (id2label), the weights have 3"},
		{
			"other weights", nil, nil, func(ts checkpoint.Tensors) { clear(ts); ts["x.y"] = &checkpoint.Tensor{} },
			`not the weights of a Mask2Former on a Swin transformer`,
		},
		{"no classes", nil, nil, without("class_predictor.weight"), `no tensor "class_predictor.weight"`},
		{"a missing table", nil, nil, without("model.transformer_module.queries_features.weight"), "queries_features"},
		{
			"a missing bias", nil, nil, without(pixels + "encoder.encoder.layers.1.blocks.0.attention.self.relative_position_bias_table"),
			"relative_position_bias_table",
		},
		{"a missing norm", nil, nil, without(pixels + "decoder.adapter_1.1.bias"), "adapter_1.1.bias"},
		{"levels", nil, nil, without(pixels + "decoder.level_embed"), "level_embed"},
		{"fewer layers", map[string]any{"decoder_layers": 3}, nil, nil, `does not use the weights "model.transformer_module.decoder.layers.2`},
		{"more layers", map[string]any{"encoder_layers": 2}, nil, nil, `no tensor "model.pixel_level_module.decoder.encoder.layers.1`},
		{"another window", nil, map[string]any{"window_size": 4}, nil, "want [49 1]"},
		{"another feature", nil, nil, nil, `got "pixel5", want stage1 to stage4, pixel1 to pixel4 or masks`},
	}
	for _, tt := range tests {
		config, weights := smallMask2Former(t, tt.replace, tt.backbone)
		if tt.edit != nil {
			tt.edit(weights)
		}
		cfg, _, err := nets.InferMask2Former(config, weights)
		if err == nil {
			if tt.name == "another feature" {
				cfg.Features = "pixel5@8"
			}
			_, err = nets.Mask2Former(cfg, weights)
		}
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}

// Whatever a config.json says, the network that it makes of the weights fits them, or is refused.
func FuzzMask2FormerConfig(f *testing.F) {
	_, weights := smallMask2Former(f, nil, nil)
	for _, replace := range []map[string]any{
		nil,
		{"decoder_layers": 1 << 40},
		{"num_attention_heads": 0},
		{"hidden_dim": -16},
		{"feature_strides": nil},
		{"id2label": map[string]string{"0": "\x00"}},
		{"backbone_config": nil},
		{"mask_feature_size": 4096},
	} {
		config, _ := smallMask2Former(f, replace, nil)
		f.Add(config, "stage2@8,pixel1@8")
	}
	for _, backbone := range []map[string]any{{"window_size": 1 << 30}, {"mlp_ratio": -1}, {"embed_dim": 1 << 60}, {"depths": []int{}}} {
		config, _ := smallMask2Former(f, nil, backbone)
		f.Add(config, "masks@32")
	}
	f.Fuzz(func(t *testing.T, config []byte, features string) {
		cfg, names, err := nets.InferMask2Former(config, weights)
		if err != nil {
			return
		}
		if len(names) != 0 && len(names) != cfg.Classes {
			t.Errorf("%d names of %d classes", len(names), cfg.Classes)
		}
		cfg.Features = features
		g, err := nets.Mask2Former(cfg, weights)
		if err != nil {
			return
		}
		if _, err := g.Marshal(); err != nil {
			t.Error(err)
		}
	})
}
