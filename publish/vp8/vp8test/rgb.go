package vp8test

import (
	"fmt"

	"github.com/oodcast/oodcast/publish/vp8"
)

// I420ToRGB converts an I420 picture to packed 8-bit RGB in dst and returns it; a short dst is replaced.
// A wrong length of i420 panics.
func I420ToRGB(dst, i420 []byte, w, h int) []byte {
	if len(i420) != vp8.I420Size(w, h) {
		panic(fmt.Sprintf("vp8test: I420 picture has %d bytes, want %d for %dx%d", len(i420), vp8.I420Size(w, h), w, h))
	}
	if cap(dst) < 3*w*h {
		dst = make([]byte, 3*w*h)
	}
	dst = dst[:3*w*h]
	cw, ch := (w+1)/2, (h+1)/2
	us, vs := i420[w*h:w*h+cw*ch], i420[w*h+cw*ch:]
	for y := range h {
		for x := range w {
			l := 298 * (int32(i420[y*w+x]) - 16)
			u, v := int32(us[y/2*cw+x/2])-128, int32(vs[y/2*cw+x/2])-128
			p := dst[3*(y*w+x) : 3*(y*w+x)+3]
			p[0] = clamp8((l + 409*v + 128) >> 8)
			p[1] = clamp8((l - 100*u - 208*v + 128) >> 8)
			p[2] = clamp8((l + 516*u + 128) >> 8)
		}
	}
	return dst
}

func clamp8(v int32) byte { return byte(min(max(v, 0), 255)) }
