package synth

import (
	"math"
	"math/rand/v2"
)

// patch holds packed RGB values in 0..255, row-major.
type patch struct {
	width, height int
	v             []float32
}

func newPatch(width, height int) *patch {
	return &patch{width, height, make([]float32, 3*width*height)}
}

// texture fills a patch with two colours in a random pattern. With shaded it also has the light and the dark side of a solid
// thing.
func texture(r *rand.Rand, width, height int, shaded bool) *patch {
	p := newPatch(width, height)
	a, b := colour(r), colour(r)
	mix := pattern(r, float64(max(width, height)))
	light := 2 * math.Pi * r.Float64()
	lx, ly := math.Cos(light), math.Sin(light)
	grain := 6 * r.Float64()
	for i := range width * height {
		x, y := float64(i%width), float64(i/width)
		m := mix(x, y)
		shade := 1.0
		if shaded {
			u, v := 2*x/float64(width)-1, 2*y/float64(height)-1
			shade = 0.85 + 0.3*(u*lx+v*ly) - 0.25*(u*u+v*v)/2
		}
		g := grain * r.NormFloat64()
		for c := range 3 {
			p.v[3*i+c] = float32((a[c]*(1-m)+b[c]*m)*shade + g)
		}
	}
	return p
}

// colour draws a colour with its hue, saturation and brightness.
func colour(r *rand.Rand) (rgb [3]float64) {
	hue, saturation, value := 6*r.Float64(), r.Float64(), 40+215*r.Float64()
	for c := range 3 {
		d := math.Abs(math.Mod(hue+2*float64(c), 6) - 3)
		rgb[c] = value * (1 - saturation*(1-min(max(d-1, 0), 1)))
	}
	return rgb
}

// pattern returns the share of the second colour at a pixel of a thing of the given size.
func pattern(r *rand.Rand, size float64) func(x, y float64) float64 {
	angle, period := 2*math.Pi*r.Float64(), max(3, size*(0.05+0.3*r.Float64()))
	sin, cos := math.Sincos(angle)
	turn := func(x, y float64) (u, v float64) { return (x*cos + y*sin) / period, (y*cos - x*sin) / period }
	saw := func(u float64) float64 { return u - math.Floor(u) }
	switch r.IntN(5) {
	case 0: // plain
		return func(float64, float64) float64 { return 0 }
	case 1: // stripes
		return func(x, y float64) float64 {
			u, _ := turn(x, y)
			return smooth(4*math.Abs(saw(u)-0.5) - 0.5)
		}
	case 2: // a chessboard
		return func(x, y float64) float64 {
			u, v := turn(x, y)
			return float64((int(math.Floor(u)) + int(math.Floor(v))) & 1)
		}
	case 3: // dots
		return func(x, y float64) float64 {
			u, v := turn(x, y)
			return smooth(3 * (0.45 - math.Hypot(saw(u)-0.5, saw(v)-0.5)))
		}
	default: // clouds: noise on a lattice
		const lattice = 64
		values := make([]float64, lattice*lattice)
		for i := range values {
			values[i] = r.Float64()
		}
		at := func(i, j int) float64 { return values[(j&(lattice-1))*lattice+i&(lattice-1)] }
		return func(x, y float64) float64 {
			sum, weight := 0.0, 0.0
			for octave, w := 1.0, 1.0; octave <= 8; octave, w = octave*2, w/1.6 {
				u, v := turn(x*octave, y*octave)
				i, j := int(math.Floor(u)), int(math.Floor(v))
				fu, fv := smooth(saw(u)), smooth(saw(v))
				sum += w * ((at(i, j)*(1-fu)+at(i+1, j)*fu)*(1-fv) + (at(i, j+1)*(1-fu)+at(i+1, j+1)*fu)*fv)
				weight += w
			}
			return smooth(2*sum/weight - 0.5)
		}
	}
}
