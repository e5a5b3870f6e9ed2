package models

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
)

// blockMeans is an encoder that needs no runtime: it sums each of the picture's three channels over blocks.
func blockMeans(scale float32) EncodeFunc {
	return func(rgb []uint8, width, height int, size Size) (map[string]Output, error) {
		h, w := size.Height/16, size.Width/16
		out := Output{Shape: []int64{int64(h), int64(w), 3}, Data: make([]float32, h*w*3)}
		for y := range height {
			for x := range width {
				for c := range 3 {
					out.Data[(y*h/height*w+x*w/width)*3+c] += scale * float32(rgb[3*(y*width+x)+c])
				}
			}
		}
		return map[string]Output{"features": out, "lse": {Shape: []int64{2}, Data: []float32{scale, 2}}}, nil
	}
}

func TestGolden(t *testing.T) {
	g, err := NewGolden(blockMeans(1), Size{128, 96})
	if err != nil {
		t.Fatal(err)
	}
	raw, err := g.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	if g, err = ParseGolden(raw); err != nil {
		t.Fatal(err)
	}
	if d, err := g.Check(blockMeans(1), 1); err != nil || d != 0 {
		t.Errorf("the same encoder: %v, %v", d, err)
	}
	if d, err := g.Check(blockMeans(1.001), 1); err != nil || d < 1e-4 {
		t.Errorf("an encoder within the tolerance: %v, %v", d, err)
	}
	if _, err := g.Check(blockMeans(1.01), 1); err == nil || !strings.Contains(err.Error(), `output "features" differs`) {
		t.Errorf("another encoder: %v", err)
	}
	if _, err := g.Check(blockMeans(1.01), 10); err != nil {
		t.Errorf("another encoder with slack: %v", err)
	}
	if _, err := g.Check(blockMeans(float32(math.NaN())), 1); err == nil {
		t.Error("NaN passed")
	}
	boom := errors.New("boom")
	if _, err := g.Check(func([]uint8, int, int, Size) (map[string]Output, error) { return nil, boom }, 1); !errors.Is(err, boom) {
		t.Errorf("an encoder that breaks: %v", err)
	}
	if _, err := NewGolden(blockMeans(float32(math.Inf(1))), Size{128, 96}); err == nil {
		t.Error("an infinite output became golden")
	}
}

func TestGoldenImageIsTheFormula(t *testing.T) {
	pix := GoldenImage(40, 30)
	x, y := 37, 21
	want := []uint8{
		uint8((x*3 + y*5 + x*y/16) % 256), uint8((x*4 + y*4 + x*y*2/16) % 256), uint8((x*5 + y*3 + x*y*3/16) % 256),
	}
	if got := pix[3*(y*40+x):][:3]; !slices.Equal(got, want) {
		t.Errorf("pixel(%d,%d) = %v, want %v", x, y, got, want)
	}
}

func TestParseGoldenRefuses(t *testing.T) {
	g, err := NewGolden(blockMeans(1), Size{128, 96})
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		edit func(*Golden)
		want string
	}{
		{"formula", func(g *Golden) { g.Formula = "noise" }, `unknown formula "noise"`},
		{"huge", func(g *Golden) { g.Width = 1 << 30 }, "picture of"},
		{"size", func(g *Golden) { g.Size.Height = 0 }, "working size of"},
		{"empty", func(g *Golden) { g.Outputs = nil }, "no outputs"},
		{"step", func(g *Golden) { g.Outputs = map[string]Digest{"x": {}} }, `"x" has no digest`},
	}
	for _, tt := range tests {
		c := *g
		tt.edit(&c)
		raw, err := c.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ParseGolden(raw); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}
