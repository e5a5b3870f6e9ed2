package diffusion

import (
	"fmt"
	"math"

	"github.com/oodcast/oodcast/models"
)

// In the linear schedule of DDPM, beta rises from betaFirst to betaLast.
const (
	betaFirst = 1e-4
	betaLast  = 0.02
)

// Schedule is the linear noise schedule: ᾱ(t) = Π (1-β(i)), i = 0 … t.
type Schedule struct {
	alphaBar [models.Timesteps]float32
	signal   [models.Timesteps]float32 // √ᾱ(t)
	noise    [models.Timesteps]float32 // √(1-ᾱ(t))
}

// NewSchedule returns the schedule. Like the reference code, it computes the product in double precision, rounds it once,
// and takes the roots of the rounded ᾱ.
func NewSchedule() *Schedule {
	s := &Schedule{}
	product := 1.0
	for t := range models.Timesteps {
		product *= 1 - (betaFirst + float64(t)*(betaLast-betaFirst)/(models.Timesteps-1))
		ab := float32(product)
		s.alphaBar[t] = ab
		s.signal[t] = float32(math.Sqrt(float64(ab)))
		s.noise[t] = float32(math.Sqrt(float64(1 - ab)))
	}
	return s
}

// AlphaBar returns ᾱ(t).
func (s *Schedule) AlphaBar(t int) float32 { return s.alphaBar[t] }

// Coefficients returns √ᾱ(t) and √(1-ᾱ(t)), the factors of signal and noise at timestep t.
func (s *Schedule) Coefficients(t int) (signal, noise float32) { return s.signal[t], s.noise[t] }

// NoiseTo stores √ᾱ(t)·x + √(1-ᾱ(t))·eps (Eq. 4) in dst and returns it. dst may be x.
func (s *Schedule) NoiseTo(dst, x, eps []float32, t int) []float32 {
	if len(dst) != len(x) || len(eps) != len(x) {
		panic("diffusion: slice lengths do not match")
	}
	a, b := s.signal[t], s.noise[t]
	for i, v := range x {
		dst[i] = a*v + b*eps[i]
	}
	return dst
}

// Ratio returns the ratio of the noise to features of the given standard deviation at timestep t: √(1-ᾱ) / (√ᾱ·std). It
// rises with t.
func (s *Schedule) Ratio(t int, std float64) float64 {
	return float64(s.noise[t]) / (float64(s.signal[t]) * std)
}

// The ratios of noise to features between which a timestep separates normal from strange features. Below, the features
// drown the noise; above, the noise drowns the features.
const (
	UsefulRatioMin = 0.35
	UsefulRatioMax = 1.5
)

// UsefulRange returns the first and the last timestep with a useful ratio of noise to features of the given standard
// deviation after normalisation, which is 1 for per-channel normalisation.
func (s *Schedule) UsefulRange(std float64) (lo, hi int) {
	for lo < models.Timesteps-1 && s.Ratio(lo, std) < UsefulRatioMin {
		lo++
	}
	hi = lo
	for hi < models.Timesteps-1 && s.Ratio(hi+1, std) <= UsefulRatioMax {
		hi++
	}
	return lo, hi
}

// RatioWarning returns one sentence if some of the timesteps are outside the useful range for features of the given
// standard deviation, and "" otherwise.
func (s *Schedule) RatioWarning(timesteps []int, std float64) string {
	lo, hi := s.UsefulRange(std)
	outside := 0
	for _, t := range timesteps {
		if t < lo || t > hi {
			outside++
		}
	}
	if outside == 0 {
		return ""
	}
	return fmt.Sprintf("%d of %d timesteps lie outside %d..%d, where noise and features (deviation %.2f) balance",
		outside, len(timesteps), lo, hi, std)
}
