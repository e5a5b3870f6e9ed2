package preview

import "math"

// Turbo returns Google's Turbo colour map at t in 0..1 as parts of 1, by the polynomial of A. Mikhailov (2019).
func Turbo(t float64) (r, g, b float64) {
	poly := func(c0, c1, c2, c3, c4, c5 float64) float64 {
		return min(max(c0+t*(c1+t*(c2+t*(c3+t*(c4+t*c5)))), 0), 1)
	}
	return poly(0.13572138, 4.61539260, -42.66032258, 132.13108234, -152.94239396, 59.28637943),
		poly(0.09140261, 2.19418839, 4.84296658, -14.18503333, 4.27729857, 2.82956604),
		poly(0.10667330, 12.64194608, -60.58204836, 110.36276771, -89.90310912, 27.34824973)
}

const shades = 256

// palette maps how far a value is from normal to a colour: clear below half the threshold, yellow at it, red and
// densest at twice the threshold. It stays clear enough to see what is below.
type palette [shades]struct{ r, g, b, a uint8 } // r, g, b multiplied with a/255

func newPalette() *palette {
	p := &palette{}
	for i := range p {
		t := float64(i) / (shades - 1)
		r, g, b := Turbo(0.42 + 0.44*t)
		a := 0.55 * math.Pow(t, 0.8)
		p[i].r, p[i].g, p[i].b, p[i].a = uint8(255*a*r), uint8(255*a*g), uint8(255*a*b), uint8(255*a)
	}
	return p
}

// scaleOf returns lo and k with which (value−lo)·k runs from 0 to 1 over the palette, with the threshold at a third.
func scaleOf(threshold float32) (lo, k float32) {
	half := max(threshold, -threshold) / 2
	half = max(half, 0.5) // a threshold near the mean of normal footage still gets a palette
	return threshold - half, 1 / (3 * half)
}

// shade returns the index into the palette; 0 is clear.
func shade(v, lo, k float32) int {
	return int(min(max((v-lo)*k, 0), 1)*(shades-1) + 0.5)
}
