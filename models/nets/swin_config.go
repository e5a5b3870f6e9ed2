package nets

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
)

// SwinConfig describes a Swin transformer (Liu et al., "Swin Transformer: Hierarchical Vision Transformer using Shifted
// Windows", ICCV 2021): four stages that end at strides 4, 8, 16 and 32, each twice as wide as the one before. The JSON keys
// are those of a backbone in config.json on the Hugging Face hub.
type SwinConfig struct {
	Type string `json:"model_type"`
	// Width is the number of channels of the first stage.
	Width int `json:"embed_dim"`
	// Depths and Heads are the numbers of blocks and of attention heads of the stages.
	Depths []int `json:"depths"`
	Heads  []int `json:"num_heads"`
	// Window is the side of the squares inside which tokens attend to one another, in tokens.
	Window int `json:"window_size"`
	// Patch is the side of a patch in pixels, 4.
	Patch int `json:"patch_size"`
	// Ratio is the width of a block's perceptron, in widths of its stage.
	Ratio      float64 `json:"mlp_ratio"`
	Activation string  `json:"hidden_act"`
	NormEps    float64 `json:"layer_norm_eps"`
	// Absolute networks add learned positions to the patches. None of the published networks does.
	Absolute bool `json:"use_absolute_embeddings"`
	// Inputs is the number of channels of a picture, 3.
	Inputs int `json:"num_channels"`
}

// swinStages is the number of stages.
const swinStages = 4

// width returns the number of channels of a stage, from 1.
func (c SwinConfig) width(stage int) int { return c.Width << (stage - 1) }

// swinStride returns the stride of a stage, from 1.
func swinStride(stage int) int { return 2 << stage }

// validate reports all faults of c at once.
func (c SwinConfig) validate() error {
	var errs []error
	bad := func(field string, got any, want string) {
		errs = append(errs, fmt.Errorf("mask2former.backbone_config.%s: got %v, want %s", field, got, want))
	}
	if c.Type != "swin" {
		bad("model_type", strconv.Quote(c.Type), "swin")
	}
	if c.Width < 1 || c.Width > 1024 {
		bad("embed_dim", c.Width, "1 to 1024")
	}
	for name, list := range map[string][]int{"depths": c.Depths, "num_heads": c.Heads} {
		if len(list) != swinStages || slices.Min(list) < 1 || slices.Max(list) > 256 {
			bad(name, list, "four numbers from 1 to 256")
		}
	}
	if len(c.Heads) == swinStages && slices.Min(c.Heads) > 0 {
		for i, heads := range c.Heads {
			if width := c.width(i + 1); width%heads != 0 {
				bad("num_heads", c.Heads, fmt.Sprintf("%d heads to divide %d channels", heads, width))
			}
		}
	}
	if c.Window < 2 || c.Window > 32 {
		bad("window_size", c.Window, "2 to 32")
	}
	if !(c.Ratio >= 0.25 && c.Ratio <= 16) {
		bad("mlp_ratio", c.Ratio, "0.25 to 16")
	}
	if c.Activation != "gelu" {
		bad("hidden_act", strconv.Quote(c.Activation), "gelu")
	}
	if !(c.NormEps > 0 && c.NormEps < 1) {
		bad("layer_norm_eps", c.NormEps, "more than 0 and less than 1")
	}
	if c.Patch != swinStride(1) || c.Inputs != 3 || c.Absolute {
		bad("patch_size, num_channels, use_absolute_embeddings", fmt.Sprint(c.Patch, ", ", c.Inputs, ", ", c.Absolute), "4, 3, false")
	}
	return errors.Join(errs...)
}
