package nets

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
)

// vitHub is a config.json of a plain vision transformer on the Hugging Face hub.
type vitHub struct {
	ModelType  string          `json:"model_type"`
	Width      int             `json:"hidden_size"`
	Depth      int             `json:"num_hidden_layers"`
	Heads      int             `json:"num_attention_heads"`
	Patch      json.RawMessage `json:"patch_size"` // a number or two
	NormEps    float64         `json:"layer_norm_eps"`
	Theta      float64         `json:"rope_theta"`
	Activation string          `json:"hidden_act"`
	Inputs     int             `json:"num_channels"`
}

// The values of model_type in a config.json.
const (
	hubViT           = "vit"
	hubDeiT          = "deit"
	hubDINOv2        = "dinov2"
	hubWithRegisters = "dinov2_with_registers"
	hubDINOv3        = "dinov3_vit"
)

// WithHub returns c with what a config.json of the Hugging Face hub states in addition to the weights: attention heads, epsilon,
// the activation and the base of rotary positions. It is an error if the file does not describe the network.
func (c ViTConfig) WithHub(config []byte) (ViTConfig, error) {
	wrong := func(err error) (ViTConfig, error) { return c, fmt.Errorf("nets: vit: config.json: %w", err) }
	hub := vitHub{Width: c.Width, Depth: c.Depth, Heads: c.Heads, NormEps: c.NormEps, Theta: c.Theta, Activation: actGELU, Inputs: 3}
	if err := json.Unmarshal(config, &hub); err != nil {
		return wrong(err)
	}
	rotary := false
	switch hub.ModelType {
	case hubViT, hubDeiT, hubDINOv2, hubWithRegisters:
	case hubDINOv3:
		rotary = true
	default:
		return wrong(fmt.Errorf("got model_type %q, want %s, %s, %s, %s or %s", hub.ModelType, hubViT, hubDeiT, hubDINOv2, hubWithRegisters, hubDINOv3))
	}
	patch := c.Patch
	if len(hub.Patch) > 0 {
		var sides []int
		if json.Unmarshal(hub.Patch, &patch) != nil && json.Unmarshal(hub.Patch, &sides) == nil && len(sides) == 2 && sides[0] == sides[1] {
			patch = sides[0]
		}
	}
	var errs []error
	for _, f := range []struct {
		key       string
		got, want int
	}{
		{"hidden_size", hub.Width, c.Width},
		{"num_hidden_layers", hub.Depth, c.Depth},
		{"patch_size", patch, c.Patch},
		{"num_channels", hub.Inputs, 3},
	} {
		if f.got != f.want {
			errs = append(errs, fmt.Errorf("%s: got %d, the weights have %d", f.key, f.got, f.want))
		}
	}
	if rotary != (c.Theta > 0) {
		errs = append(errs, fmt.Errorf("model_type: got %q, whose names the weights do not have", hub.ModelType))
	}
	if hub.Activation != actGELU && (!rotary || hub.Activation != actSiLU) {
		errs = append(errs, fmt.Errorf("hidden_act: got %s, want gelu, or silu in %s", strconv.Quote(hub.Activation), hubDINOv3))
	}
	if len(errs) > 0 {
		return wrong(errors.Join(errs...))
	}
	if c.Heads, c.NormEps = hub.Heads, hub.NormEps; rotary {
		c.Theta, c.Activation = hub.Theta, hub.Activation // the gate of DINOv2 g is silu, whatever its file states
	}
	if err := c.Validate(); err != nil {
		return wrong(err)
	}
	return c, nil
}

// Rotary reports whether the network is a DINOv3, whose positions are rotary.
func (c ViTConfig) Rotary() bool { return c.Theta > 0 }
