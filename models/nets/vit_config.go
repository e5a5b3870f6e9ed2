package nets

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/oodcast/oodcast/models/checkpoint"
)

// ViTConfig describes a plain vision transformer (Dosovitskiy et al., "An Image is Worth 16x16 Words", ICLR 2021): the square
// patches of a picture become tokens, to which learned positions are added; pre-norm blocks of attention and a perceptron
// with GELU follow. DeiT adds a second class token, DINOv2 a scale behind every layer (LayerScale), registers: tokens without a
// place, and in its largest size a gate in the perceptrons. DINOv3 turns queries and keys by the place of their patch in the
// place of learned positions. [InferViT] fills it in.
type ViTConfig struct {
	// Patch is the side length of a patch in pixels, and so the stride of the tokens.
	Patch int
	// Width is the number of channels of a token, Depth the number of blocks, Heads that of attention heads.
	Width, Depth, Heads int
	// Prefix is the number of tokens in front of those of the patches: class tokens and registers.
	Prefix int
	// Registers is how many of them are registers.
	Registers int
	// Grid is the side length of the square of learned positions, in patches. Other grids are resampled from it. 0 with Theta.
	Grid int
	// Theta is the base of rotary positions (Su et al., "RoFormer", 2021), which turn queries and keys by angles of the place of a
	// patch, in DINOv3's form; 0 where positions are learned.
	Theta float64
	// Activation is the function of the perceptrons: gelu, or silu as in the gate of DINOv2 g (SwiGLU).
	Activation string
	// Resample is how: bicubic, bilinear, or antialiased (bicubic, averaged where it shrinks). These are PyTorch's
	// interpolations. DINOv2 with registers and timm have the last one; DINOv2 without registers, whose files hold a mask
	// token, and Hugging Face's DeiT have the first.
	Resample string
	// NormEps is LayerNorm's epsilon.
	NormEps float64
	// Mean and Std are the statistics of red, green and blue, for pixels scaled to 0..1.
	Mean, Std [3]float64
	// Features lists the tensors that become the features, as NAME@STRIDE separated by commas; all strides must be equal. The
	// names are blockN.keys, blockN.queries, blockN.values and blockN.tokens (the block's output), N from 0, and norm: the
	// tokens of the last block after the final norm.
	Features string
	// Head is the segmentation head: "" for none, ViTSegmenter or ViTNaive.
	Head string
	// Classes is the number of classes of the head.
	Classes int
	// HeadHeads is the number of attention heads of ViTSegmenter's decoder.
	HeadHeads int

	prefix string // in front of the names of all weights
	names  vitNames
}

// The values of ViTConfig.Head.
const (
	// ViTSegmenter is the mask transformer of Strudel et al., "Segmenter", ICCV 2021: class tokens join those of the patches in
	// one more block, and a logit is the cosine between patch and class, normalised over the classes.
	ViTSegmenter = "segmenter"
	// ViTNaive is the naive head of Zheng et al., "SETR", CVPR 2021: two convolutions 1×1 with an enlargement by 4 between them.
	ViTNaive = "setr-naive"
)

// The values of ViTConfig.Resample.
const (
	resampleBicubic     = "bicubic"
	resampleBilinear    = "bilinear"
	resampleAntialiased = "antialiased"
)

// The values of ViTConfig.Activation.
const (
	actGELU = "gelu" // the exact form
	actSiLU = "silu"
)

// vitHead is the number of channels of an attention head in all published networks.
const vitHead = 64

// InferViT derives a network's configuration from the names and shapes of its weights. Weights do not reveal the number of
// heads; it is Width/64, as in all published networks.
func InferViT(weights checkpoint.Tensors) (ViTConfig, error) {
	prefix, names, err := findViT(weights)
	if err != nil {
		return ViTConfig{}, err
	}
	c := ViTConfig{prefix: prefix, names: names, NormEps: names.normEps, Mean: imageMean, Std: imageStd, Resample: resampleBicubic}
	patch, err := weights.Get(names.patch+".weight", -1, 3, -1, -1)
	if err != nil {
		return ViTConfig{}, fmt.Errorf("nets: vit: %w", err)
	}
	c.Width, c.Patch = patch.Shape[0], patch.Shape[2]
	c.Heads = max(1, c.Width/vitHead)
	for weights[c.blockName(c.Depth)+names.norm1+".weight"] != nil {
		c.Depth++
	}
	c.Theta, c.Activation = names.theta, actGELU
	if c.gated(weights) {
		c.Activation = actSiLU
	}
	if err := c.inferTokens(weights); err != nil {
		return ViTConfig{}, fmt.Errorf("nets: vit: %w", err)
	}
	if c.Registers > 0 || names.patch == prefix+"patch_embed.proj" && weights[prefix+"mask_token"] == nil {
		c.Resample = resampleAntialiased
	}
	c.Features = fmt.Sprintf("block%d.keys@%d", c.Depth-1, c.Patch)
	return c, c.Validate()
}

func (c ViTConfig) blockName(i int) string { return fmt.Sprintf(c.names.block, i) }

// inferTokens counts the tokens without a patch, and finds the grid of the positions.
func (c *ViTConfig) inferTokens(weights checkpoint.Tensors) error {
	for _, name := range []string{c.names.class, c.names.distillation, c.names.registers} {
		if name == "" || weights[name] == nil {
			continue
		}
		t, err := weights.Get(name, 1, -1, c.Width)
		if err != nil {
			return err
		}
		c.Prefix += t.Shape[1]
		if name == c.names.registers {
			c.Registers = t.Shape[1]
		}
	}
	if c.Theta > 0 {
		return nil
	}
	t, err := weights.Get(c.names.positions, 1, -1, c.Width)
	if err != nil {
		return err
	}
	for _, placed := range c.placed() {
		side := int(math.Round(math.Sqrt(float64(max(0, t.Shape[1]-placed)))))
		if side > 0 && side*side == t.Shape[1]-placed {
			c.Grid = side
			return nil
		}
	}
	return fmt.Errorf("%q has %d positions: want those of a square of patches, and of %d other tokens or none",
		c.names.positions, t.Shape[1], c.Prefix-c.Registers)
}

// leastGrid is the smallest Grid: there is none with rotary positions.
func (c ViTConfig) leastGrid() int {
	if c.Theta > 0 {
		return 0
	}
	return 1
}

// gated reports whether the perceptron of the first block has a gate, of its own or as half of its first layer.
func (c ViTConfig) gated(weights checkpoint.Tensors) bool {
	b := transformer{blockNames: c.names.blockNames, prefix: c.blockName(0)}
	_, packed := b.hidden(weights)
	return packed || c.names.gate != "" && weights[b.prefix+c.names.gate+".weight"] != nil
}

// placed lists how many of the first tokens may have a position, the likeliest first.
func (c *ViTConfig) placed() []int { return []int{c.Prefix - c.Registers, 0, c.Prefix} }

// Variant returns the name of the published width, such as "base", or "".
func (c ViTConfig) Variant() string {
	return map[[2]int]string{
		{192, 12}: "tiny", {384, 12}: "small", {768, 12}: "base", {1024, 24}: "large", {1280, 32}: "huge", {1536, 40}: "giant",
	}[[2]int{c.Width, c.Depth}]
}

// Stride returns the stride of the features.
func (c ViTConfig) Stride() int { return tapsStride(c.Features) }

// Channels returns the number of features of a token.
func (c ViTConfig) Channels() int {
	taps, _ := parseTaps(c.Features)
	return len(taps) * c.Width
}

// Multiple returns the number that both sides of a working size must be multiples of.
func (c ViTConfig) Multiple() int { return max(c.Patch, c.Stride()) }

// LogitsStride returns the stride of the head's logits.
func (c ViTConfig) LogitsStride() int {
	if c.Head == ViTNaive {
		return c.Patch / naiveEnlarges
	}
	return c.Patch / segmenterEnlarges
}

// tapSize returns the channels and the stride of a tensor that may be a feature; 0 for an unknown name.
func (c ViTConfig) tapSize(name string) (channels, stride int) {
	if _, _, ok := c.tapBlock(name); !ok {
		return 0, 0
	}
	return c.Width, c.Patch
}

// The kinds of features of a block.
const (
	kindTokens  = "tokens"
	kindQueries = "queries"
	kindKeys    = "keys"
	kindValues  = "values"
	tapNorm     = "norm"
)

// tapBlock returns the block and the kind of a feature.
func (c ViTConfig) tapBlock(name string) (block int, kind string, ok bool) {
	if name == tapNorm {
		return c.Depth - 1, tapNorm, true
	}
	first, kind, _ := strings.Cut(name, ".")
	n, err := strconv.Atoi(strings.TrimPrefix(first, "block"))
	if err != nil || n < 0 || n >= c.Depth || first != "block"+strconv.Itoa(n) {
		return 0, "", false
	}
	switch kind {
	case kindTokens, kindQueries, kindKeys, kindValues:
		return n, kind, true
	}
	return 0, "", false
}

// Validate reports all faults of c at once.
func (c ViTConfig) Validate() error {
	var errs []error
	bad := func(field string, got any, want string) {
		errs = append(errs, fmt.Errorf("vit.%s: got %v, want %s", field, got, want))
	}
	for _, f := range []struct {
		name       string
		got, least int
		most       int
	}{
		{"patch", c.Patch, 2, 64},
		{"width", c.Width, 1, 16384},
		{"depth", c.Depth, 1, 256},
		{"grid", c.Grid, c.leastGrid(), 1024},
		{"heads", c.Heads, 1, 256},
	} {
		if f.got < f.least || f.got > f.most {
			bad(f.name, f.got, fmt.Sprintf("%d to %d", f.least, f.most))
		}
	}
	if c.Heads > 0 && c.Width%c.Heads != 0 {
		bad("heads", c.Heads, fmt.Sprintf("a divisor of the width %d", c.Width))
	}
	if c.Theta != 0 && (!(c.Theta > 1 && c.Theta < 1e9) || c.Heads > 0 && c.Width/c.Heads%4 != 0) {
		bad("theta", c.Theta, fmt.Sprintf("1 to 1e9, and attention heads of a multiple of 4 channels, not %d", c.Width/max(1, c.Heads)))
	}
	if c.Activation != actGELU && c.Activation != actSiLU {
		bad("activation", strconv.Quote(c.Activation), "gelu or silu")
	}
	if !(c.NormEps > 0 && c.NormEps < 1) {
		bad("norm_eps", c.NormEps, "more than 0 and less than 1")
	}
	if c.Head == ViTSegmenter && (c.HeadHeads < 1 || c.Width%c.HeadHeads != 0) {
		bad("head_heads", c.HeadHeads, fmt.Sprintf("a divisor of the width %d", c.Width))
	}
	for i := range 3 {
		if !(c.Std[i] > 0) {
			bad("std", c.Std, "numbers above 0")
			break
		}
	}
	taps, err := parseTaps(c.Features)
	if err != nil {
		errs = append(errs, err)
	}
	for _, t := range taps {
		if _, _, ok := c.tapBlock(t.name); !ok {
			bad("features", strconv.Quote(t.name), fmt.Sprintf("block0 to block%d with .keys, .queries, .values or .tokens, or norm", c.Depth-1))
		} else if c.Patch > 0 && (t.stride%c.Patch != 0 && c.Patch%t.stride != 0 || t.stride > 256) {
			bad("features", fmt.Sprintf("%s@%d", t.name, t.stride), fmt.Sprintf("a multiple of the patch's %d, or a part of it", c.Patch))
		}
	}
	return errors.Join(errs...)
}
