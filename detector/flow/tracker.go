package flow

import "math"

const (
	leastSide = 16 // of the coarsest level
	border    = 1  // pixels at the border whose origin cannot be told
)

// Tracker follows the pictures of one stream. It keeps two small pictures. It is not safe for concurrent use.
type Tracker struct {
	side   int
	levels []level // from the finest to the coarsest
	seen   bool    // there is a picture before
	ready  bool    // the flow is one of the last two pictures
}

// New returns a Tracker that works on pictures with a longer side of so many pixels.
func New(side int) *Tracker { return &Tracker{side: max(side, 2*leastSide)} }

// Reset forgets the pictures so far.
func (t *Tracker) Reset() { t.seen, t.ready = false, false }

// Next takes the next picture, packed RGB pixels, and reports whether it can tell how it has moved: not for the first picture
// of a size. It neither keeps nor changes pix.
func (t *Tracker) Next(pix []byte, width, height int) bool {
	scale := min(1, float64(t.side)/float64(max(width, height)))
	w, h := int(math.Round(scale*float64(width))), int(math.Round(scale*float64(height)))
	if min(w, h) < leastSide {
		t.Reset()
		return false
	}
	if len(t.levels) == 0 || t.levels[0].w != w || t.levels[0].h != h {
		t.seen, t.levels = false, nil
		for min(w, h) >= leastSide {
			t.levels = append(t.levels, newLevel(w, h))
			w, h = w/2, h/2
		}
	}
	for i := range t.levels {
		l := &t.levels[i]
		l.prev, l.cur = l.cur, l.prev
		if i == 0 {
			greyTo(l.cur, pix, width, height, l.w, l.h)
		} else {
			halveTo(l.cur, &t.levels[i-1], l.w, l.h)
		}
	}
	t.ready, t.seen = t.seen, true
	if t.ready {
		for i := len(t.levels) - 1; i >= 0; i-- {
			l := &t.levels[i]
			l.slopes()
			var coarser *level
			if i+1 < len(t.levels) {
				coarser = &t.levels[i+1]
			}
			l.search(coarser)
		}
	}
	return t.ready
}

// Origin is where a point was in the picture before.
type Origin struct {
	X, Y float32 // fractions of the width and height of the picture
	// Trust is 0 if the point shows something else than its origin, 1 if it shows the same.
	Trust float32
}

// At returns the origin of a point, in fractions of the width and height of the picture. It must follow a Next that was true.
func (t *Tracker) At(x, y float64) Origin {
	l := &t.levels[0]
	px, py := x*float64(l.w)-0.5, y*float64(l.h)-0.5
	u, v := l.shift(float32(px), float32(py))
	fx, fy := float32(px)+u, float32(py)+v
	o := Origin{X: (fx + 0.5) / float32(l.w), Y: (fy + 0.5) / float32(l.h)}
	if fx < -border || fy < -border || fx > float32(l.w-1+border) || fy > float32(l.h-1+border) {
		return o
	}
	o.Trust = l.trust(float32(px), float32(py), fx, fy)
	return o
}

// greyTo stores the brightness (2R + 5G + B)/8 of a picture over a grid of w × h cells in dst, from at most sampleSide² pixels
// per cell.
func greyTo(dst []float32, pix []byte, width, height, w, h int) {
	const sampleSide = 3
	for y := range h {
		y0, y1 := y*height/h, max(y*height/h+1, (y+1)*height/h)
		down := max(1, (y1-y0)/sampleSide)
		for x := range w {
			x0, x1 := x*width/w, max(x*width/w+1, (x+1)*width/w)
			across := max(1, (x1-x0)/sampleSide)
			sum, n := 0, 0
			for py := y0; py < y1; py += down {
				for p := 3 * (py*width + x0); p < 3*(py*width+x1); p += 3 * across {
					sum += 2*int(pix[p]) + 5*int(pix[p+1]) + int(pix[p+2])
					n++
				}
			}
			dst[y*w+x] = float32(sum) / float32(8*n)
		}
	}
}

// halveTo stores the newest picture of a level at half its size in dst.
func halveTo(dst []float32, from *level, w, h int) {
	for y := range h {
		top, bottom := from.cur[2*y*from.w:][:from.w], from.cur[(2*y+1)*from.w:][:from.w]
		for x := range w {
			dst[y*w+x] = (top[2*x] + top[2*x+1] + bottom[2*x] + bottom[2*x+1]) / 4
		}
	}
}
