package checkpoint

import (
	"encoding/json"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"

	"github.com/oodcast/oodcast/models/regular"
)

const (
	// indexSuffix ends the name of an index of shards, such as model.safetensors.index.json.
	indexSuffix = ".index.json"
	maxIndex    = 16 << 20 // bytes
	maxShards   = 1000
)

// Shards returns the names of the files, in the folder of the index at path, that hold the tensors. It returns nil for a
// path that names no index.
func Shards(path string) ([]string, error) {
	if !strings.HasSuffix(path, indexSuffix) {
		return nil, nil
	}
	_, names, err := readIndex(path)
	return names, err
}

// ReadShards reads the tensors of all shards of the index at path.
func ReadShards(path string) (Tensors, error) {
	index, names, err := readIndex(path)
	if err != nil {
		return nil, err
	}
	all := make(Tensors, len(index))
	for _, name := range names {
		shard := filepath.Join(filepath.Dir(path), name)
		var ts Tensors
		if strings.EqualFold(filepath.Ext(name), ".safetensors") {
			ts, _, err = ReadSafetensors(shard)
		} else {
			ts, _, err = OpenTorch(shard)
		}
		if err != nil {
			return nil, err
		}
		for key, t := range ts {
			if index[key] != name {
				return nil, fmt.Errorf("open checkpoint %q: %w: the shard %s holds a tensor %q that the index places in %q", path, ErrFormat,
					name, key, index[key])
			}
			all[key] = t
		}
	}
	for key, name := range index {
		if all[key] == nil {
			return nil, fmt.Errorf("open checkpoint %q: %w: the shard %s lacks the tensor %q", path, ErrFormat, name, key)
		}
	}
	return all, nil
}

func readIndex(path string) (index map[string]string, names []string, err error) {
	raw, err := regular.ReadFile(path, maxIndex)
	if err != nil {
		return nil, nil, fmt.Errorf("open checkpoint %q: %w", path, reason(err))
	}
	if index, names, err = ParseIndex(raw); err != nil {
		return nil, nil, fmt.Errorf("open checkpoint %q: %w", path, err)
	}
	return index, names, nil
}

// ParseIndex reads an index of shards: the file of each tensor, and the names of these files, sorted. They lie beside the
// index.
func ParseIndex(raw []byte) (index map[string]string, names []string, err error) {
	var file struct {
		Map map[string]string `json:"weight_map"`
	}
	if err := json.Unmarshal(raw, &file); err != nil {
		return nil, nil, fmt.Errorf("%w: no index of shards: %w", ErrFormat, err)
	}
	seen := map[string]bool{}
	for _, name := range file.Map {
		if !seen[name] {
			seen[name] = true
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		if name != filepath.Base(name) || name == "." || name == ".." || strings.ContainsAny(name, "\\\x00") || len(name) > math.MaxUint8 {
			return nil, nil, fmt.Errorf("%w: the index names a shard %.80q outside its folder", ErrFormat, name)
		}
	}
	if len(names) == 0 || len(names) > maxShards {
		return nil, nil, fmt.Errorf("%w: the index names %d shards, want 1 to %d", ErrFormat, len(names), maxShards)
	}
	return file.Map, names, nil
}
