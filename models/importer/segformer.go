package importer

import (
	"errors"
	"fmt"

	"github.com/oodcast/oodcast/models"
	"github.com/oodcast/oodcast/models/graph"
	"github.com/oodcast/oodcast/models/nets"
)

// SegFormerSource names the files that a SegFormer encoder is made of.
type SegFormerSource struct {
	// Path is a folder with model.safetensors (or pytorch_model.bin, or the index of shards of either) and config.json as on the
	// Hugging Face hub, or the file with the weights in it. A preprocessor_config.json in the same folder states the mean and the deviation of pixels.
	Path string
	// Features lists the tensors that become the features, see [nets.SegFormerConfig]; "" stands for the default.
	Features string
	// LogitsStride is 4 or 8; 0 stands for 8.
	LogitsStride int
}

// SegFormer imports a SegFormer of any size. Its class names are those of config.json unless opt has others. Without a
// segmentation head, it is an encoder without classes.
func SegFormer(src SegFormerSource, opt Options) (r *Result, err error) {
	defer frugal()()
	h, err := openHub(src.Path)
	if err != nil {
		return nil, err
	}
	cfg, names, err := nets.InferSegFormer(h.config, h.weights)
	if err != nil {
		return nil, badInput(h.path, err)
	}
	cfg.Mean, cfg.Std = h.mean, h.std
	cfg.Features, cfg.LogitsStride = src.Features, src.LogitsStride
	if cfg.Features == "" {
		cfg.Features = nets.DefaultSegFormerFeatures
	}
	params := h.weights.Params()
	s, err := opt.build(h.path, params, func(opts ...graph.Option) (*graph.Graph, error) {
		return nets.SegFormer(cfg, h.weights, opts...)
	})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	if len(opt.Classes) == 0 {
		opt.Classes = names
	}
	n := network{
		source: h.path, with: h.files, model: s.weighted, classes: cfg.Classes,
		spec: models.EncoderSpec{
			Architecture: "segformer", Features: cfg.Features, Channels: cfg.Channels(), Stride: cfg.Stride(),
			LogitsStride: models.MapStride(cfg.Stride()),
		},
		summary: fmt.Sprintf("%s%d parameters, widths %v, depths %v", spaced(cfg.Variant()), params, cfg.Widths, cfg.Depths),
	}
	if cfg.Classes > 0 {
		n.spec.LogitsStride = cfg.MapStride()
	}
	return opt.write(n)
}
