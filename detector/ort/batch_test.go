package ort

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/detector/ort/orttest"
	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/models"
)

// A frame has the same encoding among others as alone, whether the encoder takes one picture or several at a time, and
// whatever the sizes of the frames and the earlier calls.
func TestEncodeAll(t *testing.T) {
	open(t)
	one, err := orttest.MeanEncoder()
	if err != nil {
		t.Fatal(err)
	}
	bundle, err := models.Open(models.Embedded)
	if err != nil {
		t.Fatal(err)
	}
	several, err := bundle.Encoder()
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		model []byte
		many  bool
	}{{one, false}, {several, true}} {
		e, alone := encoder(t, tt.model), encoder(t, tt.model)
		if e.Batches() != tt.many {
			t.Fatalf("Batches() = %t", e.Batches())
		}
		for _, sizes := range [][][2]int{
			{{128, 64}, {128, 64}, {256, 128}, {200, 100}, {128, 64}}, // the third is shrunk to the size of the first
			{{128, 64}, {128, 64}},
			{{200, 100}},
		} {
			var frames []*ingest.Frame
			for i, size := range sizes {
				frames = append(frames, noise(uint64(i), size[0], size[1]))
			}
			all, err := e.EncodeAll(t.Context(), frames, 128, 64)
			if err != nil {
				t.Fatal(err)
			}
			for i, f := range frames {
				want, err := alone.Encode(t.Context(), f, 128, 64)
				if err != nil {
					t.Fatal(err)
				}
				t.Run(fmt.Sprintf("several=%t/%v/%d", tt.many, sizes, i), func(t *testing.T) { sameEncoding(t, all[i], want) })
			}
		}
	}
}

// sameEncoding allows for float32 sums in another order.
func sameEncoding(t *testing.T, got, want *detector.Encoding) {
	t.Helper()
	grids := func(e *detector.Encoding) []int {
		return []int{e.Width, e.Height, e.Channels, e.LogitsWidth, e.LogitsHeight, e.Classes}
	}
	if !slices.Equal(grids(got), grids(want)) {
		t.Fatalf("grids %v, want %v", grids(got), grids(want))
	}
	for name, v := range map[string][2][]float32{
		"features": {got.Features, want.Features}, "logits": {got.Logits, want.Logits}, "lse": {got.LSE, want.LSE},
		"guide": {got.Guide, want.Guide},
	} {
		close32(t, name, v[0], v[1], 1e-3)
	}
}

func close32(t *testing.T, name string, got, want []float32, tolerance float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d values, want %d", name, len(got), len(want))
	}
	worst := 0.0
	for i, v := range got {
		worst = max(worst, math.Abs(float64(v-want[i])))
	}
	if !(worst <= tolerance) {
		t.Errorf("%s: worst difference %v", name, worst)
	}
}

// A picture has the same scores among others as alone, whether a run takes part of a picture or several pictures.
func TestScoreAllTo(t *testing.T) {
	open(t)
	const n, pictures = 21, 5
	net := models.DenoiserConfig{
		Channels: 10, Width: 24, Groups: 8, Blocks: [3]int{3, 1, 3}, Time: "sinusoidal", InputProjection: true,
	}
	timesteps := []int{40, 200, 7}
	x := randomFeatures(n*pictures, net.Channels)
	for _, noise := range []string{models.NoiseIndependent, models.NoiseAntithetic} {
		for _, score := range []string{models.ScoreCosine, models.ScoreMSE} {
			for _, rows := range []int{40, 300, 10_000} { // parts of a picture, two or three pictures, all of them
				for _, tokens := range [][]int{nil, {0, 2, 3, 17, 20}} {
					cfg := ScorerConfig{
						Denoiser: net, Weights: denoiser(net, 3), Noise: noise, Score: score, Seed: 11, Rows: rows, Draws: 2,
					}
					s := scorer(t, cfg, Options{Threads: 2})
					size := n * len(timesteps)
					if tokens != nil {
						size = len(tokens) * len(timesteps)
					}
					var dst, features [][]float32
					for i := range pictures {
						dst, features = append(dst, make([]float32, size)), append(features, x[i*n*net.Channels:][:n*net.Channels])
					}
					if err := s.ScoreAllTo(dst, features, tokens, timesteps); err != nil {
						t.Fatal(err)
					}
					for i := range pictures {
						want := make([]float32, size)
						if err := s.ScoreAllTo([][]float32{want}, features[i:i+1], tokens, timesteps); err != nil {
							t.Fatal(err)
						}
						close32(t, fmt.Sprintf("%s %s %d rows, tokens %v, picture %d", noise, score, rows, tokens, i), dst[i], want, 1e-5)
					}
				}
			}
		}
	}
}

func TestScoreAllToRefuses(t *testing.T) {
	open(t)
	net := models.DenoiserConfig{Channels: 16, Width: 16, Groups: 4, Blocks: [3]int{1, 0, 1}, Time: "sinusoidal"}
	s := scorer(t, ScorerConfig{Denoiser: net, Weights: denoiser(net, 3), Noise: models.NoiseShared, Score: models.ScoreMSE}, Options{})
	four, five, room := randomFeatures(4, 16), randomFeatures(5, 16), make([]float32, 4)
	for name, err := range map[string]error{
		"nothing":        s.ScoreAllTo(nil, nil, nil, []int{3}),
		"no room":        s.ScoreAllTo([][]float32{room}, [][]float32{four, four}, nil, []int{3}),
		"two sizes":      s.ScoreAllTo([][]float32{room, room}, [][]float32{four, five}, nil, []int{3}),
		"among some":     s.ScoreAllTo([][]float32{room, room}, [][]float32{four, five}, []int{0, 1, 2, 3}, []int{3}),
		"no timesteps":   s.ScoreAllTo([][]float32{room}, [][]float32{four}, nil, nil),
		"half a feature": s.ScoreAllTo([][]float32{room}, [][]float32{four[:60]}, nil, []int{3}),
	} {
		if err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
