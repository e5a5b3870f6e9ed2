package importer

import (
	"path/filepath"
	"strings"

	"github.com/oodcast/oodcast/models/checkpoint"
)

// readWeights reads a checkpoint and the plain values that it holds in addition to the tensors. path is a file of torch.save or
// of safetensors, or the index of several.
func readWeights(path string) (checkpoint.Tensors, map[string]any, error) {
	if strings.HasSuffix(path, checkpoint.IndexSuffix) {
		ts, err := checkpoint.ReadSharded(path)
		return ts.Unwrapped(), nil, err
	}
	if !strings.EqualFold(filepath.Ext(path), ".safetensors") {
		ts, meta, err := checkpoint.OpenTorch(path)
		return ts.Unwrapped(), meta, err
	}
	ts, _, err := checkpoint.ReadSafetensors(path)
	return ts.Unwrapped(), nil, err
}

// parts returns the files that a checkpoint's index lists, with their folder; none for a checkpoint in one file.
func parts(path string) ([]string, error) {
	if !strings.HasSuffix(path, checkpoint.IndexSuffix) {
		return nil, nil
	}
	names, err := checkpoint.Shards(path)
	for i, name := range names {
		names[i] = filepath.Join(filepath.Dir(path), name)
	}
	return names, err
}
