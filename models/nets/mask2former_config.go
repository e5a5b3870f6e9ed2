package nets

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/oodcast/oodcast/models/checkpoint"
)

// Mask2FormerConfig describes a Mask2Former (Cheng et al., "Masked-attention Mask Transformer for Universal Image
// Segmentation", CVPR 2022) on a Swin transformer. The JSON keys are those of config.json on the Hugging Face hub.
type Mask2FormerConfig struct {
	Backbone SwinConfig `json:"backbone_config"`
	// PixelWidth, PixelLayers and PixelHidden are the channels, the layers and the width of the perceptrons of the pixel decoder.
	PixelWidth  int `json:"feature_size"`
	PixelLayers int `json:"encoder_layers"`
	PixelHidden int `json:"encoder_feedforward_dim"`
	// MaskWidth is the number of channels of the product of queries and pixels that makes masks.
	MaskWidth int `json:"mask_feature_size"`
	// Width and Hidden are the channels and the width of the perceptrons of the transformer decoder, which has one layer less
	// than Layers says.
	Width  int `json:"hidden_dim"`
	Hidden int `json:"dim_feedforward"`
	Layers int `json:"decoder_layers"`
	// Heads is the number of attention heads of both decoders.
	Heads   int `json:"num_attention_heads"`
	Queries int `json:"num_queries"`
	// Project adds a linear map between the decoders even if they have the same width.
	Project bool `json:"enforce_input_projection"`
	// PreNorm, Activation, Common and Strides are what all published networks have: false, relu, 4 and [4 8 16 32].
	PreNorm    bool   `json:"pre_norm"`
	Activation string `json:"activation_function"`
	Common     int    `json:"common_stride"`
	Strides    []int  `json:"feature_strides"`
	// Classes is the number of classes without "no object".
	Classes int `json:"-"`
	// Mean and Std are the statistics of red, green and blue in pixels scaled to 0..1. A Std of zeros stands for both of
	// ImageNet's.
	Mean [3]float64 `json:"-"`
	Std  [3]float64 `json:"-"`
	// Features lists the tensors that become the features, as NAME@STRIDE separated by commas; all strides must be equal.
	// The names are stage1 to stage4 (outputs of the backbone, normalised), pixel1 to pixel4 (outputs of the pixel decoder at
	// the strides of the stages) and masks (what the masks are products with, at stride 4). Empty stands for
	// DefaultMask2FormerFeatures.
	Features string `json:"-"`
}

// DefaultMask2FormerFeatures is the middle one of the three pictures that the transformer decoder attends to.
const DefaultMask2FormerFeatures = "pixel3@16"

// The sizes that no configuration states.
const (
	mask2FormerLevels = 3  // pictures that attention samples
	mask2FormerPoints = 4  // samples per head and picture
	mask2FormerGroups = 32 // of GroupNorm
)

// mask2FormerHub is a config.json on the Hugging Face hub.
type mask2FormerHub struct {
	Mask2FormerConfig
	Labels map[string]string `json:"id2label"`
}

// The first weights of a network and its classifier.
const (
	mask2FormerBackbone = "model.pixel_level_module.encoder."
	mask2FormerClasses  = "class_predictor"
)

// InferMask2Former reads a config.json of the Hugging Face hub, checks that it belongs to the weights, and returns the
// configuration with the names of the classes. There are no names if the file only numbers the classes.
func InferMask2Former(config []byte, weights checkpoint.Tensors) (Mask2FormerConfig, []string, error) {
	hub := mask2FormerHub{Mask2FormerConfig: Mask2FormerConfig{ // the defaults of the hub's library
		Backbone: SwinConfig{
			Type: "swin", Width: 96, Depths: []int{2, 2, 18, 2}, Heads: []int{3, 6, 12, 24}, Window: 7, Patch: 4, Ratio: 4,
			Activation: "gelu", NormEps: 1e-5, Inputs: 3,
		},
		PixelWidth: 256, PixelLayers: 6, PixelHidden: 1024, MaskWidth: 256, Width: 256, Hidden: 2048, Layers: 10, Heads: 8,
		Queries: 100, Activation: "relu", Common: 4, Strides: []int{4, 8, 16, 32},
	}}
	fail := func(err error) (Mask2FormerConfig, []string, error) {
		return hub.Mask2FormerConfig, nil, fmt.Errorf("nets: mask2former: %w", err)
	}
	var kind struct { // before the rest, which other networks have in other forms
		ModelType string `json:"model_type"`
	}
	if err := json.Unmarshal(config, &kind); err != nil {
		return fail(fmt.Errorf("config.json: %w", err))
	}
	if kind.ModelType != "mask2former" {
		return fail(fmt.Errorf("config.json: got model_type %q, want %q", kind.ModelType, "mask2former"))
	}
	if err := json.Unmarshal(config, &hub); err != nil {
		return fail(fmt.Errorf("config.json: %w", err))
	}
	first := mask2FormerBackbone + "embeddings.patch_embeddings.projection.weight"
	if weights[first] == nil {
		return fail(fmt.Errorf("these are not the weights of a Mask2Former on a Swin transformer: of its tensors %q is missing; "+
			"the file holds %s", first, someNames(weights)))
	}
	classifier, err := weights.Get(mask2FormerClasses+".weight", -1, -1)
	if err != nil {
		return fail(err)
	}
	cfg := hub.Mask2FormerConfig
	cfg.Classes = classifier.Shape[0] - 1
	names, err := classNames(hub.Labels, cfg.Classes)
	if err != nil {
		return fail(err)
	}
	return cfg, names, cfg.Validate()
}

// Variant returns the name of the published network with this backbone, such as swin-t, or "".
func (c Mask2FormerConfig) Variant() string {
	b := c.Backbone
	for _, v := range []struct {
		name          string
		width, blocks int
	}{{"swin-t", 96, 6}, {"swin-s", 96, 18}, {"swin-b", 128, 18}, {"swin-l", 192, 18}} {
		if b.Width == v.width && slices.Equal(b.Depths, []int{2, 2, v.blocks, 2}) {
			return v.name
		}
	}
	return ""
}

// MapStride returns the stride of the masks and so of the logits.
func (c Mask2FormerConfig) MapStride() int { return swinStride(1) }

// Stride returns the stride of the features.
func (c Mask2FormerConfig) Stride() int { return tapsStride(c.features()) }

// Channels returns the number of features of a token.
func (c Mask2FormerConfig) Channels() int { return tapsChannels(c.features(), c.tapSize) }

func (c Mask2FormerConfig) features() string { return cmp.Or(c.Features, DefaultMask2FormerFeatures) }

// tapSize returns the channels and the stride of a tensor that may be a feature; 0 for an unknown name.
func (c Mask2FormerConfig) tapSize(name string) (channels, stride int) {
	if name == "masks" {
		return c.MaskWidth, swinStride(1)
	}
	kind := strings.TrimRight(name, "1234")
	n, err := strconv.Atoi(strings.TrimPrefix(name, kind))
	if err != nil || n < 1 || n > swinStages {
		return 0, 0
	}
	switch kind {
	case "stage":
		return c.Backbone.width(n), swinStride(n)
	case "pixel":
		return c.PixelWidth, swinStride(n)
	}
	return 0, 0
}

// Validate reports all faults of c at once.
func (c Mask2FormerConfig) Validate() error {
	var errs []error
	bad := func(field string, got any, want string) {
		errs = append(errs, fmt.Errorf("mask2former.%s: got %v, want %s", field, got, want))
	}
	const most = 4096
	for _, f := range []struct {
		name       string
		got        int
		most, unit int
	}{
		{"feature_size", c.PixelWidth, most, mask2FormerGroups},
		{"encoder_layers", c.PixelLayers, 64, 1},
		{"encoder_feedforward_dim", c.PixelHidden, 4 * most, 1},
		{"mask_feature_size", c.MaskWidth, most, 1},
		{"hidden_dim", c.Width, most, 4},
		{"dim_feedforward", c.Hidden, 4 * most, 1},
		{"decoder_layers", c.Layers, 64, 1},
		{"num_queries", c.Queries, most, 1},
		{"classes", c.Classes, most, 1},
	} {
		if f.got < 1 || f.got > f.most || f.got%f.unit != 0 {
			bad(f.name, f.got, fmt.Sprintf("a multiple of %d up to %d", f.unit, f.most))
		}
	}
	if c.Heads < 1 || c.PixelWidth%max(1, c.Heads) != 0 || c.Width%max(1, c.Heads) != 0 {
		bad("num_attention_heads", c.Heads, fmt.Sprintf("a divisor of %d and %d", c.PixelWidth, c.Width))
	}
	if c.PreNorm {
		bad("pre_norm", c.PreNorm, "false")
	}
	if c.Activation != "relu" {
		bad("activation_function", strconv.Quote(c.Activation), "relu")
	}
	if c.Common != swinStride(1) {
		bad("common_stride", c.Common, strconv.Itoa(swinStride(1)))
	}
	if want := []int{4, 8, 16, 32}; !slices.Equal(c.Strides, want) {
		bad("feature_strides", c.Strides, fmt.Sprint(want))
	}
	if c.Std != [3]float64{} && !(slices.Min(c.Std[:]) > 0) {
		bad("image_std", c.Std, "positive numbers")
	}
	return errors.Join(append(errs, c.Backbone.validate(), c.checkTaps())...)
}

func (c Mask2FormerConfig) checkTaps() error {
	taps, err := parseTaps(c.features())
	if err != nil {
		return err
	}
	for _, t := range taps {
		_, stride := c.tapSize(t.name)
		if stride == 0 {
			return fmt.Errorf("mask2former.features: got %q, want stage1 to stage4, pixel1 to pixel4 or masks", t.name)
		}
		if t.stride%stride != 0 && stride%t.stride != 0 || t.stride < 4 || t.stride > 32 {
			return fmt.Errorf("mask2former.features: got %s@%d, want stride 4, 8, 16 or 32", t.name, t.stride)
		}
	}
	return nil
}
