package ort

import (
	"math"
	"slices"
	"testing"

	"github.com/oodcast/oodcast/detector/diffusion"
	"github.com/oodcast/oodcast/models"
)

// Several draws give the mean of the scores of scorers with the seeds of the draws.
func TestDrawsAreAMean(t *testing.T) {
	open(t)
	cfg := ScorerConfig{
		Denoiser: models.DenoiserConfig{Channels: 8, Width: 8, Groups: 1, Blocks: [3]int{1, 0, 1}, Time: models.TimeSinusoidal},
		Noise:    models.NoiseIndependent, Score: models.ScoreCosine, Seed: 5,
	}
	cfg.Weights = denoiser(cfg.Denoiser, 3)
	const n = 40
	x, steps := randomFeatures(n, 8), []int{10, 200}
	run := func(cfg ScorerConfig) []float32 {
		dst := make([]float32, n*len(steps))
		if err := scorer(t, cfg, Options{Threads: 2}).ScoreTo(dst, x, n, steps); err != nil {
			t.Fatal(err)
		}
		return dst
	}
	cfg.Draws = 3
	got := run(cfg)
	if again := run(cfg); !slices.Equal(got, again) {
		t.Error("the same draws give other scores")
	}
	want := make([]float64, len(got))
	cfg.Draws = 1
	for d := range uint64(3) {
		cfg.Seed = 5 + d*0x9e3779b97f4a7c15
		for i, v := range run(cfg) {
			want[i] += float64(v) / 3
		}
	}
	for i, v := range got {
		if math.Abs(float64(v)-want[i]) > 1e-5 {
			t.Fatalf("score %d = %v, want %v", i, v, want[i])
		}
	}
}

// Equal tokens have equal scores with shared noise, but not with independent noise.
func TestSharedNoise(t *testing.T) {
	open(t)
	cfg := ScorerConfig{
		Denoiser: models.DenoiserConfig{Channels: 8, Width: 8, Groups: 1, Blocks: [3]int{1, 0, 1}, Time: models.TimeSinusoidal},
		Score:    models.ScoreCosine, Seed: 5,
	}
	cfg.Weights = denoiser(cfg.Denoiser, 3)
	const n = 40
	x := make([]float32, n*8)
	for i := range x {
		x[i] = float32(i % 8)
	}
	for noise, want := range map[string]bool{models.NoiseShared: true, models.NoiseIndependent: false} {
		cfg.Noise = noise
		dst := make([]float32, n)
		if err := scorer(t, cfg, Options{Threads: 2}).ScoreTo(dst, x, n, []int{200}); err != nil {
			t.Fatal(err)
		}
		if got := slices.Max(dst)-slices.Min(dst) < 1e-6; got != want {
			t.Errorf("%s: equal tokens score between %v and %v", noise, slices.Min(dst), slices.Max(dst))
		}
	}
	a := diffusion.Noise{Seed: 5, Shared: true}.FillTo(make([]float32, 8), 200, 3, 8)
	b := diffusion.Noise{Seed: 5}.FillTo(make([]float32, 8), 200, 0, 8)
	if !slices.Equal(a, b) {
		t.Error("shared noise is not the noise of the first token")
	}
}
