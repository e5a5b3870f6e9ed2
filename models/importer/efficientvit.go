package importer

import (
	"errors"
	"fmt"

	"github.com/oodcast/oodcast/models"
	"github.com/oodcast/oodcast/models/graph"
	"github.com/oodcast/oodcast/models/nets"
)

// EfficientViT imports an EfficientViT segmentation network of any width. path holds its weights, as torch.save wrote
// them or as safetensors; features lists the tensors that become the features, see [nets.EfficientViTConfig].
func EfficientViT(path, features string, opt Options) (r *Result, err error) {
	defer frugal()()
	weights, meta, err := readWeights(path)
	if err != nil {
		return nil, err
	}
	cfg, err := nets.InferEfficientViT(weights)
	if err != nil {
		return nil, badInput(path, err)
	}
	if stated, ok := meta["config"]; ok {
		if cfg, err = cfg.WithMeta(stated); err != nil {
			return nil, badInput(path, err)
		}
	}
	cfg.Features = features
	if err := cfg.Validate(); err != nil {
		return nil, badInput(path, err)
	}
	params := weights.Params()
	s, err := opt.build(path, params, func(opts ...graph.Option) (*graph.Graph, error) {
		return nets.EfficientViT(cfg, weights, opts...)
	})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	return opt.write(network{
		source: path, model: s.weighted, classes: cfg.Classes,
		spec: models.EncoderSpec{
			Architecture: "efficientvit-seg", Features: cfg.Features, Channels: cfg.Channels(), Stride: cfg.Stride(),
			LogitsStride: nets.LogitsStride,
		},
		summary: fmt.Sprintf("%d parameters, widths %v, depths %v", params, cfg.Widths, cfg.Depths),
	})
}
