package nets

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/oodcast/oodcast/models"
	"github.com/oodcast/oodcast/models/checkpoint"
)

// denoiserPrefix is in front of the names of a denoiser's weights.
const denoiserPrefix = "denoiser."

// InferDenoiser derives a denoiser's configuration from the names and shapes of its weights, and returns the weights that it
// uses: its parameters and its normalisation, see [WithNormalisation]. Every published denoiser has 32 groups. Weights that
// are missing, of another shape or of another network are an error.
func InferDenoiser(weights checkpoint.Tensors) (models.DenoiserConfig, checkpoint.Tensors, error) {
	const last = denoiserPrefix + "out.2.weight"
	fail := func(err error) (models.DenoiserConfig, checkpoint.Tensors, error) {
		return models.DenoiserConfig{}, nil, err
	}
	if weights[last] == nil {
		return fail(fmt.Errorf("nets: these are not the weights of a DOoD denoiser: of its tensors %q is missing; the file holds %s",
			last, someNames(weights)))
	}
	out, err := weights.Get(last, -1, -1)
	if err != nil {
		return fail(fmt.Errorf("denoiser weights: %w", err))
	}
	cfg := models.DenoiserConfig{
		Channels: out.Shape[0], Width: out.Shape[1], Time: models.TimeScalar,
		InputProjection: weights[denoiserPrefix+"in_proj.weight"] != nil,
	}
	if weights[denoiserPrefix+"time_embed.2.weight"] != nil {
		cfg.Time = models.TimeSinusoidal
	}
	for part, name := range []string{"input_blocks", "middle_blocks", "output_blocks"} {
		for weights[fmt.Sprintf("%s%s.%d.0.in_layers.0.weight", denoiserPrefix, name, cfg.Blocks[part])] != nil {
			cfg.Blocks[part]++
		}
	}
	cfg = cfg.Defaults()
	if err := cfg.Validate(); err != nil {
		return fail(fmt.Errorf("denoiser weights: %s", strings.ReplaceAll(err.Error(), "\n", "; ")))
	}
	used := checkpoint.Tensors{}
	for _, p := range DenoiserParams(cfg) {
		if used[p.Name], err = weights.Get(p.Name, p.Shape...); err != nil {
			return fail(fmt.Errorf("denoiser weights: %w", err))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(weights)) {
		if strings.HasPrefix(name, denoiserPrefix) && used[name] == nil {
			return fail(fmt.Errorf("denoiser weights: the network does not use the weights %q", name))
		}
	}
	if weights, err = WithNormalisation(weights, cfg.Channels); err != nil {
		return fail(err)
	}
	used[NormShift], used[NormScale] = weights[NormShift], weights[NormScale]
	for c, scale := range used[NormScale].Data {
		if shift := float64(used[NormShift].Data[c]); !(scale > 0) || math.IsInf(float64(scale), 0) || math.IsNaN(shift) || math.IsInf(shift, 0) {
			return fail(fmt.Errorf("denoiser weights: the normalisation of channel %d is (x - %g)/%g: want finite numbers, and a scale above 0",
				c, shift, scale))
		}
	}
	return cfg, used, nil
}
