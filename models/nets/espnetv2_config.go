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

// ESPNetV2Config describes an ESPNetv2 segmentation network (Mehta et al., "ESPNetv2: A Light-weight, Power Efficient, and General
// Purpose Convolutional Neural Network", CVPR 2019, with the decoder of the authors' EdgeNets): four stages of parallel
// dilated depthwise convolutions, and a decoder of four pyramid poolings.
type ESPNetV2Config struct {
	// Widths are the numbers of channels of stages 1 to 4, at strides 2, 4, 8 and 16.
	Widths []int
	// Depths are the numbers of blocks of stages 3 and 4 behind the one that reduces the resolution.
	Depths []int
	// DecoderWidths are the numbers of channels of decoder levels 1 to 3, at strides 16, 8 and 4.
	DecoderWidths []int
	// Classes is the number of classes.
	Classes int
	// Features lists the tensors that become the features, as NAME@STRIDE separated by commas; all strides must be equal. The
	// names are stage1 to stage4 and decoder1 to decoder3. Empty stands for DefaultESPNetV2Features.
	Features string
}

// DefaultESPNetV2Features are the deepest features of the encoder.
const DefaultESPNetV2Features = "stage4@16"

// espBranches is the number of parallel convolutions of a block.
const espBranches = 4

// InferESPNetV2 derives a network's configuration from the names and shapes of its weights.
func InferESPNetV2(weights checkpoint.Tensors) (ESPNetV2Config, error) {
	const first = "base_net.level1.conv.weight"
	cfg := ESPNetV2Config{Features: DefaultESPNetV2Features}
	fail := func(err error) (ESPNetV2Config, error) {
		return ESPNetV2Config{}, fmt.Errorf("nets: these are not the weights of an ESPNetv2 segmentation network: %s",
			strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	if weights[first] == nil {
		return fail(fmt.Errorf("of its tensors %q is missing; the file holds %s", first, someNames(weights)))
	}
	out := func(name string) int {
		if t := weights[name]; t != nil && len(t.Shape) > 0 {
			return t.Shape[0]
		}
		return 0
	}
	cfg.Widths = []int{
		out(first), out("base_net.level2_0.act.weight"), out("base_net.level3_0.act.weight"), out("base_net.level4_0.act.weight"),
	}
	for _, level := range []string{"level3", "level4"} {
		n := 0
		for weights[fmt.Sprintf("base_net.%s.%d.module_act.weight", level, n)] != nil {
			n++
		}
		cfg.Depths = append(cfg.Depths, n)
	}
	for i := range 3 {
		cfg.DecoderWidths = append(cfg.DecoderWidths, out(fmt.Sprintf("bu_dec_l%d.merge_layer.3.weight", i+1)))
	}
	cfg.Classes = out("bu_dec_l4.merge_layer.3.weight")
	if err := cfg.Validate(); err != nil {
		return fail(err)
	}
	return cfg, nil
}

// Stride returns the stride of the features.
func (c ESPNetV2Config) Stride() int { return tapsStride(c.features()) }

// Channels returns the number of features of a token.
func (c ESPNetV2Config) Channels() int { return tapsChannels(c.features(), c.tapSize) }

func (c ESPNetV2Config) features() string { return cmp.Or(c.Features, DefaultESPNetV2Features) }

// tapSize returns the channels and the stride of a tensor that may be a feature; 0 for an unknown name.
func (c ESPNetV2Config) tapSize(name string) (channels, stride int) {
	if n := tapStage(name); n > 0 && n <= len(c.Widths) {
		return c.Widths[n-1], 1 << n
	}
	for i, width := range c.DecoderWidths {
		if name == "decoder"+strconv.Itoa(i+1) {
			return width, 16 >> i
		}
	}
	return 0, 0
}

// Validate reports all faults of c at once.
func (c ESPNetV2Config) Validate() error {
	var errs []error
	bad := func(field string, got any, want string) {
		errs = append(errs, fmt.Errorf("espnetv2.%s: got %v, want %s", field, got, want))
	}
	const most = 4096
	for _, f := range []struct {
		name    string
		list    []int
		n, most int
	}{{"widths", c.Widths, 4, most}, {"depths", c.Depths, 2, 64}, {"decoder_widths", c.DecoderWidths, 3, most}} {
		if len(f.list) != f.n || slices.Min(f.list) < 1 || slices.Max(f.list) > f.most {
			bad(f.name, f.list, fmt.Sprintf("%d numbers from 1 to %d", f.n, f.most))
		}
	}
	for i, w := range c.Widths {
		// What a reducing block adds to its input is split into the branches, and so is a block.
		if w%espBranches != 0 || i > 0 && w <= c.Widths[i-1] {
			bad("widths", c.Widths, fmt.Sprintf("growing multiples of %d", espBranches))
			break
		}
	}
	if c.Classes < 2 || c.Classes > most {
		bad("classes", c.Classes, "2 to 4096")
	}
	taps, err := parseTaps(c.features())
	if err != nil {
		errs = append(errs, err)
	}
	for _, t := range taps {
		_, stride := c.tapSize(t.name)
		if stride == 0 {
			bad("features", strconv.Quote(t.name), "stage1 to stage4 or decoder1 to decoder3")
		} else if t.stride%stride != 0 && stride%t.stride != 0 || t.stride > 32 {
			bad("features", fmt.Sprintf("%s@%d", t.name, t.stride), "stride 2, 4, 8, 16 or 32")
		}
	}
	return errors.Join(errs...)
}
