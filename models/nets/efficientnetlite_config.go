package nets

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/oodcast/oodcast/models/checkpoint"
)

// EfficientNetLiteConfig describes an EfficientNet-Lite image classifier (Tan and Le, "EfficientNet: Rethinking Model
// Scaling for Convolutional Neural Networks", ICML 2019, table 1, in Google's Lite variant: no squeeze-and-excitation,
// ReLU6 instead of swish, and a stem and a head that do not scale). Seven stages of inverted bottlenecks follow a stem of
// stride 2. The features come from the ends of stages; the classifier is not used.
type EfficientNetLiteConfig struct {
	// Stem is the number of channels of the stem.
	Stem int
	// Widths, Depths and Kernels are the numbers of channels and of blocks, and the sizes of the depthwise kernels, of
	// stages 1 to 7.
	Widths, Depths, Kernels []int
	// NormEps is BatchNorm's epsilon; 0 stands for 1e-3.
	NormEps float64
	// Middle is the pixel that becomes 0, and Span the difference to the one that becomes 1; a Span of 0 stands for 127 and 128.
	Middle, Span float64
	// Features lists the tensors that become the features, as NAME@STRIDE separated by commas; all strides must be equal.
	// The names are stage1 to stage7. The strides of their outputs are 2, 4, 8, 16, 16, 32 and 32. A list with stage6 or
	// stage7 at a stride of 16 or less makes stage 6 work at stride 16: its first block does not reduce the resolution,
	// and the depthwise kernels after it are dilated by 2. Empty stands for DefaultLiteFeatures.
	Features string
}

// DefaultLiteFeatures separates best of the single stages. AP of one Gaussian on Lite2's features on RoadAnomaly21 /
// RoadObstacle21 / FS Static / RoadAnomaly: 66/76/65/58. A deeper or shallower tap, or one at stride 32, is worse.
const DefaultLiteFeatures = "stage6@16"

// liteStrides are the strides of the stages, relative to the stage before.
var liteStrides = [7]int{1, 2, 2, 2, 1, 2, 1}

// liteDilated is the first stage whose stride can be replaced by dilation, from 0.
const liteDilated = 5

// InferEfficientNetLite derives a network's configuration from the shapes of its weights: a new stage begins wherever the
// number of channels changes.
//
// Weights under timm's names get those of the PyTorch port. They are taken for one of timm's tf_efficientnet_lite0 to 4, which
// have TensorFlow's padding.
func InferEfficientNetLite(weights checkpoint.Tensors) (EfficientNetLiteConfig, error) {
	cfg := EfficientNetLiteConfig{NormEps: 1e-3, Features: DefaultLiteFeatures}
	if weights["blocks.0.0.conv_dw.weight"] != nil {
		renameLite(weights)
		cfg.Middle, cfg.Span = 127.5, 127.5
	}
	shape := func(name string) []int {
		if t := weights[name]; t != nil && len(t.Shape) == 4 {
			return t.Shape
		}
		return make([]int, 4)
	}
	cfg.Stem = shape("_conv_stem.weight")[0]
	for i := 0; ; i++ {
		block := fmt.Sprintf("_blocks.%d.", i)
		width, kernel := shape(block + "_project_conv.weight")[0], shape(block + "_depthwise_conv.weight")[3]
		if width == 0 {
			break
		}
		if n := len(cfg.Widths); n > 0 && cfg.Widths[n-1] == width {
			cfg.Depths[n-1]++
			continue
		}
		cfg.Widths, cfg.Depths, cfg.Kernels = append(cfg.Widths, width), append(cfg.Depths, 1), append(cfg.Kernels, kernel)
	}
	if err := cfg.Validate(); err != nil {
		return EfficientNetLiteConfig{}, fmt.Errorf("nets: these are not the weights of an EfficientNet-Lite: %s",
			strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	return cfg, nil
}

// Variant returns the name of the published network with these widths and depths, or "".
func (c EfficientNetLiteConfig) Variant() string {
	for i, v := range []struct{ width, blocks int }{{320, 16}, {320, 21}, {352, 21}, {384, 25}, {448, 31}} {
		blocks := 0
		for _, d := range c.Depths {
			blocks += d
		}
		if len(c.Widths) == 7 && c.Widths[6] == v.width && blocks == v.blocks {
			return "lite" + strconv.Itoa(i)
		}
	}
	return ""
}

// Stride returns the stride of the features.
func (c EfficientNetLiteConfig) Stride() int { return tapsStride(c.features()) }

// Channels returns the number of features of a token.
func (c EfficientNetLiteConfig) Channels() int { return tapsChannels(c.features(), c.tapSize) }

func (c EfficientNetLiteConfig) features() string { return cmp.Or(c.Features, DefaultLiteFeatures) }

// dilates reports whether the feature list makes stage 6 work at stride 16.
func (c EfficientNetLiteConfig) dilates() bool {
	taps, _ := parseTaps(c.features())
	return slices.ContainsFunc(taps, func(t tap) bool { return tapStage(t.name) > liteDilated && t.stride < 32 })
}

// tapStage returns the number of a stage from 1, or 0 if the name is none.
func tapStage(name string) int {
	n, err := strconv.Atoi(strings.TrimPrefix(name, "stage"))
	if err != nil || n < 1 || n > len(liteStrides) || name != "stage"+strconv.Itoa(n) {
		return 0
	}
	return n
}

// tapSize returns the channels and the stride of a tensor that may be a feature; 0 for an unknown name.
func (c EfficientNetLiteConfig) tapSize(name string) (channels, stride int) {
	n := tapStage(name)
	if n == 0 || n > len(c.Widths) {
		return 0, 0
	}
	stride = 2
	for i, s := range liteStrides[:n] {
		if i != liteDilated || !c.dilates() {
			stride *= s
		}
	}
	return c.Widths[n-1], stride
}

// Validate reports all faults of c at once.
func (c EfficientNetLiteConfig) Validate() error {
	var errs []error
	bad := func(field string, got any, want string) {
		errs = append(errs, fmt.Errorf("efficientnet_lite.%s: got %v, want %s", field, got, want))
	}
	const most = 4096
	if c.Stem < 1 || c.Stem > most {
		bad("stem", c.Stem, "1 to 4096")
	}
	for _, f := range []struct {
		name string
		list []int
		most int
	}{{"widths", c.Widths, most}, {"depths", c.Depths, 64}, {"kernels", c.Kernels, 15}} {
		if len(f.list) != len(liteStrides) || slices.Min(f.list) < 1 || slices.Max(f.list) > f.most {
			bad(f.name, f.list, fmt.Sprintf("seven numbers from 1 to %d", f.most))
		}
	}
	for _, k := range c.Kernels {
		if k%2 == 0 {
			bad("kernels", c.Kernels, "odd sizes")
			break
		}
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
		if tapStage(t.name) == 0 {
			bad("features", strconv.Quote(t.name), "stage1 to stage7")
		} else if stride > 0 && (t.stride%stride != 0 && stride%t.stride != 0 || t.stride > 32) {
			bad("features", fmt.Sprintf("%s@%d", t.name, t.stride), "stride 2, 4, 8, 16 or 32")
		}
	}
	return errors.Join(errs...)
}
