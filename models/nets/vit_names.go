package nets

import (
	"fmt"
	"slices"
	"strings"

	"github.com/oodcast/oodcast/models/checkpoint"
)

// vitNames are the names of a plain ViT's weights in one family of files, without the prefix that all of them share. A
// name that a family does not have is "".
type vitNames struct {
	class, distillation, registers string
	positions, patch, norm         string
	block                          string // with %d for the number of the block
	blockNames

	normEps float64
	theta   float64 // of rotary positions; 0: the positions are learned
}

// blockNames are the names of a transformer block's weights behind the block's own name. Either the weights of queries, keys
// and values are one tensor, with joint as the beginning of its name, or each has a layer.
type blockNames struct {
	norm1, norm2            string
	joint                   string // in front of weight and bias
	query, key, value, proj string
	fc1, fc2                string
	gate                    string // beside fc1, of a perceptron with a gate; it may be a part of fc1
	scale1, scale2          string // of LayerScale
}

// segmentorBlock are the names of a block in mmsegmentation.
var segmentorBlock = blockNames{
	norm1: "ln1", norm2: "ln2", joint: "attn.attn.in_proj_", proj: "attn.attn.out_proj", fc1: "ffn.layers.0.0", fc2: "ffn.layers.1",
}

// packedNames are other names of fc1 and fc2, where fc1 holds the gate too: those of DINOv2 g, in its release and on the hub.
var packedNames = [][2]string{{"mlp.w12", "mlp.w3"}, {"mlp.weights_in", "mlp.weights_out"}}

// timmGate and timmGated are timm's names of a gate and of the layer beside it, in DINOv3.
const timmGate, timmGated = "mlp.fc1_g", "mlp.fc1_x"

// vitFamilies are the families of files that are read: DINOv3 of timm; timm, which has the names of the DINOv2 and DeiT releases;
// DINOv2 of Hugging Face; ViT and DeiT of Hugging Face; DINOv3 of Hugging Face; and mmsegmentation.
var vitFamilies = []vitNames{
	{
		class: "cls_token", registers: "reg_token", patch: "patch_embed.proj", norm: "norm", block: "blocks.%d.", normEps: 1e-5, theta: 100,
		blockNames: blockNames{
			norm1: "norm1", norm2: "norm2", joint: "attn.qkv.", proj: "attn.proj", fc1: "mlp.fc1", fc2: "mlp.fc2", gate: timmGate,
			scale1: "gamma_1", scale2: "gamma_2",
		},
	},
	{
		class: "cls_token", distillation: "dist_token", registers: "register_tokens", positions: "pos_embed",
		patch: "patch_embed.proj", norm: "norm", block: "blocks.%d.", normEps: 1e-6,
		blockNames: blockNames{
			norm1: "norm1", norm2: "norm2", joint: "attn.qkv.", proj: "attn.proj", fc1: "mlp.fc1", fc2: "mlp.fc2",
			scale1: "ls1.gamma", scale2: "ls2.gamma",
		},
	},
	{
		class: "embeddings.cls_token", registers: "embeddings.register_tokens", positions: "embeddings.position_embeddings",
		patch: "embeddings.patch_embeddings.projection", norm: "layernorm", block: "encoder.layer.%d.", normEps: 1e-6,
		blockNames: blockNames{
			norm1: "norm1", norm2: "norm2", query: "attention.attention.query", key: "attention.attention.key",
			value: "attention.attention.value", proj: "attention.output.dense", fc1: "mlp.fc1", fc2: "mlp.fc2",
			scale1: "layer_scale1.lambda1", scale2: "layer_scale2.lambda1",
		},
	},
	{
		class: "embeddings.cls_token", distillation: "embeddings.distillation_token", positions: "embeddings.position_embeddings",
		patch: "embeddings.patch_embeddings.projection", norm: "layernorm", block: "encoder.layer.%d.", normEps: 1e-12,
		blockNames: blockNames{
			norm1: "layernorm_before", norm2: "layernorm_after", query: "attention.attention.query",
			key: "attention.attention.key", value: "attention.attention.value", proj: "attention.output.dense",
			fc1: "intermediate.dense", fc2: "output.dense",
		},
	},
	{
		class: "embeddings.cls_token", registers: "embeddings.register_tokens", patch: "embeddings.patch_embeddings", norm: "norm",
		block: "layer.%d.", normEps: 1e-5, theta: 100,
		blockNames: blockNames{
			norm1: "norm1", norm2: "norm2", query: "attention.q_proj", key: "attention.k_proj", value: "attention.v_proj",
			proj: "attention.o_proj", fc1: "mlp.up_proj", fc2: "mlp.down_proj", gate: "mlp.gate_proj",
			scale1: "layer_scale1.lambda1", scale2: "layer_scale2.lambda1",
		},
	},
	{
		class: "cls_token", distillation: "dist_token", positions: "pos_embed", patch: "patch_embed.projection", norm: "ln1",
		block: "layers.%d.", normEps: 1e-6, blockNames: segmentorBlock,
	},
}

// vitIgnored are the beginnings of the names of weights that features do not need: classifiers, the token that stands for hidden
// patches in training, and the final norm, which is only used as a feature of its own.
var vitIgnored = []string{"head.", "head_dist.", "fc_norm.", "mask_token", "embeddings.mask_token", "pooler."}

// findViT returns the names of the family that the weights belong to, with the prefix in front of every one.
func findViT(weights checkpoint.Tensors) (prefix string, names vitNames, err error) {
	var found []string
	for _, f := range vitFamilies {
		for _, name := range weights.Names() {
			before, ok := strings.CutSuffix(name, f.patch+".weight")
			if !ok || before != "" && !strings.HasSuffix(before, ".") || slices.Contains(found, before) {
				continue
			}
			if weights[before+fmt.Sprintf(f.block, 0)+f.norm1+".weight"] == nil || f.theta > 0 && !f.isDINOv3(weights, before) {
				continue
			}
			found, prefix, names = append(found, before), before, f
		}
	}
	switch len(found) {
	case 0:
		return "", vitNames{}, fmt.Errorf("nets: these are not the weights of a plain vision transformer: want the names of timm, "+
			"DINOv2, DINOv3, DeiT or mmsegmentation, such as \"patch_embed.proj.weight\" and \"blocks.0.norm1.weight\"; the file holds %s",
			someNames(weights))
	case 1:
	default:
		return "", vitNames{}, fmt.Errorf("nets: the file holds %d vision transformers, under %q: save one of them alone",
			len(found), found)
	}
	const shortRegisters = "reg_token" // timm's name
	if names.registers == "register_tokens" && weights[prefix+shortRegisters] != nil {
		names.registers = shortRegisters
	}
	if weights[prefix+fmt.Sprintf(names.block, 0)+timmGated+".weight"] != nil {
		names.fc1 = timmGated
	}
	for _, packed := range packedNames {
		if weights[prefix+fmt.Sprintf(names.block, 0)+packed[0]+".weight"] != nil {
			names.fc1, names.fc2 = packed[0], packed[1]
		}
	}
	for _, p := range []*string{
		&names.class, &names.distillation, &names.registers, &names.positions, &names.patch, &names.norm, &names.block,
	} {
		if *p != "" {
			*p = prefix + *p
		}
	}
	return prefix, names, nil
}

// isDINOv3 reports whether weights with the family's names are a DINOv3's: other networks without learned positions turn by other
// angles, which weights do not show, but have no four registers, or a bias of keys.
func (f vitNames) isDINOv3(weights checkpoint.Tensors, prefix string) bool {
	block := prefix + fmt.Sprintf(f.block, 0)
	if f.joint == "" { // the names of Hugging Face are DINOv3's alone
		return true
	}
	registers := weights[prefix+f.registers]
	return registers != nil && len(registers.Shape) == 3 && registers.Shape[1] == 4 && weights[block+f.joint+"bias"] == nil &&
		weights[block+f.scale1] != nil && weights[prefix+"pos_embed"] == nil
}
