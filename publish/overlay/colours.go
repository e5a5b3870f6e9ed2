package overlay

import "github.com/oodcast/oodcast/detector"

// Colours returns a map without its frame as packed RGB of w×h pixels: the hues of the overlay, opaque. Where the
// overlay is clear the colours go on towards blue.
func Colours(m *detector.Map, w, h int) []byte {
	var table [shades][3]byte // of Turbo from 0 to hueHigh
	for i := range table {
		r, g, b := turbo(hueHigh * float64(i) / (shades - 1))
		table[i] = [3]byte{byte(255*r + 0.5), byte(255*g + 0.5), byte(255*b + 0.5)}
	}
	scale := ScaleFor(m.Threshold)
	rgb := make([]byte, 3*w*h)
	for i, v := range m.ResizeTo(nil, w, h) {
		copy(rgb[3*i:3*i+3], table[int(hue(float64(scale.At(v)))/hueHigh*(shades-1)+0.5)][:])
	}
	return rgb
}
