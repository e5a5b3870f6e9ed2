package synth

import (
	"image"
	"math"
	"math/rand/v2"
)

// view is a picture of packed RGB pixels.
type view struct {
	rgb           []byte
	width, height int
}

// at returns the value of a channel; beyond the border, that of the border.
func (v view) at(x, y, c int) float32 {
	x, y = min(max(x, 0), v.width-1), min(max(y, 0), v.height-1)
	return float32(v.rgb[3*(y*v.width+x)+c])
}

// blend draws the pixels of a thing over the picture.
func (v view) blend(t Thing, alpha *alphaMap, p *patch) {
	for i, a := range alpha.v {
		if a <= edgeLow {
			continue
		}
		at := 3 * ((t.Y+i/t.Width)*v.width + t.X + i%t.Width)
		for c := range 3 {
			mixed := p.v[3*i+c]*a + float32(v.rgb[at+c])*(1-a)
			v.rgb[at+c] = byte(min(max(mixed, 0), 255) + 0.5)
		}
	}
}

// crop copies the pixels of a thing's box.
func (v view) crop(t Thing) *patch {
	p := newPatch(t.Width, t.Height)
	for i := range p.v {
		p.v[i] = v.at(t.X+i/3%t.Width, t.Y+i/3/t.Width, i%3)
	}
	return p
}

// pixels returns the pixels of a thing's box.
func (g *Generator) pixels(r *rand.Rand, frame view, t Thing, alpha *alphaMap, object *image.NRGBA) *patch {
	side := max(t.Width, t.Height)
	switch t.Kind {
	case KindBlur:
		p := frame.crop(t)
		radius := max(1, int(float64(side)*(0.08+0.12*r.Float64())))
		for range 3 { // three box filters are close to a Gaussian
			p.box(radius)
		}
		return p
	case KindNoise:
		p := frame.crop(t)
		grain, deviation := 1+r.IntN(max(1, min(4, side/8))), 30+50*r.Float64()
		p.noise(r, grain, deviation)
		return p
	case KindScale:
		return frame.enlarged(r, t)
	case KindTexture:
		return texture(r, t.Width, t.Height, false)
	}
	p := newPatch(t.Width, t.Height)
	if object == nil {
		p = texture(r, t.Width, t.Height, true)
	} else {
		for i := range t.Width * t.Height {
			for c := range 3 {
				p.v[3*i+c] = float32(object.Pix[4*i+c])
			}
		}
	}
	p.adapt(frame.crop(t), alpha)
	return p
}

// enlarged returns the pixels of another place of the frame, two to four times as large.
func (v view) enlarged(r *rand.Rand, t Thing) *patch {
	f := 2 + 2*r.Float64()
	x0 := r.Float64() * max(0, float64(v.width)-float64(t.Width)/f)
	y0 := r.Float64() * max(0, float64(v.height)-float64(t.Height)/f)
	p := newPatch(t.Width, t.Height)
	for i := range p.v {
		x, y, c := x0+float64(i/3%t.Width)/f, y0+float64(i/3/t.Width)/f, i%3
		ix, iy := int(x), int(y)
		fx, fy := float32(x-float64(ix)), float32(y-float64(iy))
		p.v[i] = (v.at(ix, iy, c)*(1-fx)+v.at(ix+1, iy, c)*fx)*(1-fy) + (v.at(ix, iy+1, c)*(1-fx)+v.at(ix+1, iy+1, c)*fx)*fy
	}
	return p
}

// box replaces each value by the mean over 2·radius+1 values in both directions.
func (p *patch) box(radius int) {
	line := make([]float32, max(p.width, p.height))
	pass := func(n, step, from int) {
		for i := range n {
			line[i] = p.v[from+i*step]
		}
		sum := float32(0)
		for i := -radius; i <= radius; i++ {
			sum += line[min(max(i, 0), n-1)]
		}
		for i := range n {
			p.v[from+i*step] = sum / float32(2*radius+1)
			sum += line[min(i+radius+1, n-1)] - line[max(i-radius, 0)]
		}
	}
	for c := range 3 {
		for y := range p.height {
			pass(p.width, 3, 3*y*p.width+c)
		}
		for x := range p.width {
			pass(p.height, 3*p.width, 3*x+c)
		}
	}
}

// noise adds noise in squares of grain pixels, in colour.
func (p *patch) noise(r *rand.Rand, grain int, deviation float64) {
	columns := (p.width + grain - 1) / grain
	row := make([]float32, 3*columns)
	for y := range p.height {
		if y%grain == 0 {
			for i := range row {
				row[i] = float32(deviation * r.NormFloat64())
			}
		}
		for x := range p.width {
			for c := range 3 {
				p.v[3*(y*p.width+x)+c] += row[3*(x/grain)+c]
			}
		}
	}
}

// The share of the difference in light and in colour between a thing and its place that adapt takes away.
const (
	adaptLight  = 0.35
	adaptColour = 0.25
)

// adapt moves the light, contrast and colour of the pixels a part of the way to those of their place, so that a thing looks as
// if the same camera had seen it and is not found by its brightness alone.
func (p *patch) adapt(place *patch, alpha *alphaMap) {
	mine, theirs := statsOf(p, alpha), statsOf(place, nil)
	contrast := 1 + adaptLight*(min(max(theirs.deviation/max(mine.deviation, 1), 0.5), 2)-1)
	for i := range p.v {
		c := i % 3
		cast := (theirs.mean[c] - theirs.light) - (mine.mean[c] - mine.light)
		p.v[i] = float32((float64(p.v[i])-mine.mean[c])*contrast + mine.mean[c] + adaptLight*(theirs.light-mine.light) + adaptColour*cast)
	}
}

// stats are the means of the channels, their mean and the deviation of all values from the means.
type stats struct {
	mean             [3]float64
	light, deviation float64
}

// statsOf weighs the pixels by their opacity; nil weighs all alike.
func statsOf(p *patch, alpha *alphaMap) (s stats) {
	weight, squares := 1e-9, 0.0
	of := func(i int) float64 {
		if alpha == nil {
			return 1
		}
		return float64(alpha.v[i])
	}
	for i := range p.width * p.height {
		w := of(i)
		weight += w
		for c := range 3 {
			s.mean[c] += w * float64(p.v[3*i+c])
		}
	}
	for c := range 3 {
		s.mean[c] /= weight
		s.light += s.mean[c] / 3
	}
	for i := range p.width * p.height {
		for c := range 3 {
			d := float64(p.v[3*i+c]) - s.mean[c]
			squares += of(i) * d * d / 3
		}
	}
	s.deviation = math.Sqrt(squares / weight)
	return s
}
