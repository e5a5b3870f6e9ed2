package preview

import (
	"github.com/oodcast/oodcast/detector"
)

// layer is an anomaly map as it is laid over frames of one size. It is computed once for each map.
type layer struct {
	palette *palette
	w, h    int
	m       *detector.Map // what pix shows
	pix     []byte        // RGBA, colours multiplied with alpha, 4·w·h bytes
	first   []int         // first and one past the last pixel of each row that is not clear
	last    []int
	values  []float32
}

func newLayer() *layer { return &layer{palette: newPalette()} }

// set computes the layer of m for frames of w×h, unless it is there already.
func (l *layer) set(m *detector.Map, w, h int) {
	if m == l.m && w == l.w && h == l.h {
		return
	}
	if w != l.w || h != l.h {
		l.pix, l.first, l.last = make([]byte, 4*w*h), make([]int, h), make([]int, h)
	}
	l.m, l.w, l.h = m, w, h
	if m == nil {
		clear(l.last)
		return
	}
	l.values = m.ResizeTo(l.values, w, h)
	lo, k := scaleOf(m.Threshold)
	for y := range h {
		l.fillRow(y, lo, k)
	}
	l.contour(m.Threshold)
	if m.ROI != nil {
		l.darken(m.ROI)
	}
}

// outsideAlpha darkens what is not judged by a third.
const outsideAlpha = 85

// darken darkens the pixels outside of the region of interest.
func (l *layer) darken(roi *detector.Mask) {
	for y := range l.h {
		row := roi.Inside[y*roi.Height/l.h*roi.Width:][:roi.Width]
		for x := range l.w {
			if row[x*roi.Width/l.w] {
				continue
			}
			o := l.pix[4*(l.w*y+x):][:4:4]
			o[0], o[1], o[2], o[3] = 0, 0, 0, outsideAlpha
			l.first[y], l.last[y] = min(l.first[y], x), max(l.last[y], x+1)
		}
	}
}

func (l *layer) fillRow(y int, lo, k float32) {
	row, out := l.values[l.w*y:l.w*(y+1)], l.pix[4*l.w*y:4*l.w*(y+1)]
	first, last := l.w, 0
	for x, v := range row {
		c := &l.palette[shade(v, lo, k)]
		o := out[4*x : 4*x+4 : 4*x+4]
		o[0], o[1], o[2], o[3] = c.r, c.g, c.b, c.a
		if c.a > 0 {
			first, last = min(first, x), x+1
		}
	}
	l.first[y], l.last[y] = min(first, last), last
}

// contour draws a white line, two pixels wide, where values cross the threshold.
func (l *layer) contour(threshold float32) {
	w := l.w
	for y := range l.h - 1 {
		row, below := l.values[w*y:w*(y+1)], l.values[w*(y+1):w*(y+2)]
		for x := range w - 1 {
			in := row[x] > threshold
			if in != (row[x+1] > threshold) || in != (below[x] > threshold) {
				l.dot(x, y)
				l.dot(x+1, y)
				l.dot(x, y+1)
			}
		}
	}
}

func (l *layer) dot(x, y int) {
	o := l.pix[4*(l.w*y+x):]
	o[0], o[1], o[2], o[3] = 235, 235, 235, 235
	l.first[y], l.last[y] = min(l.first[y], x), max(l.last[y], x+1)
}

// blend lays the layer over a packed RGB picture of the same size.
func (l *layer) blend(rgb []byte) {
	if l.m == nil {
		return
	}
	for y := range l.h {
		for x := l.first[y]; x < l.last[y]; x++ {
			c := l.pix[4*(l.w*y+x):][:4:4]
			a := 255 - uint32(c[3])
			if a == 255 {
				continue
			}
			o := rgb[3*(l.w*y+x):][:3:3]
			o[0] = c[0] + byte(uint32(o[0])*a*257>>16)
			o[1] = c[1] + byte(uint32(o[1])*a*257>>16)
			o[2] = c[2] + byte(uint32(o[2])*a*257>>16)
		}
	}
}

// dim darkens a packed RGB picture to a third.
func dim(rgb []byte) {
	for i, v := range rgb {
		rgb[i] = v / 3
	}
}
