package importer

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"

	"github.com/oodcast/oodcast/models"
	"github.com/oodcast/oodcast/models/graph"
	"github.com/oodcast/oodcast/models/nets"
)

// SegFormerSource names the files that a SegFormer encoder is made of.
type SegFormerSource struct {
	// Path is a folder with model.safetensors (or pytorch_model.bin) and config.json as on the Hugging Face hub, or the file
	// with the weights in it. A preprocessor_config.json in the same folder states the mean and the deviation of pixels.
	Path string
	// Features lists the tensors that become the features, see [nets.SegFormerConfig]; "" stands for the default.
	Features string
	// LogitsStride is 4 or 8; 0 stands for 8.
	LogitsStride int
}

// SegFormer imports a SegFormer of any size. Its class names are those of config.json unless opt has others. Without a
// segmentation head, it is an encoder without classes.
func SegFormer(src SegFormerSource, opt Options) (r *Result, err error) {
	defer frugal()()
	path, err := hubFile(src.Path)
	if err != nil {
		return nil, err
	}
	config, err := readHub(filepath.Join(filepath.Dir(path), hubConfig))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, badInput(path, fmt.Errorf("%s must lie beside the weights, which do not show the number of attention heads", hubConfig))
	}
	if err != nil {
		return nil, err
	}
	weights, _, err := readWeights(path)
	if err != nil {
		return nil, err
	}
	cfg, names, err := nets.InferSegFormer(config, weights)
	if err != nil {
		return nil, badInput(path, err)
	}
	files := []string{filepath.Join(filepath.Dir(path), hubConfig)}
	pictures := filepath.Join(filepath.Dir(path), hubPictures)
	switch raw, err := readHub(pictures); {
	case err == nil:
		if cfg.Mean, cfg.Std, err = hubStatistics(raw); err != nil {
			return nil, badInput(pictures, err)
		}
		files = append(files, pictures)
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	cfg.Features, cfg.LogitsStride = src.Features, src.LogitsStride
	if cfg.Features == "" {
		cfg.Features = nets.DefaultSegFormerFeatures
	}
	params := weights.Params()
	s, err := opt.build(path, params, func(opts ...graph.Option) (*graph.Graph, error) {
		return nets.SegFormer(cfg, weights, opts...)
	})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	if len(opt.Classes) == 0 {
		opt.Classes = names
	}
	n := network{
		source: path, with: files, model: s.weighted, classes: cfg.Classes,
		spec: models.EncoderSpec{
			Architecture: "segformer", Features: cfg.Features, Channels: cfg.Channels(), Stride: cfg.Stride(),
			LogitsStride: models.MapStride(cfg.Stride()),
		},
		summary: fmt.Sprintf("%s%d parameters, widths %v, depths %v", spaced(cfg.Variant()), params, cfg.Widths, cfg.Depths),
	}
	if cfg.Classes > 0 {
		n.spec.LogitsStride = cfg.MapStride()
	}
	return opt.write(n)
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
