package synth

import (
	"math"
	"math/rand/v2"
)

// alphaMap holds opacities in 0..1, row-major.
type alphaMap struct {
	width, height int
	v             []float32
}

func newAlphaMap(width, height int) *alphaMap {
	return &alphaMap{width, height, make([]float32, width*height)}
}

// shape draws the opacity of a random outline whose longer side has the given number of pixels: a blob, an ellipse, a polygon
// or a box, turned and stretched, with an edge that is blended over feather pixels.
func shape(r *rand.Rand, side int) *alphaMap {
	radius := outline(r)
	angle, stretch := 2*math.Pi*r.Float64(), 1-0.55*r.Float64()
	sin, cos := math.Sincos(angle)
	// The outline in units of its largest reach: find the box of the turned shape.
	const corners = 256
	var reachX, reachY float64
	for i := range corners {
		s, c := math.Sincos(2 * math.Pi * float64(i) / corners)
		rho := radius(2 * math.Pi * float64(i) / corners)
		x, y := rho*c, rho*s*stretch
		reachX, reachY = max(reachX, math.Abs(x*cos-y*sin)), max(reachY, math.Abs(x*sin+y*cos))
	}
	unit := float64(side-1) / 2 / max(reachX, reachY) // pixels per unit
	a := newAlphaMap(max(3, int(math.Ceil(2*reachX*unit))+1), max(3, int(math.Ceil(2*reachY*unit))+1))
	feather := featherOf(side)
	for i := range a.v {
		px, py := float64(i%a.width)-float64(a.width-1)/2, float64(i/a.width)-float64(a.height-1)/2
		x, y := (px*cos+py*sin)/unit, (py*cos-px*sin)/unit/stretch
		rho := math.Hypot(x, y)
		inside := (radius(math.Atan2(y, x)) - rho) * unit * stretch // about the distance from the edge in pixels
		a.v[i] = float32(smooth(inside / feather))
	}
	return a
}

// featherOf returns the width of a blended edge in pixels.
func featherOf(side int) float64 { return min(max(float64(side)/40, 1), 4) }

// smooth rises from 0 at 0 to 1 at 1.
func smooth(x float64) float64 {
	x = min(max(x, 0), 1)
	return x * x * (3 - 2*x)
}

// outline returns the distance of a random outline from its middle as a function of the angle.
func outline(r *rand.Rand) func(angle float64) float64 {
	switch r.IntN(4) {
	case 0: // blob: a circle with a few waves
		var size, phase [4]float64
		for k := range size {
			size[k], phase[k] = 0.22*(2*r.Float64()-1)/float64(k+1), 2*math.Pi*r.Float64()
		}
		return func(t float64) float64 {
			rho := 0.8
			for k := range size {
				rho += size[k] * math.Cos(float64(k+2)*t+phase[k])
			}
			return rho
		}
	case 1: // ellipse, by the stretch
		return func(float64) float64 { return 1 }
	case 2: // polygon
		sector := 2 * math.Pi / float64(3+r.IntN(5))
		return func(t float64) float64 {
			return math.Cos(sector/2) / math.Cos(math.Mod(t+4*math.Pi, sector)-sector/2)
		}
	default: // box
		half := 0.3 + 0.7*r.Float64()
		return func(t float64) float64 {
			s, c := math.Sincos(t)
			return min(1/max(math.Abs(c), 1e-9), half/max(math.Abs(s), 1e-9))
		}
	}
}
