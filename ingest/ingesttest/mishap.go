package ingesttest

import (
	"math"

	"github.com/oodcast/oodcast/ingest"
)

// Mishap is a misfortune of a camera: it is moved or turned, or the light changes. The zero value changes nothing.
type Mishap struct {
	X, Y  float64 // how far the picture moves, in fractions of its width and height
	Angle float64 // how far the picture turns around its middle, in degrees
	Gain  float64 // factor of the brightness; 0 means 1
	// Contrast is the factor of a colour's distance from middle grey, applied after Gain; 0 means 1.
	Contrast float64
	// Warmth is the fraction by which red rises and blue falls: positive towards evening, negative towards noon.
	Warmth float64
}

// Happen returns the frame as the camera sees it after the mishap. The border of the old picture continues outside it.
func (m Mishap) Happen(f *ingest.Frame) *ingest.Frame {
	out := ingest.NewFrame(f.Width, f.Height)
	out.Camera, out.Seq, out.Captured, out.PTS = f.Camera, f.Seq, f.Captured, f.PTS
	sin, cos := math.Sincos(-m.Angle * math.Pi / 180)
	cx, cy := float64(f.Width)/2, float64(f.Height)/2
	light := m.light()
	for y := range f.Height {
		for x := range f.Width {
			dx, dy := float64(x)-cx-m.X*float64(f.Width), float64(y)-cy-m.Y*float64(f.Height)
			sx, sy := cx+cos*dx-sin*dy, cy+sin*dx+cos*dy
			bilinear(out.Pix[3*(y*f.Width+x):][:3], f, sx, sy, &light)
		}
	}
	return out
}

// light maps the values v of each channel to factor · v + offset.
type light struct{ factor, offset [3]float64 }

func (m Mishap) light() (l light) {
	one := func(v float64) float64 {
		if v == 0 {
			return 1
		}
		return v
	}
	contrast := one(m.Contrast)
	for c, warm := range [3]float64{1 + m.Warmth, 1, 1 - m.Warmth} {
		l.factor[c], l.offset[c] = contrast*one(m.Gain)*warm, 127.5*(1-contrast)
	}
	return l
}

// bilinear stores the colour of f at (x, y), in the light l, in rgb.
func bilinear(rgb []byte, f *ingest.Frame, x, y float64, l *light) {
	x, y = min(max(x, 0), float64(f.Width-1)), min(max(y, 0), float64(f.Height-1))
	x0, y0 := min(int(x), f.Width-2), min(int(y), f.Height-2)
	wx, wy := x-float64(x0), y-float64(y0)
	at := func(x, y, c int) float64 { return float64(f.Pix[3*(y*f.Width+x)+c]) }
	for c := range rgb {
		top := at(x0, y0, c)*(1-wx) + at(x0+1, y0, c)*wx
		bottom := at(x0, y0+1, c)*(1-wx) + at(x0+1, y0+1, c)*wx
		rgb[c] = byte(min(255, max(0, l.factor[c]*(top*(1-wy)+bottom*wy)+l.offset[c]+0.5)))
	}
}
