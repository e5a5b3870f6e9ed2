package overlay

// fit returns the size at which a frame of w×h is shown: at most maxWidth wide, even in both directions.
func fit(w, h, maxWidth int) (dw, dh int) {
	dw, dh = w, h
	if w > maxWidth {
		dw, dh = maxWidth, (h*maxWidth+w/2)/w
	}
	return max(dw&^1, 2), max(dh&^1, 2)
}

// scaler resizes packed RGB pictures. Its buffers are reused.
type scaler struct {
	box  []byte  // the picture after averaging whole blocks
	row  []byte  // one row between two source rows
	x    []int32 // left source byte offset of each output pixel
	frac []int32 // weight of the right neighbour, 0..256
}

// scale resizes src (3·sw·sh bytes) into dst (3·dw·dh bytes): it averages whole blocks first, so that thin things do
// not vanish, and interpolates the result linearly. Samples lie at pixel centres.
func (s *scaler) scale(dst []byte, dw, dh int, src []byte, sw, sh int) {
	if k := min(sw/dw, sh/dh); k >= 2 {
		s.box = grow(s.box, 3*(sw/k)*(sh/k))
		average(s.box, src, sw, sh, k)
		src, sw, sh = s.box, sw/k, sh/k
	}
	if sw == dw && sh == dh {
		copy(dst, src)
		return
	}
	s.columns(sw, dw)
	s.row = grow(s.row, 3*sw)
	for y := range dh {
		y0, fy := sample(y, sh, dh)
		y1 := min(y0+1, sh-1)
		lerpRow(s.row, src[3*sw*y0:3*sw*(y0+1)], src[3*sw*y1:3*sw*(y1+1)], fy)
		out := dst[3*dw*y : 3*dw*(y+1)]
		last := int32(3 * (sw - 1))
		for x := range dw {
			l, f := s.x[x], s.frac[x]
			r := min(l+3, last)
			a, b, o := s.row[l:l+3:l+3], s.row[r:r+3:r+3], out[3*x:3*x+3:3*x+3]
			o[0] = byte((int32(a[0])*(256-f) + int32(b[0])*f + 128) >> 8)
			o[1] = byte((int32(a[1])*(256-f) + int32(b[1])*f + 128) >> 8)
			o[2] = byte((int32(a[2])*(256-f) + int32(b[2])*f + 128) >> 8)
		}
	}
}

func (s *scaler) columns(sw, dw int) {
	if cap(s.x) < dw {
		s.x, s.frac = make([]int32, dw), make([]int32, dw)
	}
	s.x, s.frac = s.x[:dw], s.frac[:dw]
	for x := range dw {
		x0, f := sample(x, sw, dw)
		s.x[x], s.frac[x] = int32(3*x0), f
	}
}

// sample returns the source sample left of output sample i, and the weight of its right neighbour, 0..256.
func sample(i, from, to int) (at int, frac int32) {
	p := (2*i+1)*from*128/to - 128 // ((i+0.5)·from/to − 0.5)·256
	p = min(max(p, 0), (from-1)*256)
	return p >> 8, int32(p & 255)
}

func lerpRow(dst, a, b []byte, f int32) {
	a, b = a[:len(dst)], b[:len(dst)]
	if f == 0 {
		copy(dst, a)
		return
	}
	for i := range dst {
		dst[i] = byte((int32(a[i])*(256-f) + int32(b[i])*f + 128) >> 8)
	}
}

// average stores the means of k×k blocks in dst.
func average(dst, src []byte, sw, sh, k int) {
	dw := sw / k
	for y := range sh / k {
		out := dst[3*dw*y : 3*dw*(y+1)]
		if k == 2 {
			halve(out, src[3*sw*2*y:][:6*dw], src[3*sw*(2*y+1):][:6*dw])
			continue
		}
		averageRow(out, src[3*sw*k*y:3*sw*k*(y+1)], sw, k)
	}
}

// halve is average for k = 2, by far the most frequent factor: 1080p cameras.
func halve(out, top, bottom []byte) {
	for x := 0; x+3 <= len(out); x += 3 {
		a, b, o := top[2*x:2*x+6:2*x+6], bottom[2*x:2*x+6:2*x+6], out[x:x+3:x+3]
		o[0] = byte((uint32(a[0]) + uint32(a[3]) + uint32(b[0]) + uint32(b[3]) + 2) >> 2)
		o[1] = byte((uint32(a[1]) + uint32(a[4]) + uint32(b[1]) + uint32(b[4]) + 2) >> 2)
		o[2] = byte((uint32(a[2]) + uint32(a[5]) + uint32(b[2]) + uint32(b[5]) + 2) >> 2)
	}
}

func averageRow(out, rows []byte, sw, k int) {
	n := uint32(k * k)
	for x := range len(out) / 3 {
		var r, g, b uint32
		for j := range k {
			p := rows[3*(j*sw+x*k):][:3*k]
			for c := 0; c+3 <= len(p); c += 3 {
				r += uint32(p[c])
				g += uint32(p[c+1])
				b += uint32(p[c+2])
			}
		}
		out[3*x], out[3*x+1], out[3*x+2] = byte((r+n/2)/n), byte((g+n/2)/n), byte((b+n/2)/n)
	}
}

func grow(b []byte, n int) []byte {
	if cap(b) < n {
		return make([]byte, n)
	}
	return b[:n]
}
