package importer

import (
	"path/filepath"
	"strings"

	"github.com/oodcast/oodcast/models/checkpoint"
)

// readWeights reads a checkpoint and the plain values that it holds in addition to the tensors. path is a file of torch.save or
// of safetensors, or the index of several.
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
