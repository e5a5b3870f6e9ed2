package importer

import (
	"errors"
	"fmt"

	"github.com/oodcast/oodcast/models"
	"github.com/oodcast/oodcast/models/graph"
	"github.com/oodcast/oodcast/models/nets"
)

// Mask2FormerSource names the files that a Mask2Former encoder is made of.
type Mask2FormerSource struct {
	// Path is a folder with model.safetensors (or pytorch_model.bin) and config.json as on the Hugging Face hub, or the file
	// with the weights in it. A preprocessor_config.json in the same folder states the mean and the deviation of pixels.
	Path string
	// Features lists the tensors that become the features, see [nets.Mask2FormerConfig]; "" stands for the default.
	Features string
}

// Mask2Former imports a Mask2Former on a Swin transformer of any size, with the class and mask logits of its queries. Its class
// names are those of config.json unless opt has others.
func Mask2Former(src Mask2FormerSource, opt Options) (r *Result, err error) {
	defer frugal()()
	h, err := openHub(src.Path)
	if err != nil {
		return nil, err
	}
	cfg, names, err := nets.InferMask2Former(h.config, h.weights)
	if err != nil {
		return nil, badInput(h.path, err)
	}
	cfg.Mean, cfg.Std, cfg.Features = h.mean, h.std, src.Features
	if cfg.Features == "" {
		cfg.Features = nets.DefaultMask2FormerFeatures
	}
	params := h.weights.Params()
	s, err := opt.build(h.path, params, func(opts ...graph.Option) (*graph.Graph, error) {
		return nets.Mask2Former(cfg, h.weights, opts...)
	})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	if len(opt.Classes) == 0 {
		opt.Classes = names
	}
	return opt.write(network{
		source: h.path, with: h.files, model: s.weighted, classes: cfg.Classes,
		spec: models.EncoderSpec{
			Architecture: "mask2former", Features: cfg.Features, Channels: cfg.Channels(), Stride: cfg.Stride(),
			LogitsStride: cfg.MapStride(),
		},
		summary: fmt.Sprintf("%s%d parameters, %d queries, depths %v", spaced(cfg.Variant()), params, cfg.Queries, cfg.Backbone.Depths),
	})
}
