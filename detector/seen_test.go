package detector

import (
	"slices"
	"testing"
)

// Each cell is seen as its likeliest class, the first of equals; encoders without classes see none.
func TestLikeliest(t *testing.T) {
	enc := &Encoding{Classes: 3, LogitsWidth: 2, LogitsHeight: 2, Logits: []float32{
		1, 5, -3, 2,
		2, 4, -2, 2,
		0, 6, -9, 1,
	}}
	if got := enc.likeliest(); !slices.Equal(got, []uint16{1, 2, 1, 0}) {
		t.Errorf("got %v", got)
	}
	enc = &Encoding{LogitsWidth: 2, LogitsHeight: 2}
	if got := enc.likeliest(); got != nil {
		t.Errorf("without classes: got %v", got)
	}
	m := &Map{Seen: []uint16{1, 2}, Classes: []string{"road", "car"}}
	for i, want := range []string{"car", "", ""} {
		if got := m.SeenAs(i); got != want {
			t.Errorf("cell %d is seen as %q, want %q", i, got, want)
		}
	}
}
