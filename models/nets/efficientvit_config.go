package nets

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/oodcast/oodcast/models/checkpoint"
)

// EfficientViTConfig describes an EfficientViT segmentation network (Cai et al., "EfficientViT: Multi-Scale Linear
// Attention for High-Resolution Dense Prediction", ICCV 2023): a stem, two convolutional stages, two stages with linear
// attention, and a head that sums three stages at stride 8.
type EfficientViTConfig struct {
	// Widths are the numbers of channels of the stem and of stages 1 to 4, at strides 2, 4, 8, 16 and 32.
	Widths []int `yaml:"widths" json:"widths"`
	// Depths are the numbers of residual blocks in the stem, of blocks in stages 1 and 2, and of attention blocks in stages
	// 3 and 4.
	Depths []int `yaml:"depths" json:"depths"`
	// Dim is the number of channels of an attention head.
	Dim int `yaml:"dim" json:"dim"`
	// HeadWidth and HeadDepth are the numbers of channels and of blocks of the segmentation head.
	HeadWidth int `yaml:"head_width" json:"head_width"`
	HeadDepth int `yaml:"head_depth" json:"head_depth"`
	// Classes is the number of classes.
	Classes int `yaml:"classes" json:"classes"`
	// Upsample is how the head enlarges: bicubic (in the published networks) or bilinear.
	Upsample string `yaml:"upsample" json:"upsample"`
	// NormEps is BatchNorm's epsilon; 0 stands for 1e-5.
	NormEps float64 `yaml:"norm_eps" json:"norm_eps"`
	// Features lists the tensors that become the features, as NAME@STRIDE separated by commas; all strides must be equal.
	// The names are stage1 to stage4 (outputs of the stages), head (before the classifier) and keys (the keys of the last
	// attention block). Empty stands for DefaultFeatures.
	Features string `yaml:"features" json:"features"`
}

// DefaultFeatures separates best for its cost. AP of one Gaussian on B0 on RoadAnomaly21 / RoadObstacle21 / FS Static:
// head+stage3 51.7/19.6/5.6 with 96 channels, head+stage4 47.2/9.7/5.6 with 160.
const DefaultFeatures = "head@16,stage3@16"

// LogitsStride is the stride of an EfficientViT head.
const LogitsStride = 8

// InferEfficientViT derives a network's configuration from the shapes of its weights. Fields that shapes do not determine
// (Upsample, NormEps, Features) are those of the published networks.
func InferEfficientViT(weights checkpoint.Tensors) (EfficientViTConfig, error) {
	cfg := EfficientViTConfig{Upsample: "bicubic", NormEps: 1e-5, Features: DefaultFeatures}
	dim := func(name string, axis int) int {
		if t := weights[name]; t != nil && len(t.Shape) > axis {
			return t.Shape[axis]
		}
		return 0
	}
	count := func(format string) int {
		n := 0
		for weights[fmt.Sprintf(format, n)] != nil {
			n++
		}
		return n
	}
	const first = "backbone.input_stem.op_list.0.conv.weight"
	if weights[first] == nil {
		return EfficientViTConfig{}, fmt.Errorf("nets: these are not the weights of an EfficientViT segmentation "+
			"network: of its tensors %q is missing; the file holds %s", first, someNames(weights))
	}
	cfg.Widths = []int{dim(first, 0)}
	cfg.Depths = []int{0}
	for weights[fmt.Sprintf("backbone.input_stem.op_list.%d.main.point_conv.conv.weight", cfg.Depths[0]+1)] != nil {
		cfg.Depths[0]++
	}
	for s := range 4 {
		stage := fmt.Sprintf("backbone.stages.%d.op_list.", s)
		cfg.Widths = append(cfg.Widths, dim(stage+"0.main.point_conv.conv.weight", 0))
		n := count(stage + "%d.main.point_conv.conv.weight")
		if s >= 2 {
			n = 0
			for weights[fmt.Sprintf("%s%d.context_module.main.qkv.conv.weight", stage, n+1)] != nil {
				n++
			}
		}
		cfg.Depths = append(cfg.Depths, n)
	}
	cfg.Dim = dim("backbone.stages.3.op_list.1.context_module.main.aggreg.0.1.weight", 1)
	cfg.HeadWidth = dim("head.input_ops.2.conv.weight", 0)
	cfg.HeadDepth = count("head.middle.op_list.%d.main.point_conv.conv.weight")
	cfg.Classes = dim("head.output_ops.0.op_list.1.conv.weight", 0)
	if err := cfg.Validate(); err != nil {
		return EfficientViTConfig{}, fmt.Errorf("nets: these are not the weights of an EfficientViT segmentation "+
			"network: %s", strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	return cfg, nil
}

// someNames lists the names of tensors for a message.
func someNames(weights checkpoint.Tensors) string {
	const most = 3
	names := slices.Sorted(maps.Keys(weights))
	if len(names) <= most {
		return fmt.Sprintf("%q", names)
	}
	return fmt.Sprintf("%q and %d more", names[:most], len(names)-most)
}

// WithMeta returns c with the fields that a checkpoint states in addition to its weights, under the JSON keys of
// EfficientViTConfig; other keys are ignored.
func (c EfficientViTConfig) WithMeta(config any) (EfficientViTConfig, error) {
	raw, err := json.Marshal(config)
	if err != nil {
		return c, fmt.Errorf("nets: efficientvit: config in the checkpoint: %w", err)
	}
	if err := json.Unmarshal(raw, &c); err != nil {
		return c, fmt.Errorf("nets: efficientvit: config in the checkpoint: %w", err)
	}
	return c, c.Validate()
}

// Stride returns the stride of the features.
func (c EfficientViTConfig) Stride() int { return tapsStride(c.features()) }

// Channels returns the number of features of a token.
func (c EfficientViTConfig) Channels() int { return tapsChannels(c.features(), c.tapSize) }

func (c EfficientViTConfig) features() string { return cmp.Or(c.Features, DefaultFeatures) }

// tapSize returns the channels and the stride of a tensor that may be a feature; 0 for an unknown name.
func (c EfficientViTConfig) tapSize(name string) (channels, stride int) {
	switch name {
	case "stage1", "stage2", "stage3", "stage4":
		i := int(name[5] - '0')
		if i >= len(c.Widths) {
			return 0, 0
		}
		return c.Widths[i], 2 << i
	case "head":
		return c.HeadWidth, LogitsStride
	case "keys":
		if len(c.Widths) < 5 {
			return 0, 0
		}
		return c.Widths[4], 32
	}
	return 0, 0
}

// Validate reports all faults of c at once.
func (c EfficientViTConfig) Validate() error {
	var errs []error
	bad := func(field string, got any, want string) {
		errs = append(errs, fmt.Errorf("efficientvit.%s: got %v, want %s", field, got, want))
	}
	const most = 4096
	if len(c.Widths) != 5 || slices.Min(c.Widths) < 1 || slices.Max(c.Widths) > most {
		bad("widths", c.Widths, "five numbers from 1 to 4096")
	}
	if len(c.Depths) != 5 || slices.Min(c.Depths) < 0 || slices.Max(c.Depths) > 64 || slices.Min(c.Depths[1:]) < 1 {
		bad("depths", c.Depths, "five numbers up to 64, all but the first at least 1")
	}
	if c.Dim < 1 {
		bad("dim", c.Dim, "1 or more")
	} else if len(c.Widths) == 5 && (c.Widths[3]%c.Dim != 0 || c.Widths[4]%c.Dim != 0) {
		bad("dim", c.Dim, fmt.Sprintf("a divisor of the widths %v of stages 3 and 4", c.Widths[3:]))
	}
	if c.HeadWidth < 1 || c.HeadWidth > most {
		bad("head_width", c.HeadWidth, "1 to 4096")
	}
	if c.HeadDepth < 0 || c.HeadDepth > 64 {
		bad("head_depth", c.HeadDepth, "0 to 64")
	}
	if c.Classes < 2 || c.Classes > most {
		bad("classes", c.Classes, "2 to 4096")
	}
	if c.Upsample != "bicubic" && c.Upsample != "bilinear" {
		bad("upsample", strconv.Quote(c.Upsample), "bicubic or bilinear")
	}
	if !(c.NormEps >= 0 && c.NormEps < 1) {
		bad("norm_eps", c.NormEps, "0 to 1")
	}
	taps, err := parseTaps(c.features())
	if err != nil {
		errs = append(errs, err)
	}
	for _, t := range taps {
		_, stride := c.tapSize(t.name)
		if stride == 0 {
			bad("features", strconv.Quote(t.name), "stage1, stage2, stage3, stage4, head or keys")
		} else if t.stride%stride != 0 && stride%t.stride != 0 || t.stride > 32 {
			bad("features", fmt.Sprintf("%s@%d", t.name, t.stride), "stride 4, 8, 16 or 32")
		}
	}
	return errors.Join(errs...)
}
