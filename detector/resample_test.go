package detector

import (
	"math"
	"slices"
	"testing"
)

func TestResizeTo(t *testing.T) {
	for _, tt := range []struct {
		name         string
		src          []float32
		sw, sh, w, h int
		want         []float32
	}{
		{"same", []float32{1, 2, 3, 4}, 2, 2, 2, 2, []float32{1, 2, 3, 4}},
		// Half-pixel centres: samples at 0.25 and 0.75 of the way, clamped at the borders. PyTorch's interpolate(bilinear,
		// align_corners=False) gives the same result.
		{"twice", []float32{0, 4}, 2, 1, 4, 1, []float32{0, 1, 3, 4}},
		{"half", []float32{0, 2, 4, 6}, 4, 1, 2, 1, []float32{1, 5}},
		{"column", []float32{0, 4}, 1, 2, 1, 4, []float32{0, 1, 3, 4}},
		{"one value", []float32{7}, 1, 1, 3, 2, []float32{7, 7, 7, 7, 7, 7}},
	} {
		got := resizeTo(nil, tt.src, tt.sw, tt.sh, tt.w, tt.h)
		if !slices.EqualFunc(got, tt.want, func(a, b float32) bool { return math.Abs(float64(a-b)) < 1e-6 }) {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestResizeKeepsARamp(t *testing.T) {
	const sw, sh, w, h = 7, 5, 91, 33
	src := make([]float32, sw*sh)
	for i := range src {
		src[i] = float32(2*(i%sw) - 3*(i/sw))
	}
	got := (&Map{Width: sw, Height: sh, Values: src}).ResizeTo(make([]float32, 0, w*h), w, h)
	for y := h / 5; y < 4*h/5; y++ { // away from the borders, where samples are clamped
		for x := w / 5; x < 4*w/5; x++ {
			want := 2*((float64(x)+0.5)*sw/w-0.5) - 3*((float64(y)+0.5)*sh/h-0.5)
			if math.Abs(float64(got[y*w+x])-want) > 1e-4 {
				t.Fatalf("(%d, %d) = %v, want %v", x, y, got[y*w+x], want)
			}
		}
	}
}

func TestNearestTo(t *testing.T) {
	got := nearestTo(nil, []float32{1, 2, 3}, 3, 1, 7, 1) // ⌊dst·3/7⌋
	if want := []float32{1, 1, 1, 2, 2, 3, 3}; !slices.Equal(got, want) {
		t.Errorf("nearestTo() = %v, want %v", got, want)
	}
}

func TestResizeReusesItsBuffer(t *testing.T) {
	m := &Map{Width: 8, Height: 4, Values: make([]float32, 32)}
	dst := m.ResizeTo(nil, 64, 32)
	if again := m.ResizeTo(dst, 64, 32); &again[0] != &dst[0] {
		t.Error("a buffer of the right size is not reused")
	}
}
