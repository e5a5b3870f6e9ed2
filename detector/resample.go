package detector

// axis holds the bilinear weights of one direction: dst[i] = (1-w[i])·src[at[i]] + w[i]·src[at[i]+1].
type axis struct {
	at []int
	w  []float32
}

// newAxis samples n values from size ones at pixel centres (half-pixel rule), clamped at the borders.
func newAxis(size, n int) axis {
	a := axis{at: make([]int, n), w: make([]float32, n)}
	for i := range n {
		x := (float64(i)+0.5)*float64(size)/float64(n) - 0.5
		x = min(max(x, 0), float64(size-1))
		at := min(int(x), max(0, size-2))
		a.at[i], a.w[i] = at, float32(x-float64(at))
	}
	return a
}

// resizeTo stores src (sw × sh) bilinearly resized to w × h in dst and returns it; a short dst is replaced.
func resizeTo(dst, src []float32, sw, sh, w, h int) []float32 {
	if len(src) != sw*sh || sw < 1 || sh < 1 || w < 1 || h < 1 {
		panic("detector: resize: sizes do not match")
	}
	dst = grow(dst, w*h)
	if sw == w && sh == h {
		copy(dst, src)
		return dst
	}
	xs, ys := newAxis(sw, w), newAxis(sh, h)
	for y := range h {
		top := src[ys.at[y]*sw:][:sw]
		bottom := top
		if sh > 1 {
			bottom = src[(ys.at[y]+1)*sw:][:sw]
		}
		wy := ys.w[y]
		row := dst[y*w:][:w]
		for x, at := range xs.at {
			next := min(at+1, sw-1)
			wx := xs.w[x]
			a := top[at] + wx*(top[next]-top[at])
			b := bottom[at] + wx*(bottom[next]-bottom[at])
			row[x] = a + wy*(b-a)
		}
	}
	return dst
}

// nearestTo is resizeTo with the nearest-neighbour rule of the reference code: src = ⌊dst·in/out⌋.
func nearestTo(dst, src []float32, sw, sh, w, h int) []float32 {
	if len(src) != sw*sh || sw < 1 || sh < 1 || w < 1 || h < 1 {
		panic("detector: resize: sizes do not match")
	}
	dst = grow(dst, w*h)
	for y := range h {
		row := src[y*sh/h*sw:][:sw]
		for x := range w {
			dst[y*w+x] = row[x*sw/w]
		}
	}
	return dst
}

// grow returns s with length n, reallocated when its capacity is too small.
func grow[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}
