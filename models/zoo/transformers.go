package zoo

import (
	"encoding/json"
	"fmt"

	"github.com/oodcast/oodcast/models"
	"github.com/oodcast/oodcast/models/nets"
)

// cityscapes is the number of classes of the networks with a head.
const cityscapes = 19

// vitSize is the size of a plain vision transformer.
type vitSize struct{ width, depth, heads, patch, grid int }

// vit is a DINOv2 under the names of its release.
func vit(v vitSize) kind {
	return func(seed uint64) (*Network, error) {
		s := shapes{
			"cls_token": {1, 1, v.width}, "mask_token": {1, v.width}, "pos_embed": {1, 1 + v.grid*v.grid, v.width},
		}
		s.layer("patch_embed.proj", v.width, 3, v.patch, v.patch)
		s.norm("norm", v.width)
		for i := range v.depth {
			b := fmt.Sprintf("blocks.%d.", i)
			s.norm(b+"norm1", v.width)
			s.norm(b+"norm2", v.width)
			s.layer(b+"attn.qkv", 3*v.width, v.width)
			s.layer(b+"attn.proj", v.width, v.width)
			s.layer(b+"mlp.fc1", 4*v.width, v.width)
			s.layer(b+"mlp.fc2", v.width, 4*v.width)
			s[b+"ls1.gamma"], s[b+"ls2.gamma"] = []int{v.width}, []int{v.width}
		}
		weights := s.tensors()
		cfg, err := nets.InferViT(weights)
		if err != nil {
			return nil, err
		}
		return &Network{
			Params: s.params(), Denoiser: fitted(cfg.Channels()), Attention: v.heads, Spec: vitSpec(cfg),
			Build: building(seed, cfg, weights, inMemory(nets.ViT)),
		}, nil
	}
}

func vitSpec(cfg nets.ViTConfig) models.EncoderSpec {
	spec := models.EncoderSpec{
		Architecture: "vit", Features: cfg.Features, Channels: cfg.Channels(), Stride: cfg.Stride(),
		LogitsStride: models.MapStride(cfg.Stride()), Multiple: cfg.Multiple(),
	}
	if cfg.Head != "" {
		spec.Architecture, spec.LogitsStride = cfg.Head, cfg.LogitsStride()
	}
	return spec
}

// segmentor is a network of a pair that DOoD published, under mmsegmentation's names, with that pair's denoiser.
func segmentor(head string, v vitSize) kind {
	return func(seed uint64) (*Network, error) {
		s, c, extra := shapes{"backbone.cls_token": {1, 1, v.width}}, v.width, 1
		block := func(b string) {
			s.norm(b+"ln1", c)
			s.norm(b+"ln2", c)
			s[b+"attn.attn.in_proj_weight"], s[b+"attn.attn.in_proj_bias"] = []int{3 * c, c}, []int{3 * c}
			s.layer(b+"attn.attn.out_proj", c, c)
			s.layer(b+"ffn.layers.0.0", 4*c, c)
			s.layer(b+"ffn.layers.1", c, 4*c)
		}
		denoiser := models.DenoiserConfig{Channels: c, Width: c, Blocks: [3]int{8, 4, 8}, Time: models.TimeScalar}
		if head == "segmenter" {
			extra = 2
			s["backbone.dist_token"], s["decode_head.cls_emb"] = []int{1, 1, c}, []int{1, cityscapes, c}
			s["decode_head.patch_proj.weight"], s["decode_head.classes_proj.weight"] = []int{c, c}, []int{c, c}
			s.norm("backbone.ln1", c)
			s.layer("decode_head.dec_proj", c, c)
			s.norm("decode_head.decoder_norm", c)
			s.norm("decode_head.mask_norm", cityscapes)
			block("decode_head.layers.0.")
			denoiser.Blocks, denoiser.Time = [3]int{6, 3, 6}, models.TimeSinusoidal
		} else {
			const width = 256
			s.norm("decode_head.norm", c)
			s.conv("decode_head.up_convs.0.0.conv", "decode_head.up_convs.0.0.bn", width, c, 1)
			s.layer("decode_head.conv_seg", cityscapes, width, 1, 1)
		}
		s["backbone.pos_embed"] = []int{1, extra + v.grid*v.grid, c}
		s.layer("backbone.patch_embed.projection", c, 3, v.patch, v.patch)
		for i := range v.depth {
			block(fmt.Sprintf("backbone.layers.%d.", i))
		}
		weights := s.tensors()
		cfg, err := nets.InferViTSegmenter(weights)
		if err != nil {
			return nil, err
		}
		return &Network{
			Params: s.params(), Classes: cityscapes, Denoiser: denoiser.Defaults(), Attention: v.heads, Spec: vitSpec(cfg),
			Build: building(seed, cfg, weights, inMemory(nets.ViT)),
		}, nil
	}
}

// segFormer is a SegFormer under the names of Hugging Face's hub.
func segFormer(widths, depths []int, head int) kind {
	return func(seed uint64) (*Network, error) {
		heads, ratios, patches := []int{1, 2, 5, 8}, []int{8, 4, 2, 1}, []int{7, 3, 3, 3}
		s, before := shapes{}, 3
		for i, w := range widths {
			embed := fmt.Sprintf("segformer.encoder.patch_embeddings.%d.", i)
			s.layer(embed+"proj", w, before, patches[i], patches[i])
			s.norm(embed+"layer_norm", w)
			s.norm(fmt.Sprintf("segformer.encoder.layer_norm.%d", i), w)
			for j := range depths[i] {
				b := fmt.Sprintf("segformer.encoder.block.%d.%d.", i, j)
				s.norm(b+"layer_norm_1", w)
				s.norm(b+"layer_norm_2", w)
				for _, name := range []string{"self.query", "self.key", "self.value", "output.dense"} {
					s.layer(b+"attention."+name, w, w)
				}
				if r := ratios[i]; r > 1 {
					s.layer(b+"attention.self.sr", w, w, r, r)
					s.norm(b+"attention.self.layer_norm", w)
				}
				s.layer(b+"mlp.dense1", 4*w, w)
				s.layer(b+"mlp.dwconv.dwconv", 4*w, 1, 3, 3)
				s.layer(b+"mlp.dense2", w, 4*w)
			}
			s.layer(fmt.Sprintf("decode_head.linear_c.%d.proj", i), head, w)
			before = w
		}
		s.conv("decode_head.linear_fuse", "decode_head.batch_norm", head, len(widths)*head, 1)
		s.layer("decode_head.classifier", cityscapes, head, 1, 1)
		config, err := json.Marshal(map[string]any{
			"model_type": "segformer", "architectures": []string{"SegformerForSemanticSegmentation"}, "hidden_sizes": widths,
			"depths": depths, "num_attention_heads": heads, "sr_ratios": ratios,
		})
		if err != nil {
			return nil, err
		}
		weights := s.tensors()
		cfg, _, err := nets.InferSegFormer(config, weights)
		if err != nil {
			return nil, err
		}
		cfg.Features = nets.DefaultSegFormerFeatures
		return &Network{
			Params: s.params(), Classes: cityscapes, Denoiser: fitted(cfg.Channels()),
			Spec: models.EncoderSpec{
				Architecture: "segformer", Features: cfg.Features, Channels: cfg.Channels(), Stride: cfg.Stride(), LogitsStride: cfg.MapStride(),
			},
			Build: building(seed, cfg, weights, inMemory(nets.SegFormer)),
		}, nil
	}
}
