package method

import (
	"context"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/detector/diffusion"
)

func diffusionMethods() []Method {
	part := func(part string) func(*Kit, []int) (Scorer, error) {
		return func(k *Kit, timesteps []int) (Scorer, error) {
			d, err := k.Detector(part, len(timesteps))
			if err != nil {
				return nil, err
			}
			return func(_ context.Context, x *Encoded) (*detector.Map, error) { return d.ScoreEncoding(x.Encoding) }, nil
		}
	}
	denoising := func(score string) func(*Kit, []int) (Scorer, error) {
		return func(k *Kit, timesteps []int) (Scorer, error) {
			s, err := k.Denoising(score)
			if err != nil {
				return nil, err
			}
			return denoisingScorer(s, timesteps), nil
		}
	}
	return []Method{
		{
			Name: "dood", Source: "Galesso et al., Diffusion for Out-of-Distribution Detection on Road Scenes and Beyond, " +
				"ECCV 2024: the compound, by the bundle's rule",
			Timesteps: true, needs: ErrNeedsDenoiser, build: part(detector.PartCompound),
		},
		{
			Name: "dood-diffusion", Source: "the same without the segmenter's uncertainty",
			Timesteps: true, needs: ErrNeedsDenoiser, build: part(detector.PartDiffusion),
		},
		{
			Name: "eps-mse", Source: "Shin et al., Anomaly Detection using Score-based Perturbation Resilience, ICCV 2023, " +
				"on features: mean squared error of the predicted noise",
			Timesteps: true, needs: ErrNeedsDenoiser, build: denoising(NoiseError),
		},
		{
			Name: "recon-mse", Source: "Wyatt et al., AnoDDPM, CVPRW 2022, on features: mean squared error after the reverse " +
				"chain of t+1 steps, without fresh noise (DDIM)",
			Timesteps: true, needs: ErrNeedsDenoiser, build: denoising(ReconstructionError),
		},
	}
}

// denoisingScorer sums a denoising error over the timesteps, unweighted, as in the paper's comparison.
func denoisingScorer(s detector.Scorer, timesteps []int) Scorer {
	weights := make([]float64, len(timesteps))
	for i := range weights {
		weights[i] = 1
	}
	var scores []float32
	return func(_ context.Context, x *Encoded) (*detector.Map, error) {
		n := x.Width * x.Height
		scores = grow(scores, n*len(timesteps))
		if err := detector.ScoreEncoding(s, scores, x.Encoding, timesteps); err != nil {
			return nil, err
		}
		return tokenMap(x, diffusion.AggregateTo(make([]float32, n), scores, weights)), nil
	}
}

// tokenMap returns a map on the grid of the features.
func tokenMap(x *Encoded, values []float32) *detector.Map {
	return &detector.Map{Width: x.Width, Height: x.Height, Values: values}
}

// grow returns s with length n, reallocated if its capacity is too small.
func grow(s []float32, n int) []float32 {
	if cap(s) < n {
		return make([]float32, n)
	}
	return s[:n]
}
