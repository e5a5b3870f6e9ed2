package overlay

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/ingest"
)

func TestFit(t *testing.T) {
	for _, c := range [][5]int{
		{640, 480, 960, 640, 480},
		{1920, 1080, 960, 960, 540},
		{641, 481, 960, 640, 480},
		{3840, 2160, 960, 960, 540},
		{1, 1, 960, 2, 2},
		{4000, 3, 960, 960, 2},
	} {
		if w, h := fit(c[0], c[1], c[2]); w != c[3] || h != c[4] {
			t.Errorf("fit(%d, %d, %d) = %d, %d, want %d, %d", c[0], c[1], c[2], w, h, c[3], c[4])
		}
	}
}

// TestScaleKeepsRamps scales linear ramps, whose value at every place is known whatever the factor.
func TestScaleKeepsRamps(t *testing.T) {
	for _, c := range [][4]int{
		{64, 48, 64, 48}, {100, 60, 64, 38}, {128, 96, 64, 48}, {200, 130, 64, 42}, {64, 48, 100, 80}, {5, 5, 2, 2},
	} {
		sw, sh, dw, dh := c[0], c[1], c[2], c[3]
		src := make([]byte, 3*sw*sh)
		for y := range sh {
			for x := range sw {
				p := src[3*(y*sw+x):]
				p[0], p[1], p[2] = byte(255*x/sw), byte(255*y/sh), 77
			}
		}
		dst := make([]byte, 3*dw*dh)
		(&scaler{}).scale(dst, dw, dh, src, sw, sh)
		for y := 1; y < dh-1; y++ { // at the border the ramp ends
			for x := 1; x < dw-1; x++ {
				p := dst[3*(y*dw+x):]
				wantX, wantY := 255*((float64(x)+.5)/float64(dw)-.5/float64(sw)), 255*((float64(y)+.5)/float64(dh)-.5/float64(sh))
				if !near(p[0], wantX, 4) || !near(p[1], wantY, 4) || p[2] != 77 { // both ends are rounded down
					t.Fatalf("%v: pixel %d,%d is %v, want %.0f %.0f 77", c, x, y, p[:3], wantX, wantY)
				}
			}
		}
	}
}

func near(got byte, want, tol float64) bool {
	return float64(got) >= want-tol && float64(got) <= want+tol
}

func TestPalette(t *testing.T) {
	p := newPalette()
	if p[0].a != 0 || p[shades-1].a < 100 || p[shades-1].r < p[shades-1].b {
		t.Errorf("ends are %v and %v", p[0], p[shades-1])
	}
	for i := 1; i < shades; i++ {
		if p[i].a < p[i-1].a {
			t.Errorf("alpha falls at %d", i)
		}
	}
	for _, threshold := range []float32{4, 0, -2, 30} {
		ramp := rampFor(threshold)
		if at := ramp.shade(threshold); at != 85 {
			t.Errorf("threshold %v has shade %d, want 85", threshold, at)
		}
		if ramp.shade(ramp.low-1) != 0 || ramp.shade(ramp.low+100) != shades-1 {
			t.Errorf("threshold %v: ends are not held", threshold)
		}
	}
}

// TestRenderSizes draws every item into pictures of odd sizes; nothing may fall off the edge.
func TestRenderSizes(t *testing.T) {
	for _, size := range [][2]int{{2, 2}, {16, 16}, {320, 200}, {961, 541}, {1921, 1081}, {3000, 20}} {
		for _, maxWidth := range []int{160, 960, 3840} {
			f := ingest.NewFrame(size[0], size[1])
			f.Captured = time.Now()
			v := View{Camera: strings.Repeat("camera", 5), Frame: f, Map: hill(32, 16), Banner: "NO SIGNAL"}
			rgb, w, h := NewRenderer(maxWidth).Render(v)
			if len(rgb) != 3*w*h || w%2 != 0 || h%2 != 0 || w > maxWidth {
				t.Errorf("%v at most %d wide: %dx%d with %d bytes", size, maxWidth, w, h, len(rgb))
			}
		}
	}
	if rgb, w, h := NewRenderer(960).Render(View{Camera: "front", Banner: "WAITING"}); w != 640 || h != 360 ||
		len(rgb) != 3*w*h {
		t.Errorf("slate is %dx%d", w, h)
	}
}

func hill(w, h int) *detector.Map {
	rng := rand.New(rand.NewPCG(1, 1))
	m := &detector.Map{
		Width: w, Height: h, Values: make([]float32, w*h), Timesteps: make([]int, 5), Threshold: 4, Peak: 9,
		Captured: time.Now(),
	}
	for i := range m.Values {
		m.Values[i] = float32(rng.NormFloat64())
	}
	for y := h / 4; y < h/2; y++ {
		for x := w / 4; x < w/2; x++ {
			m.Values[y*w+x] = 9
		}
	}
	return m
}

func TestLayerIsKept(t *testing.T) {
	l, m := NewLayer(), hill(64, 32)
	l.Set(m, 320, 160)
	pix := &l.pix[0]
	if n := testing.AllocsPerRun(5, func() { l.Set(m, 320, 160) }); n != 0 || &l.pix[0] != pix {
		t.Errorf("the same map costs %v allocations", n)
	}
	l.Set(nil, 320, 160)
	rgb := make([]byte, 3*320*160)
	l.Blend(rgb)
	for _, v := range rgb {
		if v != 0 {
			t.Fatal("a layer without a map is not clear")
		}
	}
}

func TestLayerDarkensOutsideTheRegionOfInterest(t *testing.T) {
	m := hill(64, 32)
	m.ROI = detector.ROI{Include: []detector.Polygon{{{0, 0}, {0.5, 0}, {0.5, 1}, {0, 1}}}}.Mask(64, 32)
	for i := range m.Values {
		m.Values[i] = 0 // clear
	}
	l := NewLayer()
	l.Set(m, 320, 160)
	rgb := make([]byte, 3*320*160)
	for i := range rgb {
		rgb[i] = 150
	}
	l.Blend(rgb)
	for _, c := range []struct {
		x    int
		want byte
	}{{0, 150}, {159, 150}, {160, 99}, {319, 99}} {
		if got := rgb[3*(320*80+c.x)]; got != c.want {
			t.Errorf("pixel %d of grey 150 became %d, want %d", c.x, got, c.want)
		}
	}
}

func BenchmarkRender(b *testing.B) {
	for _, size := range [][2]int{{960, 540}, {1280, 720}, {1920, 1080}} {
		for _, fresh := range []bool{false, true} {
			b.Run(fmt.Sprintf("frame=%dx%d/new_map=%v", size[0], size[1], fresh), func(b *testing.B) {
				f := ingest.NewFrame(size[0], size[1])
				f.Captured = time.Now()
				r := NewRenderer(960)
				maps := []*detector.Map{hill(128, 64), hill(128, 64)}
				i := 0
				b.ReportAllocs()
				for b.Loop() {
					if fresh {
						i++
					}
					r.Render(View{Camera: "front", Frame: f, Map: maps[i%2]})
				}
			})
		}
	}
}
