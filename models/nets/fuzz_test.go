package nets_test

import (
	"encoding/json"
	"testing"

	"github.com/oodcast/oodcast/models/checkpoint"
	"github.com/oodcast/oodcast/models/nets"
)

// fuzzed returns weights of the names and shapes in a JSON object, or nil if they are too many for a test.
func fuzzed(raw []byte) checkpoint.Tensors {
	var shapes map[string][]int
	if json.Unmarshal(raw, &shapes) != nil {
		return nil
	}
	ts, budget := checkpoint.Tensors{}, 1<<18
	for name, shape := range shapes {
		n := 1
		for _, d := range shape {
			if d < 0 || d > budget {
				return nil
			}
			n *= d
			if n > budget {
				return nil
			}
		}
		budget -= n
		ts[name] = &checkpoint.Tensor{Name: name, Shape: shape, Data: make([]float32, n)}
	}
	return ts
}

// seeds adds the names and shapes of the small networks in files of testdata, each with the configuration.
func seeds(f *testing.F, config string, files ...string) {
	f.Helper()
	for _, file := range files {
		_, meta, err := checkpoint.ReadSafetensors("testdata/" + file + "_golden.safetensors")
		if err != nil {
			f.Fatal(err)
		}
		for _, shapes := range meta {
			f.Add([]byte(shapes), []byte(config))
		}
	}
}

// FuzzViT makes networks of whatever weights: plain vision transformers, with heads, and the denoisers of DOoD's pairs.
func FuzzViT(f *testing.F) {
	seeds(f, `{"model_type":"dinov3_vit","num_attention_heads":4,"rope_theta":100}`, "vit", "vit_gated", "dinov3")
	seeds(f, `{"model_type":"dinov2","num_attention_heads":4,"patch_size":14}`, "vit_gated")
	f.Fuzz(func(t *testing.T, shapes, config []byte) {
		weights := fuzzed(shapes)
		if weights == nil {
			return
		}
		if cfg, err := nets.InferViT(weights); err == nil {
			if g, err := nets.ViT(cfg, weights); err == nil {
				marshals(t, g.Marshal)
			}
			if cfg, err := cfg.WithHub(config); err == nil {
				if g, err := nets.ViT(cfg, weights); err == nil {
					marshals(t, g.Marshal)
				}
			}
		}
		if cfg, err := nets.InferViTSegmenter(weights); err == nil {
			if g, err := nets.ViT(cfg, weights); err == nil {
				marshals(t, g.Marshal)
			}
		}
		if cfg, tensors, err := nets.InferDenoiser(weights); err == nil {
			if err := cfg.Validate(); err != nil {
				t.Errorf("an inferred denoiser: %v", err)
			}
			if _, err := nets.FlattenDenoiser(cfg, tensors); err != nil {
				t.Errorf("an inferred denoiser: %v", err)
			}
		}
	})
}

// marshals checks that a network that was built can be written.
func marshals(t *testing.T, marshal func() ([]byte, error)) {
	t.Helper()
	if _, err := marshal(); err != nil {
		t.Error(err)
	}
}
