package importer

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/oodcast/oodcast/models/checkpoint"
	"github.com/oodcast/oodcast/models/regular"
)

// The files of a network on the Hugging Face hub.
const (
	hubConfig    = "config.json"
	hubPictures  = "preprocessor_config.json"
	hubWeights   = "model.safetensors"
	hubOld       = "pytorch_model.bin"
	hubIndex     = ".index.json" // of shards
	mostHubBytes = 4 << 20       // of a JSON file; the largest with 150 classes have 10 kB
)

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

// hubFiles are the names of weights on the hub, the best first.
func hubFiles() []string {
	return []string{hubWeights, hubWeights + hubIndex, hubOld, hubOld + hubIndex}
}

// hubFile returns the file with the weights: path itself, or the one in the folder path.
func hubFile(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("import: %w", err)
	}
	if !info.IsDir() {
		return path, nil
	}
	for _, name := range hubFiles() {
		if _, err := os.Stat(filepath.Join(path, name)); err == nil {
			return filepath.Join(path, name), nil
		}
	}
	return "", badInput(path, fmt.Errorf("the folder holds neither %s nor %s", hubWeights, hubOld))
}

// readHub reads a JSON file of bounded size.
func readHub(path string) ([]byte, error) {
	raw, err := regular.ReadFile(path, mostHubBytes)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("import: %w", err)
	}
	if err != nil {
		return nil, badInput(path, err)
	}
	return raw, nil
}
