package importer

import (
	"fmt"

	"github.com/oodcast/oodcast/models"
	"github.com/oodcast/oodcast/models/nets"
)

// ESPNetV2 imports an ESPNetv2 segmentation network of any width from the authors' weights in the file at path. features lists the
// tensors that become the features, see [nets.ESPNetV2Config], "" for the default. The classes have the names of the sets that
// the authors trained on, Cityscapes and VOC, unless opt has others.
func ESPNetV2(path, features string, opt Options) (*Result, error) {
	weights, _, err := readWeights(path)
	if err != nil {
		return nil, err
	}
	cfg, err := nets.InferESPNetV2(weights)
	if err != nil {
		return nil, badInput(path, err)
	}
	if features != "" {
		cfg.Features = features
	}
	g, err := nets.ESPNetV2(cfg, weights)
	if err != nil {
		return nil, badInput(path, err)
	}
	model, err := g.Marshal()
	if err != nil {
		return nil, fmt.Errorf("import %q: %w", path, err)
	}
	if len(opt.Classes) == 0 && cfg.Classes == len(models.CityscapesClasses())+1 {
		opt.Classes = append(models.CityscapesClasses(), "background")
	}
	return opt.write(network{
		source: path, model: weighted{model: model}, classes: cfg.Classes,
		spec: models.EncoderSpec{
			Architecture: "espnetv2", Features: cfg.Features, Channels: cfg.Channels(), Stride: cfg.Stride(), LogitsStride: nets.LogitsStride,
		},
		summary: fmt.Sprintf("%d parameters, widths %v, depths %v", weights.Params(), cfg.Widths, cfg.Depths),
	})
}
