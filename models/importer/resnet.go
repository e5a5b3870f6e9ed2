package importer

import (
	"fmt"

	"github.com/oodcast/oodcast/models"
	"github.com/oodcast/oodcast/models/nets"
)

// ResNet imports a ResNet of any depth and width, or ResNeXt: an encoder without classes. path holds its weights under the names
// of torchvision or timm; features lists the stages that become the features, see [nets.ResNetConfig], "" for the default.
func ResNet(path, features string, opt Options) (*Result, error) {
	weights, _, err := readWeights(path)
	if err != nil {
		return nil, err
	}
	cfg, err := nets.InferResNet(weights)
	if err != nil {
		return nil, badInput(path, err)
	}
	if features != "" {
		cfg.Features = features
	}
	g, err := nets.ResNet(cfg, weights)
	if err != nil {
		return nil, badInput(path, err)
	}
	model, err := g.Marshal()
	if err != nil {
		return nil, fmt.Errorf("import %q: %w", path, err)
	}
	return opt.write(network{
		source: path, model: weighted{model: model},
		about: map[string]string{models.PurposeKey: "general features, for oodcast fit on any footage"},
		spec: models.EncoderSpec{
			Architecture: "resnet", Features: cfg.Features, Channels: cfg.Channels(), Stride: cfg.Stride(),
			LogitsStride: models.MapStride(cfg.Stride()),
		},
		summary: fmt.Sprintf("%swidths %v, depths %v, %.1f MB", spaced(cfg.Variant()), cfg.Widths, cfg.Depths, float64(len(model))/1e6),
	})
}
