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

// SegFormerConfig describes a SegFormer (Xie et al., "SegFormer: Simple and Efficient Design for Semantic Segmentation with
// Transformers", NeurIPS 2021): the Mix Transformer, whose four stages end at strides 4, 8, 16 and 32, and a head that
// classifies the sum of linear maps of all stages at stride 4. The JSON keys are those of config.json on the Hugging Face hub.
type SegFormerConfig struct {
	// Widths and Depths are the numbers of channels and of blocks of stages 1 to 4.
	Widths []int `json:"hidden_sizes"`
	Depths []int `json:"depths"`
	// Heads are the numbers of attention heads of the stages.
	Heads []int `json:"num_attention_heads"`
	// Reductions are the factors by which the keys and values of the stages are coarser than their queries, on both sides.
	Reductions []int `json:"sr_ratios"`
	// Patches and Strides are the sizes and strides of the convolutions that begin the stages.
	Patches []int `json:"patch_sizes"`
	Strides []int `json:"strides"`
	// Activation is the function between the layers of a block; gelu in the published networks.
	Activation string `json:"hidden_act"`
	// Inputs is the number of channels of a picture, 3.
	Inputs int `json:"num_channels"`
	// Classes is the number of classes; 0 for a network without the segmentation head, whose encoder knows features only.
	Classes int `json:"-"`
	// Mean and Std are the statistics of red, green and blue in pixels scaled to 0..1. A Std of zeros stands for both of
	// ImageNet's.
	Mean [3]float64 `json:"-"`
	Std  [3]float64 `json:"-"`
	// LogitsStride is 4, the head's own stride, or 8: the means of 2×2 logits. 0 stands for 8, the stride of the other
	// encoders: at 4, a map has four times as many cells.
	LogitsStride int `json:"-"`
	// Features lists the tensors that become the features, as NAME@STRIDE separated by commas; all strides must be equal.
	// The names are stage1 to stage4 (outputs of the stages, normalised) and keys (the keys of the last attention block, as in
	// the paper on diffusion scores). Empty stands for DefaultSegFormerFeatures.
	Features string `json:"-"`
}

// DefaultSegFormerFeatures is the choice of the paper on diffusion scores: the keys of the last attention block.
const DefaultSegFormerFeatures = "keys@32"

// segFormerStrides are the strides of the stages in all published networks, relative to the stage before.
var segFormerStrides = []int{4, 2, 2, 2}

// segFormerHub is a config.json on the Hugging Face hub.
type segFormerHub struct {
	SegFormerConfig
	ModelType     string            `json:"model_type"`
	Architectures []string          `json:"architectures"`
	Labels        map[string]string `json:"id2label"`
}

const segmentationArchitecture = "SegformerForSemanticSegmentation"

// InferSegFormer reads a config.json of the Hugging Face hub, checks that it belongs to the weights, and returns the
// configuration with the names of the classes. There are no names if the network has no segmentation head, or if the file
// only numbers the classes.
func InferSegFormer(config []byte, weights checkpoint.Tensors) (SegFormerConfig, []string, error) {
	hub := segFormerHub{SegFormerConfig: SegFormerConfig{ // the defaults of the hub's library
		Widths: []int{32, 64, 160, 256}, Depths: []int{2, 2, 2, 2}, Heads: []int{1, 2, 5, 8}, Reductions: []int{8, 4, 2, 1},
		Patches: []int{7, 3, 3, 3}, Strides: slices.Clone(segFormerStrides), Activation: "gelu", Inputs: 3,
	}}
	if err := json.Unmarshal(config, &hub); err != nil {
		return SegFormerConfig{}, nil, fmt.Errorf("nets: segformer: config.json: %w", err)
	}
	cfg := hub.SegFormerConfig
	if hub.ModelType != "segformer" {
		return cfg, nil, fmt.Errorf("nets: segformer: config.json: got model_type %q, want %q", hub.ModelType, "segformer")
	}
	first := segFormerPrefix(weights) + "encoder.patch_embeddings.0.proj.weight"
	if weights[first] == nil {
		return cfg, nil, fmt.Errorf("nets: these are not the weights of a SegFormer: of its tensors %q is missing; the file "+
			"holds %s", first, someNames(weights))
	}
	head := slices.ContainsFunc(weights.Names(), func(n string) bool { return strings.HasPrefix(n, "decode_head.") })
	if !head && !slices.Contains(hub.Architectures, segmentationArchitecture) {
		return cfg, nil, cfg.Validate()
	}
	classifier, err := weights.Get("decode_head.classifier.weight", -1, -1, 1, 1)
	if err != nil {
		return cfg, nil, fmt.Errorf("nets: segformer: %w", err)
	}
	cfg.Classes = classifier.Shape[0]
	names, err := classNames(hub.Labels, cfg.Classes)
	if err != nil {
		err = fmt.Errorf("nets: segformer: %w", err)
	}
	return cfg, names, errors.Join(err, cfg.Validate())
}

// classNames returns the values of id2label in the order of the classes, or nil if they are only numbers.
func classNames(labels map[string]string, classes int) ([]string, error) {
	if len(labels) == 0 {
		return nil, nil
	}
	if len(labels) != classes {
		return nil, fmt.Errorf("config.json names %d classes (id2label), the weights have %d", len(labels), classes)
	}
	names, numbered := make([]string, classes), true
	for i := range names {
		n := strconv.Itoa(i)
		if names[i] = strings.TrimSpace(labels[n]); names[i] == "" {
			return nil, fmt.Errorf("config.json has no name for class %d of %d (id2label)", i, classes)
		}
		numbered = numbered && names[i] == "LABEL_"+n
	}
	if numbered {
		return nil, nil
	}
	return names, nil
}

// segFormerPrefix returns the beginning of the names of the encoder's weights: networks with a head have one.
func segFormerPrefix(weights checkpoint.Tensors) string {
	if weights["encoder.patch_embeddings.0.proj.weight"] != nil {
		return ""
	}
	return "segformer."
}

// Variant returns the name of the published network with these widths and depths, b0 to b5, or "".
func (c SegFormerConfig) Variant() string {
	small, large := []int{32, 64, 160, 256}, []int{64, 128, 320, 512}
	for i, v := range []struct{ widths, depths []int }{
		{small, []int{2, 2, 2, 2}},
		{large, []int{2, 2, 2, 2}},
		{large, []int{3, 4, 6, 3}},
		{large, []int{3, 4, 18, 3}},
		{large, []int{3, 8, 27, 3}},
		{large, []int{3, 6, 40, 3}},
	} {
		if slices.Equal(c.Widths, v.widths) && slices.Equal(c.Depths, v.depths) {
			return "b" + strconv.Itoa(i)
		}
	}
	return ""
}

// Stride returns the stride of the features.
func (c SegFormerConfig) Stride() int { return tapsStride(c.features()) }

// Channels returns the number of features of a token.
func (c SegFormerConfig) Channels() int { return tapsChannels(c.features(), c.tapSize) }

func (c SegFormerConfig) features() string { return cmp.Or(c.Features, DefaultSegFormerFeatures) }

// MapStride returns the stride of the logits.
func (c SegFormerConfig) MapStride() int {
	if c.LogitsStride == 0 {
		return LogitsStride
	}
	return c.LogitsStride
}

// tapSize returns the channels and the stride of a tensor that may be a feature; 0 for an unknown name.
func (c SegFormerConfig) tapSize(name string) (channels, stride int) {
	n := tapStage(name)
	if name == "keys" {
		n = 4
	}
	if n < 1 || n > len(segFormerStrides) || len(c.Widths) != len(segFormerStrides) {
		return 0, 0
	}
	return c.Widths[n-1], segFormerStride(n)
}

// segFormerStride returns the stride of a stage, from 1.
func segFormerStride(stage int) int {
	stride := 1
	for _, s := range segFormerStrides[:stage] {
		stride *= s
	}
	return stride
}

// Validate reports all faults of c at once.
func (c SegFormerConfig) Validate() error {
	var errs []error
	bad := func(field string, got any, want string) {
		errs = append(errs, fmt.Errorf("segformer.%s: got %v, want %s", field, got, want))
	}
	const most = 4096
	stages := len(segFormerStrides)
	for _, f := range []struct {
		name string
		list []int
		most int
	}{
		{"hidden_sizes", c.Widths, most},
		{"depths", c.Depths, 256},
		{"num_attention_heads", c.Heads, most},
		{"sr_ratios", c.Reductions, 8},
		{"patch_sizes", c.Patches, 31},
	} {
		if len(f.list) != stages || slices.Min(f.list) < 1 || slices.Max(f.list) > f.most {
			bad(f.name, f.list, fmt.Sprintf("four numbers from 1 to %d", f.most))
		}
	}
	if !slices.Equal(c.Strides, segFormerStrides) {
		bad("strides", c.Strides, fmt.Sprint(segFormerStrides))
	}
	if len(errs) == 0 {
		for i := range stages {
			if c.Widths[i]%c.Heads[i] != 0 {
				bad("num_attention_heads", c.Heads, fmt.Sprintf("divisors of %v", c.Widths))
			}
			if 32%(segFormerStride(i+1)*c.Reductions[i]) != 0 {
				bad("sr_ratios", c.Reductions, "at most [8 4 2 1], powers of two")
			}
			if c.Patches[i]%2 == 0 || c.Patches[i] < c.Strides[i] {
				bad("patch_sizes", c.Patches, fmt.Sprintf("odd sizes from %v", c.Strides))
			}
		}
	}
	if c.Activation != "gelu" {
		bad("hidden_act", strconv.Quote(c.Activation), "gelu")
	}
	if c.Inputs != 3 {
		bad("num_channels", c.Inputs, "3")
	}
	if c.Classes < 0 || c.Classes == 1 || c.Classes > most {
		bad("classes", c.Classes, "2 to 4096, or none")
	}
	if n := c.MapStride(); n != 4 && n != 8 {
		bad("logits_stride", n, "4 or 8")
	}
	if c.Std != [3]float64{} && !(slices.Min(c.Std[:]) > 0) {
		bad("image_std", c.Std, "positive numbers")
	}
	return errors.Join(append(errs, c.checkTaps())...)
}

func (c SegFormerConfig) checkTaps() error {
	taps, err := parseTaps(c.features())
	if err != nil {
		return err
	}
	for _, t := range taps {
		_, stride := c.tapSize(t.name)
		if t.name != "keys" && (tapStage(t.name) == 0 || tapStage(t.name) > len(segFormerStrides)) {
			return fmt.Errorf("segformer.features: got %q, want stage1 to stage4 or keys", t.name)
		}
		if stride > 0 && (t.stride%stride != 0 && stride%t.stride != 0 || t.stride > 32) {
			return fmt.Errorf("segformer.features: got %s@%d, want stride 4, 8, 16 or 32", t.name, t.stride)
		}
	}
	return nil
}
