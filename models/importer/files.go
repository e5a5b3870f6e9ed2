package importer

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/oodcast/oodcast/models/checkpoint"
)

// The files of a network on the Hugging Face hub.
const (
	hubConfig    = "config.json"
	hubPictures  = "preprocessor_config.json"
	hubWeights   = "model.safetensors"
	hubIndex     = "model" + checkpoint.IndexSuffix
	hubOld       = "pytorch_model.bin"
	mostHubBytes = 4 << 20 // of a JSON file; the largest with 150 classes have 10 kB
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

// hubFile returns the file with the weights: path itself, or the one in the folder path.
func hubFile(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("import: %w", err)
	}
	if !info.IsDir() {
		return path, nil
	}
	for _, name := range []string{hubWeights, hubIndex, hubOld} {
		if _, err := os.Stat(filepath.Join(path, name)); err == nil {
			return filepath.Join(path, name), nil
		}
	}
	return "", badInput(path, fmt.Errorf("the folder holds neither %s nor %s nor %s", hubWeights, hubIndex, hubOld))
}

// readHub reads a JSON file of bounded size.
func readHub(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("import: %w", err)
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, mostHubBytes+1))
	if err != nil {
		return nil, fmt.Errorf("import: %w", err)
	}
	if len(raw) > mostHubBytes {
		return nil, badInput(path, fmt.Errorf("more than %d bytes are no configuration", mostHubBytes))
	}
	return raw, nil
}
