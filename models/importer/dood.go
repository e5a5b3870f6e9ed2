package importer

import (
	"errors"
	"fmt"
	"io"

	"github.com/oodcast/oodcast/models"
	"github.com/oodcast/oodcast/models/checkpoint"
	"github.com/oodcast/oodcast/models/nets"
)

// DOoDSource names a pair of files as DOoD published them.
type DOoDSource struct {
	// Segmenter holds the segmentation network under mmsegmentation's names: Segmenter or SETR-Naive.
	Segmenter string
	// Denoiser holds the denoiser of the keys of that network's last block.
	Denoiser string
	// Heads is the number of attention heads; 0 stands for one per 64 channels.
	Heads int
}

// noCalibration is the reason why an imported pair cannot score yet.
const noCalibration = "imported weights: the published files hold no statistics of the scores"

// DOoD imports a segmentation network with the denoiser that was trained on it. The bundle has the settings of the reference
// implementation, and needs a calibration.
func DOoD(src DOoDSource, opt Options) (r *Result, err error) {
	defer frugal()()
	weights, _, err := readWeights(src.Segmenter)
	if err != nil {
		return nil, err
	}
	cfg, err := nets.InferViTSegmenter(weights)
	if err != nil {
		return nil, badInput(src.Segmenter, err)
	}
	if src.Heads != 0 {
		cfg.Heads, cfg.HeadHeads = src.Heads, max(1, src.Heads/2)
	}
	stored, _, err := readWeights(src.Denoiser)
	if err != nil {
		return nil, err
	}
	denoiser, tensors, err := nets.InferDenoiser(stored)
	if err != nil {
		return nil, badInput(src.Denoiser, err)
	}
	if denoiser.Channels != cfg.Width {
		return nil, badInput(src.Denoiser, fmt.Errorf("the denoiser takes features of %d channels, those of %q have %d: the files are no pair",
			denoiser.Channels, src.Segmenter, cfg.Width))
	}
	n, done, err := opt.vit(src.Segmenter, cfg, weights)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, done()) }()
	n.with, n.denoiser = []string{src.Denoiser}, &denoiser
	n.denoiserFile = func(w io.Writer) error { return checkpoint.WriteSafetensors(w, tensors, nil) }
	n.summary += fmt.Sprintf("; a denoiser of %v blocks, time embedding %s", denoiser.Blocks, denoiser.Time)
	return opt.write(n)
}

// published sets a manifest to the choices of DOoD's reference implementation.
func published(m *models.Manifest, denoiser *models.DenoiserConfig) {
	m.Denoiser, m.Uncalibrated = denoiser, noCalibration
	m.Normalise = models.NormaliseGlobal
	m.Diffusion.Noise = models.NoiseIndependent
	m.Diffusion.Timesteps = make([]int, 25)
	for t := range m.Diffusion.Timesteps {
		m.Diffusion.Timesteps[t] = t
	}
	m.Compound = models.Compound{Rule: models.RuleStandardised, LSEWeight: 1, Upsample: models.UpsampleNearest}
}
