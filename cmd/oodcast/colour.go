package main

// turbo returns the colour of x in 0 … 1 on the Turbo map: the polynomial approximation that its author published
// (A. Mikhailov, "Turbo, an improved rainbow colormap", 2019).
func turbo(x float64) (r, g, b byte) {
	x = min(max(x, 0), 1)
	poly := func(c [6]float64) byte {
		v := 0.0
		for i := len(c) - 1; i >= 0; i-- {
			v = v*x + c[i]
		}
		return byte(min(max(v, 0), 1)*255 + 0.5)
	}
	return poly([6]float64{0.13572138, 4.61539260, -42.66032258, 132.13108234, -152.94239396, 59.28637943}),
		poly([6]float64{0.09140261, 2.19418839, 4.84296658, -14.18503333, 4.27729857, 2.82956604}),
		poly([6]float64{0.10667330, 12.64194608, -60.58204836, 110.36276771, -89.90310912, 27.34824973})
}

// turboTable is Turbo in 256 steps.
func turboTable() (table [256][3]byte) {
	for i := range table {
		table[i][0], table[i][1], table[i][2] = turbo(float64(i) / 255)
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
