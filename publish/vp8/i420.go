package vp8

import "fmt"

// I420Size returns the size in bytes of an I420 picture of w×h pixels.
func I420Size(w, h int) int {
	return w*h + 2*((w+1)/2)*((h+1)/2)
}

// RGBToI420 converts packed 8-bit RGB (3·w·h bytes) to I420 in dst and returns it; a short dst is replaced. The formula is
// BT.601 limited range in 8-bit fixed point: Y = 16 + (66R + 129G + 25B)/256, Cb and Cr from the mean of each 2×2 block.
// A wrong length of rgb panics.
func RGBToI420(dst, rgb []byte, w, h int) []byte {
	if len(rgb) != 3*w*h {
		panic(fmt.Sprintf("vp8: RGB picture has %d bytes, want %d for %dx%d", len(rgb), 3*w*h, w, h))
	}
	size := I420Size(w, h)
	if cap(dst) < size {
		dst = make([]byte, size)
	}
	dst = dst[:size]
	cw, ch := (w+1)/2, (h+1)/2
	u, v := dst[w*h:w*h+cw*ch], dst[w*h+cw*ch:]
	for y := 0; y < h; y += 2 {
		y1 := min(y+1, h-1) // the last row of an odd height counts twice
		top, bottom := rgb[3*w*y:3*w*(y+1)], rgb[3*w*y1:3*w*(y1+1)]
		rowPair(dst[w*y:w*(y+1)], dst[w*y1:w*(y1+1)], u[cw*(y/2):][:cw], v[cw*(y/2):][:cw], top, bottom)
	}
	return dst
}

// rowPair converts two rows of RGB to two rows of Y and one each of U and V.
func rowPair(y0, y1, u, v, top, bottom []byte) {
	w := len(y0)
	y1 = y1[:w]
	top, bottom = top[:3*w], bottom[:3*w]
	x := 0
	for ; x+1 < w; x += 2 {
		a, b := top[3*x:3*x+6:3*x+6], bottom[3*x:3*x+6:3*x+6]
		r0, g0, b0 := int32(a[0]), int32(a[1]), int32(a[2])
		r1, g1, b1 := int32(a[3]), int32(a[4]), int32(a[5])
		r2, g2, b2 := int32(b[0]), int32(b[1]), int32(b[2])
		r3, g3, b3 := int32(b[3]), int32(b[4]), int32(b[5])
		y0[x] = luma(r0, g0, b0)
		y0[x+1] = luma(r1, g1, b1)
		y1[x] = luma(r2, g2, b2)
		y1[x+1] = luma(r3, g3, b3)
		u[x/2], v[x/2] = chroma(r0+r1+r2+r3, g0+g1+g2+g3, b0+b1+b2+b3)
	}
	if x < w {
		a, b := top[3*x:3*x+3], bottom[3*x:3*x+3]
		r0, g0, b0 := int32(a[0]), int32(a[1]), int32(a[2])
		r2, g2, b2 := int32(b[0]), int32(b[1]), int32(b[2])
		y0[x] = luma(r0, g0, b0)
		y1[x] = luma(r2, g2, b2)
		u[x/2], v[x/2] = chroma(2*(r0+r2), 2*(g0+g2), 2*(b0+b2))
	}
}

func luma(r, g, b int32) byte { return byte((66*r+129*g+25*b+128)>>8 + 16) }

// chroma takes the sums of four pixels.
func chroma(r, g, b int32) (u, v byte) {
	return byte((-38*r-74*g+112*b+512)>>10 + 128), byte((112*r-94*g-18*b+512)>>10 + 128)
}
