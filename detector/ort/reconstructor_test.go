package ort

import (
	"math"
	"slices"
	"testing"

	"github.com/oodcast/oodcast/detector/diffusion"
	"github.com/oodcast/oodcast/models"
)

// plainDenoiser returns a network in plain Go, and its normalised features.
func plainDenoiser(cfg ScorerConfig, features []float32) (*diffusion.Denoiser, []float32) {
	c := cfg.Denoiser.Channels
	d := &diffusion.Denoiser{
		Channels: c, Width: cfg.Denoiser.Width, Groups: cfg.Denoiser.Groups, Blocks: cfg.Denoiser.Blocks,
		Time: cfg.Denoiser.Time, InputProjection: cfg.Denoiser.InputProjection, Params: map[string][]float32{},
	}
	for name, w := range cfg.Weights {
		d.Params[name] = w.Data
	}
	shift, scale := d.Params["normalization.shift"], d.Params["normalization.scale"]
	x := make([]float32, len(features))
	for i, v := range features {
		x[i] = (v - shift[i%c]) / scale[i%c]
	}
	return d, x
}

// The chain of graph runs and the plain Go chain must agree, whatever the tiles. The tolerance is 1e-3 because both work
// in float32 and dozens of steps accumulate rounding errors.
func TestReconstructorMatchesReference(t *testing.T) {
	open(t)
	const n = 11
	steps := []int{25, 0, 7}
	for _, net := range []models.DenoiserConfig{
		{Channels: 16, Width: 16, Groups: 4, Blocks: [3]int{2, 1, 2}, Time: "sinusoidal"},
		{Channels: 10, Width: 24, Groups: 1, Blocks: [3]int{2, 0, 2}, Time: "scalar", InputProjection: true},
	} {
		cfg := ScorerConfig{Denoiser: net, Weights: denoiser(net, 3), Seed: 11, Timesteps: steps, Rows: 4}
		features := randomFeatures(n, net.Channels)
		d, x := plainDenoiser(cfg, features)
		r, err := NewReconstructor(cfg, Options{Threads: 2})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = r.Close() })
		got := make([]float32, len(steps)*n)
		if err := r.ScoreTo(got, features, n, steps); err != nil {
			t.Fatal(err)
		}
		for k, step := range steps {
			eps := diffusion.Noise{Seed: cfg.Seed}.FillTo(make([]float32, len(x)), step, 0, net.Channels)
			rec, err := d.Reconstruct(diffusion.NewSchedule(), x, eps, step)
			if err != nil {
				t.Fatal(err)
			}
			for i := range n {
				row := i * net.Channels
				want := float64(diffusion.MSE(x[row:][:net.Channels], rec[row:][:net.Channels]))
				if v := float64(got[k*n+i]); math.Abs(v-want) > 1e-3*(want+1e-3) {
					t.Errorf("%s, t=%d, token %d: %v, want %v", net.Time, step, i, v, want)
				}
			}
		}
	}
}

func TestReconstructorRefuses(t *testing.T) {
	open(t)
	net := models.DenoiserConfig{Channels: 8, Width: 8, Groups: 1, Blocks: [3]int{1, 0, 1}, Time: "scalar"}
	cfg := ScorerConfig{Denoiser: net, Weights: denoiser(net, 3)}
	if _, err := NewReconstructor(cfg, Options{}); err == nil {
		t.Error("without timesteps: no error")
	}
	cfg.Timesteps = []int{2, 5}
	r, err := NewReconstructor(cfg, Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.ScoreTo(make([]float32, 1), make([]float32, 8), 1, []int{6}); err == nil {
		t.Error("a timestep beyond the last: no error")
	}
	if err := r.ScoreTo(make([]float32, 2), make([]float32, 8), 1, []int{5}); err == nil {
		t.Error("a dst of the wrong length: no error")
	}
	for range 2 {
		if err := r.Close(); err != nil {
			t.Errorf("Close() = %v", err)
		}
	}
}

func TestProduct(t *testing.T) {
	open(t)
	p, err := NewProduct()
	if err != nil {
		t.Fatal(err)
	}
	a, b := []float32{1, 2, 3, 4, 5, 6}, []float32{1, 0, -1, 2, 2, 2, 0, 1, 0, 9, 9, 9}
	got := make([]float32, 8)
	if err := p.MultiplyTo(got, a, b, 2, 4, 3); err != nil {
		t.Fatal(err)
	}
	if want := []float32{-2, 12, 2, 54, -2, 30, 5, 135}; !slices.Equal(got, want) {
		t.Errorf("a·bᵀ = %v, want %v", got, want)
	}
	if err := p.MultiplyTo(got, a, b, 2, 4, 2); err == nil {
		t.Error("wrong lengths: no error")
	}
	for range 2 {
		if err := p.Close(); err != nil {
			t.Errorf("Close() = %v", err)
		}
	}
}
