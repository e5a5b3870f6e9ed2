package nets_test

import (
	"strings"
	"testing"

	"github.com/oodcast/oodcast/models/checkpoint"
	"github.com/oodcast/oodcast/models/nets"
)

// A config.json of the hub tells what weights do not show, and is refused if it does not belong to them.
func TestViTWithHub(t *testing.T) {
	_, plain := vitGolden(t, false)
	_, rotary := goldenOf(t, "dinov3", false)
	infer := func(net string) nets.ViTConfig {
		weights := plain[net]
		if weights == nil {
			weights = rotary[net]
		}
		cfg, err := nets.InferViT(weights)
		if err != nil {
			t.Fatal(err)
		}
		return cfg
	}
	const dinov3 = `{"model_type":"dinov3_vit","hidden_size":32,"num_hidden_layers":2,"num_attention_heads":4,"patch_size":16,`
	for _, tt := range []struct {
		name, net, config string
		want              nets.ViTConfig // heads, epsilon, theta and activation
		err               string
	}{
		{
			"DINOv3", "dinov3", dinov3 + `"layer_norm_eps":1e-4,"rope_theta":50,"hidden_act":"gelu"}`,
			nets.ViTConfig{Heads: 4, NormEps: 1e-4, Theta: 50, Activation: "gelu"},
			"",
		},
		{"defaults", "dinov3-gated", dinov3 + `"hidden_act":"silu"}`, nets.ViTConfig{Heads: 4, NormEps: 1e-5, Theta: 100, Activation: "silu"}, ""},
		{
			"DINOv2", "dinov2-hf", `{"model_type":"dinov2","hidden_size":32,"num_attention_heads":2,"patch_size":[14,14],"layer_norm_eps":1e-6}`,
			nets.ViTConfig{Heads: 2, NormEps: 1e-6, Activation: "gelu"},
			"",
		},
		{"width", "dinov2-hf", `{"model_type":"dinov2","hidden_size":64}`, nets.ViTConfig{}, "hidden_size: got 64, the weights have 32"},
		{"patch", "dinov2-hf", `{"model_type":"dinov2","patch_size":16}`, nets.ViTConfig{}, "patch_size: got 16, the weights have 14"},
		{"type", "dinov2-hf", `{"model_type":"clip_vision_model"}`, nets.ViTConfig{}, `got model_type "clip_vision_model", want vit, deit`},
		{"names", "dinov2-hf", `{"model_type":"dinov3_vit"}`, nets.ViTConfig{}, `got "dinov3_vit", whose names the weights do not have`},
		{"names of DINOv3", "dinov3", `{"model_type":"dinov2"}`, nets.ViTConfig{}, `got "dinov2", whose names`},
		{"activation", "deit-hf", `{"model_type":"deit","hidden_act":"quick_gelu"}`, nets.ViTConfig{}, `hidden_act: got "quick_gelu"`},
		{"heads", "dinov3", dinov3 + `"num_attention_heads":16}`, nets.ViTConfig{}, "attention heads of a multiple of 4 channels, not 2"},
		{"theta", "dinov3", dinov3 + `"rope_theta":-1}`, nets.ViTConfig{}, "vit.theta: got -1"},
		{"epsilon", "deit-hf", `{"model_type":"deit","layer_norm_eps":0}`, nets.ViTConfig{}, "vit.norm_eps: got 0"},
		{"no JSON", "deit-hf", `{`, nets.ViTConfig{}, "config.json: unexpected end of JSON input"},
	} {
		got, err := infer(tt.net).WithHub([]byte(tt.config))
		if tt.err != "" {
			if err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%s: %v, want %q", tt.name, err, tt.err)
			}
			continue
		}
		if err != nil || got.Heads != tt.want.Heads || got.NormEps != tt.want.NormEps || got.Theta != tt.want.Theta || got.Activation != tt.want.Activation {
			t.Errorf("%s: %+v, %v; want %+v", tt.name, got, err, tt.want)
		}
	}
}

// A network of timm with rotary positions of another kind than DINOv3's is not taken for one: weights do not show the angles.
func TestRotaryOfAnotherKind(t *testing.T) {
	for name, edit := range map[string]func(checkpoint.Tensors){
		"bias of keys": func(ts checkpoint.Tensors) {
			ts["blocks.0.attn.qkv.bias"] = madeUp("blocks.0.attn.qkv.bias", []int{96})
		},
		"no registers":  func(ts checkpoint.Tensors) { delete(ts, "reg_token") },
		"one register":  func(ts checkpoint.Tensors) { ts["reg_token"] = madeUp("reg_token", []int{1, 1, 32}) },
		"no LayerScale": func(ts checkpoint.Tensors) { delete(ts, "blocks.0.gamma_1") },
	} {
		_, all := goldenOf(t, "dinov3", false)
		weights := all["dinov3-timm"]
		edit(weights)
		if _, err := nets.InferViT(weights); err == nil || !strings.Contains(err.Error(), `no tensor "pos_embed"`) {
			t.Errorf("%s: %v, want no positions", name, err)
		}
	}
}
