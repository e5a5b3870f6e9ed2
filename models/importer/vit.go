package importer

import (
	"errors"
	"fmt"

	"github.com/oodcast/oodcast/models"
	"github.com/oodcast/oodcast/models/checkpoint"
	"github.com/oodcast/oodcast/models/graph"
	"github.com/oodcast/oodcast/models/nets"
)

// ViTSource describes the plain vision transformer that an encoder is made of.
type ViTSource struct {
	// Weights is a file of torch.save or safetensors, under the names of DINOv2, DeiT, timm, Hugging Face or mmsegmentation.
	Weights string
	// Features lists the tensors that become the features, see [nets.ViTConfig]; "" stands for the keys of the last block.
	Features string
	// Heads is the number of attention heads; 0 stands for one per 64 channels.
	Heads int
	// Mean and Std are the statistics of the pictures, for pixels scaled to 0..1; zeros stand for ImageNet's.
	Mean, Std [3]float64
}

// ViT imports the backbone of a plain vision transformer: an encoder without classes.
func ViT(src ViTSource, opt Options) (r *Result, err error) {
	defer frugal()()
	weights, _, err := readWeights(src.Weights)
	if err != nil {
		return nil, err
	}
	cfg, err := nets.InferViT(weights)
	if err != nil {
		return nil, badInput(src.Weights, err)
	}
	if src.Features != "" {
		cfg.Features = src.Features
	}
	if src.Heads != 0 {
		cfg.Heads = src.Heads
	}
	if src.Std != ([3]float64{}) {
		cfg.Mean, cfg.Std = src.Mean, src.Std
	}
	n, done, err := opt.vit(src.Weights, cfg, weights)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, done()) }()
	n.about = map[string]string{models.PurposeKey: "general features, for oodcast fit on any footage"}
	return opt.write(n)
}

// vit builds the encoder of a vision transformer. The caller calls done when the bundle is written.
func (o Options) vit(path string, cfg nets.ViTConfig, weights checkpoint.Tensors) (n network, done func() error, err error) {
	s, err := o.build(path, weights.Params(), func(opts ...graph.Option) (*graph.Graph, error) {
		return nets.ViT(cfg, weights, opts...)
	})
	if err != nil {
		return network{}, nil, err
	}
	spec := models.EncoderSpec{
		Architecture: "vit", Features: cfg.Features, Channels: cfg.Channels(), Stride: cfg.Stride(),
		LogitsStride: models.MapStride(cfg.Stride()), Multiple: cfg.Multiple(),
	}
	if cfg.Head != "" {
		spec.Architecture, spec.LogitsStride = cfg.Head, cfg.LogitsStride()
	}
	registers := ""
	if cfg.Registers > 0 {
		registers = fmt.Sprintf(", %d registers", cfg.Registers)
	}
	return network{
		source: path, model: s.weighted, classes: cfg.Classes, spec: spec,
		summary: fmt.Sprintf("%s %d blocks of width %d, %d heads, patches of %d%s, %.1f MB", spaced(cfg.Variant()), cfg.Depth, cfg.Width,
			cfg.Heads, cfg.Patch, registers, float64(s.size)/1e6),
	}, s.close, nil
}
