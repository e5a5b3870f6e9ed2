package detector

import (
	"testing"
	"time"
)

func TestFootageAndEpisodes(t *testing.T) {
	if got := Footage([]time.Duration{0, 1e8, 9e8, 11e8, 50e8}); got != 3 {
		t.Errorf("Footage() = %d, want 3 seconds", got)
	}
	if got := Episode([]float32{1, 2, 3, 9}, []time.Duration{0, 20e9, 40e9, 60e9}); got != 0 {
		t.Errorf("Episode() of unrelated frames = %v, want 0", got)
	}
}
