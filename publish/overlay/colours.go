package overlay

import (
	"image"
	"image/color"
	"math"

	"github.com/oodcast/oodcast/detector"
)

// Colours returns a map without its frame as packed RGB of w×h pixels: the hues of the overlay, opaque. Where the
// overlay is clear the colours go on towards blue.
func Colours(m *detector.Map, w, h int) []byte {
	var table [shades][3]byte // of Turbo from 0 to hueHigh
	for i := range table {
		r, g, b := turbo(hueHigh * float64(i) / (shades - 1))
		table[i] = [3]byte{byte(255*r + 0.5), byte(255*g + 0.5), byte(255*b + 0.5)}
	}
	r := rampFor(m.Threshold)
	rgb := make([]byte, 3*w*h)
	for i, v := range m.ResizeTo(nil, w, h) {
		copy(rgb[3*i:3*i+3], table[int(hue(float64(r.at(v)))/hueHigh*(shades-1)+0.5)][:])
	}
	return rgb
}

// Grey returns a map on its own grid as 16-bit grey, and the values that black and white stand for: a value is
// lo + grey·(hi − lo)/65535.
func Grey(m *detector.Map) (img *image.Gray16, lo, hi float32) {
	lo, hi = m.Values[0], m.Values[0]
	for _, v := range m.Values {
		lo, hi = min(lo, v), max(hi, v)
	}
	img = image.NewGray16(image.Rect(0, 0, m.Width, m.Height))
	k := math.MaxUint16 / max(float64(hi-lo), 1e-9)
	for i, v := range m.Values {
		img.SetGray16(i%m.Width, i/m.Width, color.Gray16{Y: uint16(float64(v-lo)*k + 0.5)})
	}
	return img, lo, hi
}
