package flow

import (
	"math"
	"math/rand/v2"
	"testing"
)

// texture returns a picture with details of several sizes, larger than the frames cut out of it, as a function of the place.
func texture(seed uint64) func(x, y float64) float64 {
	const side, margin = 1400, 200
	r := rand.New(rand.NewPCG(seed, 0))
	sum := make([]float32, side*side)
	for _, cell := range []int{4, 16, 64} {
		n := side/cell + 2
		knots := make([]float32, n*n)
		for i := range knots {
			knots[i] = 80 * (r.Float32() - 0.5)
		}
		for i := range sum {
			sum[i] += sample(knots, n, n, float32(i%side)/float32(cell), float32(i/side)/float32(cell))
		}
	}
	return func(x, y float64) float64 {
		return 128 + float64(sample(sum, side, side, float32(x)+margin, float32(y)+margin))
	}
}

func paint(w, h int, value func(x, y float64) float64) []byte {
	pix := make([]byte, 3*w*h)
	for i := range w * h {
		v := byte(value(float64(i%w), float64(i/w)))
		pix[3*i], pix[3*i+1], pix[3*i+2] = v, v, v
	}
	return pix
}

func TestPanAndZoom(t *testing.T) {
	const w, h = 640, 360
	scene := texture(1)
	for name, origin := range map[string]func(x, y float64) (float64, float64){
		"still": func(x, y float64) (float64, float64) { return x, y },
		"pan":   func(x, y float64) (float64, float64) { return x + 23, y - 9.5 },
		"far":   func(x, y float64) (float64, float64) { return x - 60, y + 20 },
		"zoom":  func(x, y float64) (float64, float64) { return 320 + (x-320)*0.9, 200 + (y-200)*0.9 },
	} {
		tr := New(256)
		tr.Next(paint(w, h, scene), w, h)
		if !tr.Next(paint(w, h, func(x, y float64) float64 { return scene(origin(x, y)) }), w, h) {
			t.Fatal("no flow")
		}
		bad, n, most := 0, 0, 0.0
		for y := 4; y < h; y += 8 {
			for x := 4; x < w; x += 8 {
				ox, oy := origin(float64(x), float64(y))
				if ox < 40 || oy < 40 || ox >= w-40 || oy >= h-40 { // nearer to the border than a patch
					continue
				}
				o := tr.At((float64(x)+.5)/w, (float64(y)+.5)/h)
				e := math.Hypot(float64(o.X)*w-.5-ox, float64(o.Y)*h-.5-oy)
				n++
				most = max(most, e)
				if e > 4 || o.Trust < 0.5 {
					bad++
				}
			}
		}
		t.Logf("%s: %d of %d bad, most %v", name, bad, n, most)
		if bad > n/100 {
			t.Errorf("%s: %d of %d bad, most %v", name, bad, n, most)
		}
	}
}

func BenchmarkNext(b *testing.B) {
	const w, h = 1024, 512
	scene := texture(1)
	a, c := paint(w, h, scene), paint(w, h, func(x, y float64) float64 { return scene(x*1.02, y*1.02) })
	tr := New(256)
	for b.Loop() {
		tr.Next(a, w, h)
		tr.Next(c, w, h)
		for y := range 64 {
			for x := range 128 {
				tr.At((float64(x)+.5)/128, (float64(y)+.5)/64)
			}
		}
	}
}
