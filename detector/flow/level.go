package flow

import "math"

const (
	patch      = 8 // side of the patches that are searched for
	stride     = 4 // from patch to patch
	iterations = 4 // of the descent, at most
	enough     = 0.05
	farthest   = patch // the descent leaves a candidate no farther than this, in pixels
	// damping is added to the squared slopes of each pixel: where a patch has less texture than noise, the flow of its
	// surroundings stays.
	damping = 2.0
	pixels  = patch * patch
)

// level is a picture of the pyramid, the one before, and the flow between them.
type level struct {
	w, h       int
	cur, prev  []float32
	gx, gy     []float32 // slopes of cur
	cols, rows int       // of patches
	flow       []vector  // per patch, from cur to prev
}

type vector struct{ u, v float32 }

func newLevel(w, h int) level {
	n := w * h
	l := level{w: w, h: h, cols: (w-patch+stride-1)/stride + 1, rows: (h-patch+stride-1)/stride + 1}
	l.cur, l.prev = make([]float32, n+w+1), make([]float32, n+w+1) // cost and descend read a row beyond, with weight 0
	l.gx, l.gy = make([]float32, n), make([]float32, n)
	l.flow = make([]vector, l.cols*l.rows)
	return l
}

// slopes sets gx and gy to the central differences of cur.
func (l *level) slopes() {
	for y := range l.h {
		up, down := max(y-1, 0)*l.w, min(y+1, l.h-1)*l.w
		for x := range l.w {
			i := y*l.w + x
			l.gx[i] = (l.cur[y*l.w+min(x+1, l.w-1)] - l.cur[y*l.w+max(x-1, 0)]) / 2
			l.gy[i] = (l.cur[down+x] - l.cur[up+x]) / 2
		}
	}
}

// corner returns the upper left pixel of a patch.
func (l *level) corner(col, row int) (x, y int) {
	return min(col*stride, l.w-patch), min(row*stride, l.h-patch)
}

// search finds the flow of all patches. It begins with the flow of the coarser level, and with that of the neighbours that
// are done.
func (l *level) search(coarser *level) {
	for row := range l.rows {
		for col := range l.cols {
			x, y := l.corner(col, row)
			var candidates [4]vector
			n := 1
			if coarser != nil {
				c := coarser.nearest(x/2+stride/2, y/2+stride/2)
				candidates[0] = vector{2 * c.u, 2 * c.v}
			}
			at := row*l.cols + col
			if col > 0 {
				candidates[n] = l.flow[at-1]
				n++
			}
			if row > 0 {
				candidates[n] = l.flow[at-l.cols]
				n++
			}
			best, least := candidates[0], l.cost(x, y, candidates[0])
			for k, c := range candidates[1:n] {
				if near(c, best) || near(c, candidates[k]) {
					continue
				}
				if e := l.cost(x, y, c); e < least {
					best, least = c, e
				}
			}
			l.flow[at] = l.descend(x, y, best, least)
		}
	}
}

func near(a, b vector) bool {
	return math.Abs(float64(a.u-b.u)) < enough && math.Abs(float64(a.v-b.v)) < enough
}

// nearest returns the flow of the patch whose centre is the nearest to a pixel.
func (l *level) nearest(x, y int) vector {
	col := min(max((x-patch/2+stride/2)/stride, 0), l.cols-1)
	row := min(max((y-patch/2+stride/2)/stride, 0), l.rows-1)
	return l.flow[row*l.cols+col]
}

// place splits the upper left corner of a moved patch into a pixel of prev and weights. Patches stay inside the picture.
func (l *level) place(x, y int, f vector) (at int, w00, w01, w10, w11 float32) {
	fx := min(max(float32(x)+f.u, 0), float32(l.w-patch))
	fy := min(max(float32(y)+f.v, 0), float32(l.h-patch))
	ix, iy := int(fx), int(fy)
	rx, ry := fx-float32(ix), fy-float32(iy)
	return iy*l.w + ix, (1 - rx) * (1 - ry), rx * (1 - ry), (1 - rx) * ry, rx * ry
}

// cost returns the squared difference between the patch and its place in prev, apart from a common change of brightness.
func (l *level) cost(x, y int, f vector) float32 {
	at, w00, w01, w10, w11 := l.place(x, y, f)
	var sum, squares float32
	for row := range patch {
		a := l.cur[(y+row)*l.w+x:][:patch]
		b, c := l.prev[at+row*l.w:][:patch+1], l.prev[at+(row+1)*l.w:][:patch+1]
		for i := range a {
			d := w00*b[i] + w01*b[i+1] + w10*c[i] + w11*c[i+1] - a[i]
			sum += d
			squares += d * d
		}
	}
	return squares - sum*sum/pixels
}

// descend improves the flow of a patch, whose cost is least, by steps of Gauss and Newton with the slopes of the patch itself
// (inverse search).
func (l *level) descend(x, y int, best vector, least float32) vector {
	var sx, sy, xx, xy, yy float32
	for row := range patch {
		gx, gy := l.gx[(y+row)*l.w+x:][:patch], l.gy[(y+row)*l.w+x:][:patch]
		for i, a := range gx {
			b := gy[i]
			sx, sy, xx, xy, yy = sx+a, sy+b, xx+a*a, xy+a*b, yy+b*b
		}
	}
	xx += damping*pixels - sx*sx/pixels
	yy += damping*pixels - sy*sy/pixels
	xy -= sx * sy / pixels
	det := xx*yy - xy*xy
	begin := best
	f := best
	for range iterations {
		at, w00, w01, w10, w11 := l.place(x, y, f)
		var sum, squares, bx, by float32
		for row := range patch {
			o := (y+row)*l.w + x
			a, gx, gy := l.cur[o:][:patch], l.gx[o:][:patch], l.gy[o:][:patch]
			b, c := l.prev[at+row*l.w:][:patch+1], l.prev[at+(row+1)*l.w:][:patch+1]
			for i := range a {
				d := w00*b[i] + w01*b[i+1] + w10*c[i] + w11*c[i+1] - a[i]
				sum += d
				squares += d * d
				bx += gx[i] * d
				by += gy[i] * d
			}
		}
		if e := squares - sum*sum/pixels; e <= least {
			best, least = f, e
		} else {
			break
		}
		bx, by = bx-sx*sum/pixels, by-sy*sum/pixels
		du, dv := (yy*bx-xy*by)/det, (xx*by-xy*bx)/det
		if du*du+dv*dv < enough*enough {
			break
		}
		f = vector{best.u - du, best.v - dv}
		if math.Abs(float64(f.u-begin.u)) > farthest || math.Abs(float64(f.v-begin.v)) > farthest {
			break
		}
	}
	return best
}

// shift returns the flow at a pixel: the mean of the patches that cover it, those that explain the pixel counting most.
func (l *level) shift(x, y float32) (u, v float32) {
	// The patches that cover a pixel x begin at x-patch+1 … x.
	c1, r1 := min(max(int(x), 0)/stride, l.cols-1), min(max(int(y), 0)/stride, l.rows-1)
	c0, r0 := max(c1-patch/stride+1, 0), max(r1-patch/stride+1, 0)
	here := sample(l.cur, l.w, l.h, x, y)
	var total float32
	for row := r0; row <= r1; row++ {
		for col := c0; col <= c1; col++ {
			f := l.flow[row*l.cols+col]
			d := sample(l.prev, l.w, l.h, x+f.u, y+f.v) - here
			w := 1 / max(1, d*d)
			u, v, total = u+w*f.u, v+w*f.v, total+w
		}
	}
	return u / total, v / total
}

// sample reads a picture between its pixels; beyond the border it is that of the border.
func sample(p []float32, w, h int, x, y float32) float32 {
	x, y = min(max(x, 0), float32(w-1)), min(max(y, 0), float32(h-1))
	ix, iy := min(int(x), w-2), min(int(y), h-2)
	rx, ry := x-float32(ix), y-float32(iy)
	at := iy*w + ix
	top := p[at] + rx*(p[at+1]-p[at])
	bottom := p[at+w] + rx*(p[at+w+1]-p[at+w])
	return top + ry*(bottom-top)
}
