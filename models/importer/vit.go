package importer

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/oodcast/oodcast/models"
	"github.com/oodcast/oodcast/models/checkpoint"
	"github.com/oodcast/oodcast/models/graph"
	"github.com/oodcast/oodcast/models/nets"
)

// ViTSource describes the plain vision transformer that an encoder is made of.
type ViTSource struct {
	// Weights is a file of torch.save or safetensors, under the names of DINOv2, DINOv3, DeiT, timm, Hugging Face or
	// mmsegmentation; or a folder of the Hugging Face hub, whose config.json then states what weights do not show, and whose
	// preprocessor_config.json the statistics of the pictures.
	Weights string
	// Features lists the tensors that become the features, see [nets.ViTConfig]; "" stands for the keys of the last block.
	Features string
	// Heads is the number of attention heads; 0 stands for that of config.json, or else for one per 64 channels.
	Heads int
	// Mean and Std are the statistics of the pictures, for pixels scaled to 0..1; zeros stand for those of the folder, or else
	// for ImageNet's.
	Mean, Std [3]float64
}

// dinov3Licence is what a bundle states of DINOv3's weights.
const dinov3Licence = "DINOv3 License of Meta: whoever uses the weights or hands them on must have accepted it, and it goes along with them"

// ViT imports the backbone of a plain vision transformer: an encoder without classes.
func ViT(src ViTSource, opt Options) (r *Result, err error) {
	defer frugal()()
	path, err := hubFile(src.Weights)
	if err != nil {
		return nil, err
	}
	weights, _, err := readWeights(path)
	if err != nil {
		return nil, err
	}
	cfg, err := nets.InferViT(weights)
	if err != nil {
		return nil, badInput(path, err)
	}
	var files []string
	if path != src.Weights {
		if cfg, files, err = hubViT(filepath.Dir(path), cfg); err != nil {
			return nil, err
		}
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
	n, done, err := opt.vit(path, cfg, weights)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, done()) }()
	n.with = files
	n.about = map[string]string{models.PurposeKey: "general features, for oodcast fit on any footage"}
	if cfg.Rotary() {
		n.about[models.LicenceKey] = dinov3Licence
	}
	return opt.write(n)
}

// hubViT adds what the files of a folder of the Hugging Face hub state, and returns their paths.
func hubViT(dir string, cfg nets.ViTConfig) (_ nets.ViTConfig, files []string, err error) {
	for _, name := range []string{hubConfig, hubPictures} {
		path := filepath.Join(dir, name)
		raw, err := readHub(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return cfg, nil, err
		}
		if name == hubConfig {
			cfg, err = cfg.WithHub(raw)
		} else if mean, std, e := hubStatistics(raw); e != nil || std != [3]float64{} {
			cfg.Mean, cfg.Std, err = mean, std, e
		}
		if err != nil {
			return cfg, nil, badInput(path, err)
		}
		files = append(files, path)
	}
	return cfg, files, nil
}

// vit builds the encoder of a vision transformer. The caller calls done when the bundle is written.
func (o Options) vit(path string, cfg nets.ViTConfig, weights checkpoint.Tensors) (n network, done func() error, err error) {
	s, err := o.build(path, weights.Params(), func(opts ...graph.Option) (*graph.Graph, error) {
		return nets.ViT(cfg, weights, opts...)
	})
	if errors.Is(err, graph.ErrExternal) {
		err = fmt.Errorf("%w: take features of an earlier block, such as --features block%d.keys@%d: blocks behind it are left out", err,
			cfg.Depth/3, cfg.Patch)
	}
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
