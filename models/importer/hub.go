package importer

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

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

// hub is a network as it is on the Hugging Face hub.
type hub struct {
	path      string // of the weights
	config    []byte // config.json
	weights   checkpoint.Tensors
	mean, std [3]float64 // zeros stand for ImageNet's
	files     []string   // those beside the weights
}

// openHub reads a network from a folder, or from the file with the weights in it.
func openHub(path string) (h *hub, err error) {
	h = &hub{}
	if h.path, err = hubFile(path); err != nil {
		return nil, err
	}
	config := filepath.Join(filepath.Dir(h.path), hubConfig)
	h.config, err = readHub(config)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, badInput(h.path, fmt.Errorf("%s must lie beside the weights, which do not show the number of attention heads", hubConfig))
	}
	if err != nil {
		return nil, err
	}
	h.files = []string{config}
	pictures := filepath.Join(filepath.Dir(h.path), hubPictures)
	switch raw, err := readHub(pictures); {
	case err == nil:
		if h.mean, h.std, err = hubStatistics(raw); err != nil {
			return nil, badInput(pictures, err)
		}
		h.files = append(h.files, pictures)
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	h.weights, _, err = readWeights(h.path)
	return h, err
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

// hubStatistics returns the mean and the deviation that a preprocessor_config.json states, in pixels scaled to 0..1. It returns
// zeros, which stand for ImageNet's, if it states none.
func hubStatistics(raw []byte) (mean, std [3]float64, err error) {
	file := struct {
		Mean      []float64 `json:"image_mean"`
		Std       []float64 `json:"image_std"`
		Normalise *bool     `json:"do_normalize"`
		Rescale   *bool     `json:"do_rescale"`
		Factor    float64   `json:"rescale_factor"`
	}{Factor: 1. / 255}
	if err := json.Unmarshal(raw, &file); err != nil {
		return mean, std, err
	}
	if file.Rescale != nil && !*file.Rescale {
		file.Factor = 1
	}
	switch {
	case file.Normalise != nil && !*file.Normalise:
		file.Mean, file.Std = []float64{0, 0, 0}, []float64{1, 1, 1}
	case file.Mean == nil && file.Std == nil:
		return mean, std, nil
	}
	const least, most = 1e-6, 1e6
	if len(file.Mean) != 3 || len(file.Std) != 3 || slices.Min(file.Mean) < -most || slices.Max(file.Mean) > most ||
		slices.Min(append(file.Std, file.Factor)) < least || slices.Max(append(file.Std, file.Factor)) > most {
		return mean, std, fmt.Errorf("got image_mean %v, image_std %v and rescale_factor %v, want three numbers up to %g, and "+
			"three and one from %g to %g", file.Mean, file.Std, file.Factor, most, least, most)
	}
	for i := range 3 { // (x·factor - mean)/std with x = 255·pixel
		mean[i], std[i] = file.Mean[i]/(255*file.Factor), file.Std[i]/(255*file.Factor)
	}
	return mean, std, nil
}
