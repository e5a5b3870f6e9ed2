package overlay

import "math"

// turbo returns Google's Turbo colour map at t in 0..1 as fractions of 1, by the polynomial of A. Mikhailov (2019).
func turbo(t float64) (r, g, b float64) {
	poly := func(c0, c1, c2, c3, c4, c5 float64) float64 {
		return min(max(c0+t*(c1+t*(c2+t*(c3+t*(c4+t*c5)))), 0), 1)
	}
	return poly(0.13572138, 4.61539260, -42.66032258, 132.13108234, -152.94239396, 59.28637943),
		poly(0.09140261, 2.19418839, 4.84296658, -14.18503333, 4.27729857, 2.82956604),
		poly(0.10667330, 12.64194608, -60.58204836, 110.36276771, -89.90310912, 27.34824973)
}

// The part of Turbo that positions 0..1 cover: from green through yellow, at a third, to red.
const (
	hueLow  = 0.42
	hueSpan = 0.44
	hueHigh = hueLow + hueSpan
)

// hue returns the place of a position in Turbo. Positions below 0, where the overlay is clear, go on through blue and
// reach Turbo's dark end at −2/3: for a positive threshold, as far below the mean of normal footage as 0 is above it.
func hue(at float64) float64 {
	slope := hueSpan
	if at < 0 {
		slope = 1.5 * hueLow
	}
	return min(max(hueLow+slope*at, 0), hueHigh)
}

// ramp places values by their distance from normal: 0 at half the threshold, a third at the threshold, 1 at twice the
// threshold.
type ramp struct{ low, factor float32 }

// rampFor returns the ramp of a threshold. A threshold near the mean of normal footage still gets a range of one and
// a half.
func rampFor(threshold float32) ramp {
	half := max(threshold, -threshold) / 2
	half = max(half, 0.5)
	return ramp{low: threshold - half, factor: 1 / (3 * half)}
}

// at returns the position of a value. It is negative below half the threshold, and above 1 beyond twice the threshold.
func (r ramp) at(v float32) float32 { return (v - r.low) * r.factor }

const shades = 256

// palette holds the colours of positions 0..1 as they are laid over a frame: from clear to 55 % opaque, so that one
// still sees what is below.
type palette [shades]struct{ r, g, b, a uint8 } // r, g, b are multiplied by a/255

func newPalette() *palette {
	p := &palette{}
	for i := range p {
		t := float64(i) / (shades - 1)
		r, g, b := turbo(hue(t))
		a := 0.55 * math.Pow(t, 0.8)
		p[i].r, p[i].g, p[i].b, p[i].a = uint8(255*a*r), uint8(255*a*g), uint8(255*a*b), uint8(255*a)
	}
	return p
}

// shade returns the index of a value in the palette; 0 is clear.
func (r ramp) shade(v float32) int {
	return int(min(max(r.at(v), 0), 1)*(shades-1) + 0.5)
}
