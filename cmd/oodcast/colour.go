package main

import "github.com/oodcast/oodcast/publish/preview"

// turboTable is Turbo in 256 steps.
func turboTable() (table [256][3]byte) {
	for i := range table {
		r, g, b := preview.Turbo(float64(i) / 255)
		table[i] = [3]byte{byte(255*r + 0.5), byte(255*g + 0.5), byte(255*b + 0.5)}
	}
	return table
}

// level places a value between 0, the middle of normal, and 1, one and a half times the threshold.
func level(v, threshold float32) float32 {
	return min(max(v/(1.5*max(threshold, 0.1)), 0), 1)
}

// colourMap paints values: blue is normal, red is far above the threshold.
func colourMap(values []float32, threshold float32) []byte {
	table := turboTable()
	rgb := make([]byte, 3*len(values))
	for i, v := range values {
		c := &table[int(255*level(v, threshold))]
		copy(rgb[3*i:3*i+3], c[:])
	}
	return rgb
}

// overlay paints values over a picture; what is normal stays as it is.
func overlay(pix []byte, values []float32, threshold float32) []byte {
	table := turboTable()
	rgb := make([]byte, len(pix))
	for i, v := range values {
		l := level(v, threshold)
		// Nothing below half the threshold, full strength above it.
		alpha := 0.65 * min(max((l*1.5-0.5)/0.5, 0), 1)
		c := table[int(255*l)]
		for k := range 3 {
			p := float32(pix[3*i+k])
			rgb[3*i+k] = byte(p + alpha*(float32(c[k])-p) + 0.5)
		}
	}
	return rgb
}
