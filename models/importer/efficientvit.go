package importer

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/oodcast/oodcast/models"
	"github.com/oodcast/oodcast/models/checkpoint"
	"github.com/oodcast/oodcast/models/nets"
)

// EfficientViT imports an EfficientViT segmentation network of any width. path holds its weights, as torch.save wrote
// them or as safetensors; features lists the tensors that become the features, see [nets.EfficientViTConfig].
func EfficientViT(path, features string, opt Options) (*Result, error) {
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
	g, err := nets.EfficientViT(cfg, weights)
	if err != nil {
		return nil, badInput(path, err)
	}
	model, err := g.Marshal()
	if err != nil {
		return nil, fmt.Errorf("import %q: %w", path, err)
	}
	return opt.write(network{
		source: path, model: weighted{model: model}, classes: cfg.Classes,
		spec: models.EncoderSpec{
			Architecture: "efficientvit-seg", Features: cfg.Features, Channels: cfg.Channels(), Stride: cfg.Stride(),
			LogitsStride: nets.LogitsStride,
		},
		summary: fmt.Sprintf("%d parameters, widths %v, depths %v", weights.Params(), cfg.Widths, cfg.Depths),
	})
}

// readWeights reads a checkpoint and the plain values that it holds in addition to the tensors.
func readWeights(path string) (checkpoint.Tensors, map[string]any, error) {
	if shards, err := checkpoint.Shards(path); err != nil || shards != nil {
		if err != nil {
			return nil, nil, err
		}
		ts, err := checkpoint.ReadShards(path)
		return ts.Unwrapped(), nil, err
	}
	if !strings.EqualFold(filepath.Ext(path), ".safetensors") {
		ts, meta, err := checkpoint.OpenTorch(path)
		return ts.Unwrapped(), meta, err
	}
	ts, _, err := checkpoint.ReadSafetensors(path)
	return ts.Unwrapped(), nil, err
}
