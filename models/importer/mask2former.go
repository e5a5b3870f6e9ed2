package importer

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"runtime/debug"

	"github.com/oodcast/oodcast/models"
	"github.com/oodcast/oodcast/models/checkpoint"
	"github.com/oodcast/oodcast/models/nets"
)

// Mask2FormerSource names the files that a Mask2Former encoder is made of.
type Mask2FormerSource struct {
	// Path is a folder with model.safetensors (or pytorch_model.bin) and config.json as on the Hugging Face hub, or the file
	// with the weights in it. A preprocessor_config.json in the same folder states the mean and the deviation of pixels.
	Path string
	// Features lists the tensors that become the features, see [nets.Mask2FormerConfig]; "" stands for the default.
	Features string
}

// Mask2Former imports a Mask2Former on a Swin transformer of any size, with the class and mask logits of its queries. Its class
// names are those of config.json unless opt has others.
func Mask2Former(src Mask2FormerSource, opt Options) (r *Result, err error) {
	h, err := openHub(src.Path, "the number of attention heads")
	if err != nil {
		return nil, err
	}
	cfg, names, err := nets.InferMask2Former(h.config, h.weights)
	if err != nil {
		return nil, badInput(h.path, err)
	}
	cfg.Mean, cfg.Std, cfg.Features = h.mean, h.std, src.Features
	if cfg.Features == "" {
		cfg.Features = nets.DefaultMask2FormerFeatures
	}
	params := h.weights.Params()
	s, err := opt.mask2Former(h, cfg)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	if len(opt.Classes) == 0 {
		opt.Classes = names
	}
	return opt.write(network{
		source: h.path, with: h.files, model: s.weighted, classes: cfg.Classes,
		spec: models.EncoderSpec{
			Architecture: "mask2former", Features: cfg.Features, Channels: cfg.Channels(), Stride: cfg.Stride(),
			LogitsStride: cfg.MapStride(),
		},
		summary: fmt.Sprintf("%s%d parameters, %d queries, depths %v", spaced(cfg.Variant()), params, cfg.Queries, cfg.Backbone.Depths),
	})
}

// mask2Former builds the encoder. It frees each form of the weights before it makes the form after the next one.
func (o Options) mask2Former(h *hub, cfg nets.Mask2FormerConfig) (*source, error) {
	g, err := nets.Mask2Former(cfg, h.weights)
	if err != nil {
		return nil, badInput(h.path, err)
	}
	h.weights = nil
	debug.FreeOSMemory()
	model, err := g.Marshal()
	if err != nil {
		return nil, fmt.Errorf("import %q: %w", h.path, err)
	}
	debug.FreeOSMemory()
	return o.spill(h.path, model)
}

// hub is a network as it is on the Hugging Face hub.
type hub struct {
	path      string // of the weights
	config    []byte // config.json
	weights   checkpoint.Tensors
	mean, std [3]float64 // zeros stand for ImageNet's
	files     []string   // those beside the weights
}

// openHub reads a network from a folder, or from the file with the weights in it. shows says what config.json is needed for.
func openHub(path, shows string) (h *hub, err error) {
	h = &hub{}
	if h.path, err = hubFile(path); err != nil {
		return nil, err
	}
	config := filepath.Join(filepath.Dir(h.path), hubConfig)
	h.config, err = readHub(config)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, badInput(h.path, fmt.Errorf("%s must lie beside the weights, which do not show %s", hubConfig, shows))
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
