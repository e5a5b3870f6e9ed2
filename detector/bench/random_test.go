package bench_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/oodcast/oodcast/detector/bench"
	"github.com/oodcast/oodcast/detector/ort"
	"github.com/oodcast/oodcast/models/zoo"
)

// A network without files is measured whole: its working size is a possible one, and its work is that of its layers.
func TestRandom(t *testing.T) {
	cfg := bench.Config{Width: 140, Height: 100, Timesteps: []int{1, 3}, Frames: 1, Batch: 1}
	r, err := bench.Random(t.Context(), "resnet18", cfg, ort.Options{})
	if err != nil {
		t.Fatal(err)
	}
	// Of the first convolution alone, 64×48 results of 64 channels of 7·7·3.
	if r.Width != 128 || r.Height != 96 || r.Bundle != "resnet18" || len(r.Rows) != 2 || r.Multiplications < 64*48*64*7*7*3 {
		t.Errorf("Random() = %+v", r)
	}
	if r.Params < 11e6 || r.DenoiserParams < 1e6 || r.PerTimestep < 8*6*1e6 || r.Rows[0].EncodeP50 <= 0 || r.Rows[1].ScoreP50 <= 0 {
		t.Errorf("Random() = %+v", r)
	}
}

// What does not fit is refused before any memory is taken, and an unknown name lists the known ones.
func TestRandomRefuses(t *testing.T) {
	cfg := bench.Config{Width: 8192, Height: 8192, Timesteps: []int{1}, Frames: 1, Batch: 32}
	if _, err := bench.Random(t.Context(), "setr-l", cfg, ort.Options{}); !errors.Is(err, bench.ErrMemory) || !strings.Contains(err.Error(), "take a smaller --size") {
		t.Errorf("setr-l at 8192×8192: %v", err)
	}
	if _, err := bench.Random(t.Context(), "vgg", cfg, ort.Options{}); !errors.Is(err, zoo.ErrUnknown) {
		t.Errorf("vgg: %v", err)
	}
}
