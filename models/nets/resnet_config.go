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

// ResNetConfig describes a residual network (He et al., "Deep Residual Learning for Image Recognition", CVPR 2016), as
// torchvision and timm compute it: with stride 2 in the 3×3 convolution of a bottleneck. Wider networks and ResNeXt differ in
// the shapes of their weights alone. Four stages follow a stem of stride 4. The features come from the ends of stages; the
// classifier is not used.
type ResNetConfig struct {
	// Widths and Depths are the numbers of channels at the ends of stages 1 to 4, and of their blocks.
	Widths, Depths []int
	// Bottleneck is whether a block has three convolutions and not two.
	Bottleneck bool
	// NormEps is BatchNorm's epsilon; 0 stands for 1e-5.
	NormEps float64
	// Features lists the tensors that become the features, as NAME@STRIDE separated by commas; all strides must be equal.
	// The names are stage1 to stage4. The strides of their outputs are 4, 8, 16 and 32. A list with stage 4 at a stride of 16
	// or 8 makes it work there, and so does one with stage 3 at stride 8: blocks do not reduce the resolution, and the kernels
	// after them are dilated. Empty stands for DefaultResNetFeatures.
	Features string
	// prefix begins the names of the weights.
	prefix string
}

// DefaultResNetFeatures is the deepest stage whose channels are not specialised in the classes of ImageNet.
const DefaultResNetFeatures = "stage3@16"

// resNetStages is the number of stages.
const resNetStages = 4

// InferResNet derives a network's configuration from the names and shapes of its weights. They may be those of a larger network
// whose encoder is a ResNet, such as DeepLabV3's: then they share a prefix.
func InferResNet(weights checkpoint.Tensors) (ResNetConfig, error) {
	const first = "layer1.0.conv1.weight"
	cfg := ResNetConfig{NormEps: 1e-5, Features: DefaultResNetFeatures, prefix: "?"}
	for _, name := range weights.Names() {
		if prefix, ok := strings.CutSuffix(name, first); ok && (cfg.prefix == "?" || len(prefix) < len(cfg.prefix)) {
			cfg.prefix = prefix
		}
	}
	fail := func(err error) (ResNetConfig, error) {
		return ResNetConfig{}, fmt.Errorf("nets: these are not the weights of a ResNet: %s", strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	if cfg.prefix == "?" {
		return fail(fmt.Errorf("of its tensors %q is missing; the file holds %s", first, someNames(weights)))
	}
	if weights[cfg.prefix+"conv1.0.weight"] != nil {
		return fail(errors.New("its stem has three convolutions (ResNet-D), which is not supported: export it to ONNX"))
	}
	cfg.Bottleneck = weights[cfg.prefix+"layer1.0.conv3.weight"] != nil
	last := "conv2.weight"
	if cfg.Bottleneck {
		last = "conv3.weight"
	}
	for s := range resNetStages {
		depth, width := 0, 0
		for {
			t := weights[fmt.Sprintf("%slayer%d.%d.%s", cfg.prefix, s+1, depth, last)]
			if t == nil || len(t.Shape) != 4 {
				break
			}
			depth, width = depth+1, t.Shape[0]
		}
		cfg.Depths, cfg.Widths = append(cfg.Depths, depth), append(cfg.Widths, width)
	}
	if err := cfg.Validate(); err != nil {
		return fail(err)
	}
	return cfg, nil
}

// Variant returns the name of the published network with these depths, such as resnet50, or "".
func (c ResNetConfig) Variant() string {
	for _, v := range []struct {
		layers     int
		bottleneck bool
		depths     []int
	}{
		{18, false, []int{2, 2, 2, 2}},
		{34, false, []int{3, 4, 6, 3}},
		{50, true, []int{3, 4, 6, 3}},
		{101, true, []int{3, 4, 23, 3}},
		{152, true, []int{3, 8, 36, 3}},
	} {
		if c.Bottleneck == v.bottleneck && slices.Equal(c.Depths, v.depths) {
			return "resnet" + strconv.Itoa(v.layers)
		}
	}
	return ""
}

// Stride returns the stride of the features.
func (c ResNetConfig) Stride() int { return tapsStride(c.features()) }

// Channels returns the number of features of a token.
func (c ResNetConfig) Channels() int { return tapsChannels(c.features(), c.tapSize) }

func (c ResNetConfig) features() string { return cmp.Or(c.Features, DefaultResNetFeatures) }

// outputStride returns the stride that no stage exceeds: 32, or less where the feature list asks for dilation.
func (c ResNetConfig) outputStride() int {
	stride := 32
	taps, _ := parseTaps(c.features())
	for _, t := range taps {
		switch n := c.tapStage(t.name); {
		case n == 4:
			stride = min(stride, max(t.stride, 8))
		case n == 3 && t.stride <= 8:
			stride = 8
		}
	}
	return stride
}

// tapStage returns the number of a stage from 1, or 0 if the name is none.
func (c ResNetConfig) tapStage(name string) int {
	if n := tapStage(name); n <= resNetStages {
		return n
	}
	return 0
}

// tapSize returns the channels and the stride of a tensor that may be a feature; 0 for an unknown name.
func (c ResNetConfig) tapSize(name string) (channels, stride int) {
	n := c.tapStage(name)
	if n == 0 || n > len(c.Widths) {
		return 0, 0
	}
	return c.Widths[n-1], min(2<<n, c.outputStride())
}

// Validate reports all faults of c at once.
func (c ResNetConfig) Validate() error {
	var errs []error
	bad := func(field string, got any, want string) {
		errs = append(errs, fmt.Errorf("resnet.%s: got %v, want %s", field, got, want))
	}
	for _, f := range []struct {
		name string
		list []int
		most int
	}{{"widths", c.Widths, 8192}, {"depths", c.Depths, 128}} {
		if len(f.list) != resNetStages || slices.Min(f.list) < 1 || slices.Max(f.list) > f.most {
			bad(f.name, f.list, fmt.Sprintf("four numbers from 1 to %d", f.most))
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
		if c.tapStage(t.name) == 0 {
			bad("features", strconv.Quote(t.name), "stage1 to stage4")
		} else if stride > 0 && (t.stride%stride != 0 && stride%t.stride != 0 || t.stride > 32) {
			bad("features", fmt.Sprintf("%s@%d", t.name, t.stride), "stride 4, 8, 16 or 32")
		}
	}
	return errors.Join(errs...)
}
