package fit

import (
	"bytes"
	"image"
	"image/color"
	"image/jpeg"
	"math"
	"math/rand/v2"

	"github.com/oodcast/oodcast/ingest"
)

// The ranges of the photometric jitter, which imitates a camera's changes while the scene stays the same.
const (
	jitterGain   = 0.30 // ± fraction of brightness
	jitterGamma  = 0.25 // ± exponent
	jitterColour = 0.06 // ± fraction of each channel
	jitterNoise  = 6.0  // largest deviation of sensor noise, of 255
	jitterShift  = 4    // ± pixels
	// Every third jittered picture is compressed as a JPEG: the camera's stream may be compressed otherwise than the footage, and
	// what the features make of that is not strange.
	jitterCodec  = 3
	codecLowest  = 25 // quality
	codecHighest = 90
)

// augment returns a copy of the frame that looks like another exposure of the same scene. jitter varies brightness, gamma,
// colour balance and sensor noise and shifts the picture by a few pixels; mirror flips every second copy at random.
func augment(f *ingest.Frame, r *rand.Rand, jitter, mirror bool) *ingest.Frame {
	out := ingest.NewFrame(f.Width, f.Height)
	out.Camera, out.Seq, out.Captured = f.Camera, f.Seq, f.Captured
	var curve [3][256]float64
	dx, dy, sigma := 0, 0, 0.0
	spread := func(d float64) float64 { return 1 + d*(2*r.Float64()-1) }
	gain, gamma := 1.0, 1.0
	if jitter {
		gain, gamma = spread(jitterGain), spread(jitterGamma)
		sigma = jitterNoise * r.Float64() * r.Float64()
		dx, dy = r.IntN(2*jitterShift+1)-jitterShift, r.IntN(2*jitterShift+1)-jitterShift
	}
	for c := range curve {
		g := gain
		if jitter {
			g *= spread(jitterColour)
		}
		for v := range curve[c] {
			curve[c][v] = 255 * g * math.Pow(float64(v)/255, gamma)
		}
	}
	mirror = mirror && r.IntN(2) == 1
	noise := noiseTable(r, sigma)
	for y := range f.Height {
		src := f.Pix[3*f.Width*min(max(y+dy, 0), f.Height-1):][:3*f.Width]
		dst := out.Pix[3*f.Width*y:][:3*f.Width]
		at := r.IntN(len(noise))
		for x := range f.Width {
			from := min(max(x+dx, 0), f.Width-1)
			if mirror {
				from = f.Width - 1 - from
			}
			for c := range 3 {
				at = (at + 1) % len(noise)
				v := curve[c][src[3*from+c]] + noise[at]
				dst[3*x+c] = byte(min(max(v+0.5, 0), 255))
			}
		}
	}
	if jitter && r.IntN(jitterCodec) == 0 {
		compress(out, codecLowest+r.IntN(codecHighest-codecLowest))
	}
	return out
}

// compress replaces the pixels by what a JPEG of the given quality leaves of them.
func compress(f *ingest.Frame, quality int) {
	img := image.NewRGBA(image.Rect(0, 0, f.Width, f.Height))
	for i := range f.Width * f.Height {
		img.Pix[4*i], img.Pix[4*i+1], img.Pix[4*i+2], img.Pix[4*i+3] = f.Pix[3*i], f.Pix[3*i+1], f.Pix[3*i+2], 255
	}
	var b bytes.Buffer
	if jpeg.Encode(&b, img, &jpeg.Options{Quality: quality}) != nil { // a side beyond JPEG's 65535 pixels
		return
	}
	got, err := jpeg.Decode(&b)
	if err != nil {
		return
	}
	for i := range f.Width * f.Height {
		c := color.RGBAModel.Convert(got.At(i%f.Width, i/f.Width)).(color.RGBA)
		f.Pix[3*i], f.Pix[3*i+1], f.Pix[3*i+2] = c.R, c.G, c.B
	}
}

// noiseTable draws sensor noise once. Each row of pixels starts at a random index of the table, which is cheaper than
// drawing noise for each pixel and looks the same to the network.
func noiseTable(r *rand.Rand, sigma float64) []float64 {
	t := make([]float64, 4099) // a prime number, so that rows do not repeat in step
	if sigma > 0 {
		for i := range t {
			t[i] = sigma * r.NormFloat64()
		}
	}
	return t
}
