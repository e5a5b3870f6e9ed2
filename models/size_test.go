package models_test

import (
	"testing"

	"github.com/oodcast/oodcast/models"
)

// An encoder of one size says so, and has its golden outputs there; others take multiples.
func TestCheckSize(t *testing.T) {
	free := models.EncoderSpec{Size: models.Size{Width: 1024, Height: 512}, Multiple: 14}
	fixed := models.EncoderSpec{Size: models.Size{Width: 96, Height: 64}, Fixed: true}
	for _, tt := range []struct {
		spec          models.EncoderSpec
		width, height int
		want          string
	}{
		{free, 0, 0, ""},
		{free, 140, 28, ""},
		{free, 128, 64, "got 128x64, want multiples of 14 for this bundle"},
		{fixed, 0, 0, ""},
		{fixed, 96, 64, ""},
		{fixed, 192, 128, "got 192x128, want 96x64: this network takes no other size"},
	} {
		got := ""
		if err := tt.spec.CheckSize(tt.width, tt.height); err != nil {
			got = err.Error()
		}
		if got != tt.want {
			t.Errorf("%dx%d: %q, want %q", tt.width, tt.height, got, tt.want)
		}
	}
	if g := free.GoldenSize(); g != (models.Size{Width: 140, Height: 98}) {
		t.Errorf("golden size %v", g)
	}
	if g := fixed.GoldenSize(); g != fixed.Size {
		t.Errorf("golden size %v of a fixed encoder", g)
	}
}
