package checkpoint

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// IndexSuffix ends the name of the list of a checkpoint that is several safetensors files, such as
// model.safetensors.index.json of the Hugging Face hub.
const IndexSuffix = ".safetensors.index.json"

// Shards returns the names of the files that an index lists, in ascending order. They are in the folder of the index.
func Shards(path string) ([]string, error) {
	index, err := readIndex(path)
	if err != nil {
		return nil, fmt.Errorf("open checkpoint %q: %w", path, reason(err))
	}
	return slices.Compact(slices.Sorted(maps.Values(index))), nil
}

// ReadSharded reads the safetensors files that an index lists. Every tensor must be where the index says, and no other may be
// there.
func ReadSharded(path string) (Tensors, error) {
	index, err := readIndex(path)
	if err != nil {
		return nil, fmt.Errorf("open checkpoint %q: %w", path, reason(err))
	}
	all := make(Tensors, len(index))
	for _, name := range slices.Compact(slices.Sorted(maps.Values(index))) {
		ts, _, err := ReadSafetensors(filepath.Join(filepath.Dir(path), name))
		if err != nil {
			return nil, err
		}
		for _, tensor := range ts.Names() {
			if index[tensor] != name {
				return nil, fmt.Errorf("open checkpoint %q: %w: %q holds the tensor %q, which the index does not expect there", path,
					ErrFormat, name, tensor)
			}
			all[tensor] = ts[tensor]
		}
	}
	for _, tensor := range slices.Sorted(maps.Keys(index)) {
		if all[tensor] == nil {
			return nil, fmt.Errorf("open checkpoint %q: %w: %q does not hold the tensor %q", path, ErrFormat, index[tensor], tensor)
		}
	}
	return all, nil
}

// readIndex returns the file of each tensor.
func readIndex(path string) (map[string]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, maxHeader+1))
	if err != nil {
		return nil, err
	}
	return parseIndex(raw)
}

// parseIndex reads an index. Its files are plain names: an index from elsewhere cannot lead to another folder.
func parseIndex(raw []byte) (map[string]string, error) {
	if len(raw) > maxHeader {
		return nil, fmt.Errorf("%w: an index has at most %d bytes", ErrFormat, maxHeader)
	}
	var index struct {
		Files map[string]string `json:"weight_map"`
	}
	if err := json.Unmarshal(raw, &index); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	if len(index.Files) == 0 {
		return nil, fmt.Errorf("%w: no files under \"weight_map\"", ErrFormat)
	}
	for tensor, name := range index.Files {
		if name != filepath.Base(name) || strings.ContainsAny(name, `/\`) || !strings.HasSuffix(name, ".safetensors") {
			return nil, fmt.Errorf("%w: tensor %q is in %q: want the name of a .safetensors file beside the index", ErrFormat, tensor, name)
		}
	}
	return index.Files, nil
}
