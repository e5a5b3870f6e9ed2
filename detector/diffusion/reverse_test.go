package diffusion_test

import (
	"math"
	"testing"

	"github.com/oodcast/oodcast/detector/diffusion"
)

// With the true noise, the reverse chain leads back from x_t to x₀ along the forward process: every x_{t-1} on the way is
// the result of the forward process for x₀ and the same noise. The tolerance of 1e-5 suits float32 values around 1.
func TestReverseWithTrueNoise(t *testing.T) {
	s := diffusion.NewSchedule()
	x0, eps := []float32{0.5, -1.25, 2}, []float32{-0.3, 1.1, 0.7}
	const from = 60
	x := s.NoiseTo(make([]float32, 3), x0, eps, from)
	for step := from; step >= 0; step-- {
		s.ReverseTo(x, x, eps, step)
		want := x0
		if step > 0 {
			want = s.NoiseTo(make([]float32, 3), x0, eps, step-1)
		}
		for i := range x {
			if math.Abs(float64(x[i]-want[i])) > 1e-5 {
				t.Fatalf("after the step of t=%d: %v, want %v", step, x, want)
			}
		}
	}
}
