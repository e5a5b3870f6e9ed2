package models

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Format is the version of bundle.yaml that this program reads and writes.
const Format = 1

// Manifest is bundle.yaml.
type Manifest struct {
	// Format is 1.
	Format int `yaml:"format" json:"format"`
	// Name identifies the bundle in messages and metrics: lower case letters, digits, - and _.
	Name string `yaml:"name" json:"name"`
	// Version is free text; a bundle that scores differently needs another version.
	Version string `yaml:"version" json:"version"`
	// Encoder describes encoder.onnx.
	Encoder EncoderSpec `yaml:"encoder" json:"encoder"`
	// Denoiser describes denoiser.safetensors; nil in an encoder-only bundle.
	Denoiser *DenoiserConfig `yaml:"denoiser,omitempty" json:"denoiser,omitempty"`
	// Diffusion is how the denoiser makes scores.
	Diffusion Diffusion `yaml:"diffusion" json:"diffusion"`
	// Normalise is how features are scaled before diffusion: per_channel (each channel to mean 0 and deviation 1) or global
	// (one scale for all channels, as in the paper).
	Normalise string `yaml:"normalise" json:"normalise"`
	// Compound is how the diffusion score and the segmenter's uncertainty become one map.
	Compound Compound `yaml:"compound" json:"compound"`
	// Uncalibrated says why the denoiser has no calibration, after a fit that could train but not calibrate it; empty in a
	// complete bundle.
	Uncalibrated string `yaml:"uncalibrated,omitempty" json:"uncalibrated,omitempty"`
	// Provenance has no fixed keys: sources, licences, commands, dates.
	Provenance map[string]any `yaml:"provenance,omitempty" json:"provenance,omitempty"`
	// Files lists every other file of the bundle with its checksum.
	Files map[string]File `yaml:"files" json:"files"`
}

// EncoderSpec describes encoder.onnx. Its inputs are image uint8[H,W,3] (RGB) and size int64[2], the working height and
// width. Its outputs are features float32[h,w,Channels], logits float32[K,lh,lw] and lse float32[lh,lw]; a
// mask-classification network also has class_logits float32[Q,K+1] and mask_logits float32[Q,mh,mw]. In an encoder that
// takes several pictures at once, image and every output have N as a further, first dimension. An encoder that knows no
// classes has neither logits nor lse.
type EncoderSpec struct {
	// Architecture names the network, for instance efficientvit-seg or onnx.
	Architecture string `yaml:"architecture" json:"architecture"`
	// Features lists the inner tensors that make up the features, as TENSOR@STRIDE, comma separated.
	Features string `yaml:"features" json:"features"`
	// Channels is the number of features of a token.
	Channels int `yaml:"channels" json:"channels"`
	// Stride is the side length of a token in pixels of the working size.
	Stride int `yaml:"stride" json:"stride"`
	// LogitsStride is the side length of a logit in pixels of the working size; maps have the grid of the logits. Of an
	// encoder without classes, it is [MapStride] of Stride.
	LogitsStride int `yaml:"logits_stride" json:"logits_stride"`
	// Unclaimed says that there is a further output unclaimed float32[lh,lw]: how little any class claims a cell, by heads on
	// the encoder's features.
	Unclaimed bool `yaml:"unclaimed,omitempty" json:"unclaimed,omitempty"`
	// Classes names the classes in the order of the logits. It is empty for an encoder without classes.
	Classes []string `yaml:"classes,flow" json:"classes"`
	// Size is the working size that the bundle was made for; other sizes work, but their statistics differ.
	Size Size `yaml:"size,flow" json:"size"`
	// Enlarge has frames with fewer pixels than Size enlarged to about as many; without it no frame is enlarged.
	Enlarge bool `yaml:"enlarge,omitempty" json:"enlarge,omitempty"`
	// Multiple divides both sides of every working size; 0 stands for 32.
	Multiple int `yaml:"multiple,omitempty" json:"multiple,omitempty"`
	// Fixed says that the encoder works at Size only: frames of every shape are scaled to it.
	Fixed bool `yaml:"fixed,omitempty" json:"fixed,omitempty"`
}

// EfficientNetLite is the Architecture of the encoders that the importer of that name makes.
const EfficientNetLite = "efficientnet-lite"

// FeaturesOnly reports that the encoder knows no classes, and so has neither logits nor lse.
func (e *EncoderSpec) FeaturesOnly() bool { return len(e.Classes) == 0 }

// MapStride returns the side length of a map's cell, in pixels of the working size, for features of the given stride when
// there are no logits: 8 if that divides the stride, else the stride.
func MapStride(stride int) int {
	if stride%8 == 0 {
		return 8
	}
	return stride
}

// Size is a working size in pixels.
type Size struct {
	Width  int `yaml:"width" json:"width"`
	Height int `yaml:"height" json:"height"`
}

// Diffusion is how the denoiser makes scores.
type Diffusion struct {
	// Timesteps is the nested order: |T|=N takes the first N. Each is from 0 to 999 and occurs once.
	Timesteps []int `yaml:"timesteps,flow" json:"timesteps"`
	// Noise is antithetic (pairs +ε, −ε of per-token noise), independent (the paper) or shared (one ε for all tokens).
	Noise string `yaml:"noise" json:"noise"`
	// Draws is how many times the noise of a timestep is drawn; a score is the mean over the draws. 0 stands for 1.
	Draws int `yaml:"draws,omitempty" json:"draws,omitempty"`
	// Seed fixes the noise, so that the same frame gives the same map.
	Seed uint64 `yaml:"seed" json:"seed"`
	// Aggregate is sum or sqrt_one_minus_alpha_bar (the paper's Eq. 8).
	Aggregate string `yaml:"aggregate" json:"aggregate"`
	// Score is cosine (the paper's Eq. 7) or mse.
	Score string `yaml:"score" json:"score"`
}

// The values of Diffusion.Noise.
const (
	NoiseIndependent = "independent" // one evaluation with +ε
	NoiseAntithetic  = "antithetic"  // the mean of the scores with +ε and −ε
	NoiseShared      = "shared"      // one evaluation with +ε, the same for all tokens
)

// The values of Diffusion.Aggregate, the rules that add up the scores of the timesteps.
const (
	AggregateSum                  = "sum"                      // the plain sum, as in the reference code
	AggregateSqrtOneMinusAlphaBar = "sqrt_one_minus_alpha_bar" // the paper's Eq. 8
)

// The values of Diffusion.Score.
const (
	ScoreCosine = "cosine" // −cos(ε, ε̂), the paper's Eq. 7
	ScoreMSE    = "mse"    // the mean of (ε−ε̂)² over the channels
)

// The values of Manifest.Normalise.
const (
	NormalisePerChannel = "per_channel"
	NormaliseGlobal     = "global"
)

// The values of Compound.Rule.
const (
	RuleStandardised = "standardised"
	RuleMinMax       = "min_max"
	RuleGated        = "gated"
	RuleSized        = "sized"
)

// The values of Compound.Upsample.
const (
	UpsampleNearest  = "nearest"
	UpsampleBilinear = "bilinear"
	UpsampleGuided   = "guided"
)

// Compound is how the diffusion score and the segmenter's uncertainty (−logsumexp of the logits) become one map.
type Compound struct {
	// Rule is standardised (the sum of both, each in deviations from normal footage), min_max (the sum of both, each as a
	// fraction of its range on normal footage), gated (standardised, but the uncertainty counts only where the features
	// are strange too) or sized (what is large is smoothed along the colours of the frame, and what is small may also stand
	// out by its uncertainty alone; see the fields below).
	Rule string `yaml:"rule" json:"rule"`
	// LSEWeight is the weight of the uncertainty relative to the diffusion score; 1 in the paper. With the rule sized, it is
	// the weight of the contrast: the uncertainty minus its mean over the surroundings.
	LSEWeight float64 `yaml:"lse_weight" json:"lse_weight"`
	// UnclaimedWeight is the weight of the encoder's output unclaimed relative to the diffusion score, in the rule sized.
	UnclaimedWeight float64 `yaml:"unclaimed_weight,omitempty" json:"unclaimed_weight,omitempty"`
	// Surroundings is the side length of the square around a cell that the rule sized compares it with, in pixels of the
	// working size.
	Surroundings int `yaml:"surroundings,omitempty" json:"surroundings,omitempty"`
	// Large is the score of the surroundings from which a strange thing counts as large, in the rule sized.
	Large float64 `yaml:"large,omitempty" json:"large,omitempty"`
	// Crowded is the score of the surroundings from which contrast does not count, in the rule sized.
	Crowded float64 `yaml:"crowded,omitempty" json:"crowded,omitempty"`
	// MotionWeight is the weight of motion that is faster than normal at its place, in the rule sized and for cameras that stand
	// still; 0: motion does not count.
	MotionWeight float64 `yaml:"motion_weight,omitempty" json:"motion_weight,omitempty"`
	// Upsample is how tokens become pixels: guided (bilinear, then along the colours of the frame), bilinear, or nearest
	// (as in the paper).
	Upsample string `yaml:"upsample" json:"upsample"`
}

// File is one entry of Manifest.Files.
type File struct {
	// SHA256 is the checksum, 64 hexadecimal digits.
	SHA256 string `yaml:"sha256" json:"sha256"`
	// Bytes is the size.
	Bytes int64 `yaml:"bytes" json:"bytes"`
}

// DefaultManifest returns the settings that a new bundle starts with: antithetic noise, timesteps spread over the
// noise-to-feature ratios that separate best when every channel has deviation 1, and the gated rule. The caller fills in
// the name, the encoder and the provenance.
func DefaultManifest() Manifest {
	return Manifest{
		Format:  Format,
		Version: "1",
		Diffusion: Diffusion{
			Timesteps: []int{
				199, 99, 299, 149, 249, 124, 224, 174, 274, 74, 349, 112, 212, 162, 262, 87, 324, 137, 237, 187, 287, 62,
				374, 50, 399,
			},
			Noise:     NoiseAntithetic,
			Seed:      1,
			Aggregate: AggregateSum,
			Score:     ScoreCosine,
		},
		Normalise: NormalisePerChannel,
		Compound:  Compound{Rule: RuleGated, LSEWeight: 1, Upsample: UpsampleGuided},
	}
}

// EncoderOnly reports that the bundle has no denoiser yet.
func (m *Manifest) EncoderOnly() bool { return m.Denoiser == nil }

const (
	// maxManifest bounds bundle.yaml, in bytes; those of the built-in bundles have 2 kB.
	maxManifest = 256 << 10
	// maxKeys bounds a mapping in bundle.yaml, because the YAML package compares each key with each other one.
	maxKeys = 1000
)

// checkKeys returns an error for a mapping with too many keys.
func checkKeys(n *yaml.Node) error {
	if n.Kind == yaml.MappingNode && len(n.Content) > 2*maxKeys {
		return fmt.Errorf("line %d: it has %d keys, at most %d are read", n.Line, len(n.Content)/2, maxKeys)
	}
	for _, c := range n.Content {
		if err := checkKeys(c); err != nil {
			return err
		}
	}
	return nil
}

// ParseManifest reads bundle.yaml; unknown keys are errors.
func ParseManifest(raw []byte) (Manifest, error) {
	var m Manifest
	if len(raw) > maxManifest {
		return m, fmt.Errorf("%s: it has %d bytes, at most %d are read", ManifestFile, len(raw), maxManifest)
	}
	var tree yaml.Node
	if err := yaml.Unmarshal(raw, &tree); err == nil { // what is wrong is told below
		if err := checkKeys(&tree); err != nil {
			return m, fmt.Errorf("%s: %w", ManifestFile, err)
		}
	}
	dec := yaml.NewDecoder(bytes.NewReader(raw))
	dec.KnownFields(true)
	if err := dec.Decode(&m); err != nil {
		if errors.Is(err, io.EOF) {
			err = errors.New("it is empty")
		}
		// The YAML package lists its faults on separate lines.
		return Manifest{}, fmt.Errorf("%s: %s", ManifestFile, strings.Join(strings.Fields(err.Error()), " "))
	}
	if err := dec.Decode(new(any)); !errors.Is(err, io.EOF) {
		return Manifest{}, fmt.Errorf("%s: more than one document", ManifestFile)
	}
	if err := m.Validate(); err != nil {
		return Manifest{}, err
	}
	return m, nil
}

// Marshal writes bundle.yaml.
func (m *Manifest) Marshal() ([]byte, error) {
	var buf bytes.Buffer
	enc := yaml.NewEncoder(&buf)
	enc.SetIndent(2)
	if err := errors.Join(enc.Encode(m), enc.Close()); err != nil {
		return nil, fmt.Errorf("models: manifest: %w", err)
	}
	return buf.Bytes(), nil
}

var (
	namePattern     = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]*$`)
	filePattern     = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]*$`)
	otherCharacters = regexp.MustCompile(`[^a-z0-9_-]+`)
)

// NameOf returns the name of a bundle in the given folder: the folder's name in lower case, with a hyphen for each stretch
// of other characters than letters, digits, - and _.
func NameOf(folder string) string {
	if abs, err := filepath.Abs(folder); err == nil {
		folder = abs // such as "."
	}
	name := strings.Trim(otherCharacters.ReplaceAllString(strings.ToLower(filepath.Base(folder)), "-"), "-_")
	if name == "" {
		return "bundle"
	}
	return name
}

// CheckName returns an error unless name can be the name of a bundle.
func CheckName(name string) error {
	if !namePattern.MatchString(name) {
		return fmt.Errorf("models.name: got %q, want lower case letters, digits, - and _, such as %q", name, NameOf(name))
	}
	return nil
}

// SizedCompound returns the rule sized with the settings that were chosen leave-one-set-out over five sets: every one of
// them chose these, or their neighbours on a grid on which the results hardly differ.
func SizedCompound() Compound {
	return Compound{
		Rule: RuleSized, LSEWeight: 0.25, UnclaimedWeight: 2, Surroundings: 168, Large: 1, Crowded: 2, Upsample: UpsampleGuided,
	}
}

// Side returns Surroundings, or the default for a rule that does not use them.
func (c *Compound) Side() int {
	if c.Surroundings == 0 {
		return SizedCompound().Surroundings
	}
	return c.Surroundings
}

// SizeMultiple returns the number that divides both sides of every working size.
func (e *EncoderSpec) SizeMultiple() int {
	if e.Multiple <= 0 {
		return 32
	}
	return e.Multiple
}

// CheckSize returns an error unless the encoder can work at a size. 0×0 stands for the size that fits a frame.
func (e *EncoderSpec) CheckSize(width, height int) error {
	switch n := e.SizeMultiple(); {
	case width == 0 && height == 0:
	case e.Fixed && (Size{width, height}) != e.Size:
		return fmt.Errorf("got %dx%d, want %dx%d: this network takes no other size", width, height, e.Size.Width, e.Size.Height)
	case width%n != 0 || height%n != 0:
		return fmt.Errorf("got %dx%d, want multiples of %d for this bundle", width, height, n)
	}
	return nil
}

// GoldenSize returns the working size of the golden outputs.
func (e *EncoderSpec) GoldenSize() Size {
	if e.Fixed {
		return e.Size
	}
	n := e.SizeMultiple()
	up := func(v int) int { return (v + n - 1) / n * n }
	return Size{Width: up(128), Height: up(96)}
}
