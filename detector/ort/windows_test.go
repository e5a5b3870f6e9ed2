package ort

import (
	"slices"
	"testing"

	"github.com/oodcast/oodcast/models"
)

// A grid is scored square by square: the score of a token depends only on the square that contains it.
func TestScoreGridInWindows(t *testing.T) {
	open(t)
	net := models.DenoiserConfig{Channels: 4, Width: 8, Groups: 2, Blocks: [3]int{2, 0, 2}, InputProjection: true, Window: 4}
	s := scorer(t, ScorerConfig{
		Denoiser: net, Weights: denoiser(net, 1), Noise: models.NoiseAntithetic, Score: models.ScoreCosine, Timesteps: []int{9, 99},
	}, Options{Threads: 2})
	steps := []int{9, 99}
	score := func(x []float32, w, h int) []float32 {
		t.Helper()
		dst := make([]float32, len(steps)*w*h)
		if err := s.ScoreGridTo(dst, x, w, h, steps); err != nil {
			t.Fatal(err)
		}
		return dst
	}
	const w, h = 10, 4 // squares at x = 0, 4 and 6
	x := randomFeatures(w*h, net.Channels)
	before := score(x, w, h)
	if again := score(x, w, h); !slices.Equal(before, again) {
		t.Error("the same features have different scores")
	}
	x[net.Channels*(2*w+1)] += 3 // in the first square
	after := score(x, w, h)
	changed := 0
	for i := range before {
		if before[i] != after[i] {
			changed++
			if column := i % w; column >= 4 {
				t.Fatalf("column %d changed with column 1", column)
			}
		}
	}
	if changed < 2*4*4/2 {
		t.Errorf("%d scores changed, want most of the square: the network sees the neighbours", changed)
	}
	if small := score(x[:3*2*net.Channels], 3, 2); slices.Contains(small, 0) {
		t.Errorf("grid smaller than a square: %v", small)
	}
	if err := s.ScoreTo(make([]float32, 2*w*h), x, w*h, steps); err == nil {
		t.Error("scored features without a grid")
	}
}
