package overlay

import "github.com/oodcast/oodcast/detector"

// Layer is an anomaly map ready to be laid over frames of one size. It is computed once per map.
type Layer struct {
	palette *palette
	w, h    int
	m       *detector.Map // the map in pix
	pix     []byte        // RGBA, colours multiplied by alpha, 4·w·h bytes
	first   []int         // in each row, the first pixel that is not clear
	last    []int         // in each row, one past the last pixel that is not clear
	values  []float32
}

// NewLayer returns a layer without a map: it is clear.
func NewLayer() *Layer { return &Layer{palette: newPalette()} }

// Set computes the layer of m for frames of w×h, unless the layer holds it already. A nil map makes it clear.
func (l *Layer) Set(m *detector.Map, w, h int) {
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
	r := rampFor(m.Threshold)
	for y := range h {
		l.fillRow(y, r)
	}
	l.contour(m.Threshold)
	if m.ROI != nil {
		l.darken(m.ROI)
	}
}

// outsideAlpha darkens the surroundings of the region of interest by a third.
const outsideAlpha = 85

// darken darkens the pixels outside the region of interest.
func (l *Layer) darken(roi *detector.Mask) {
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

func (l *Layer) fillRow(y int, r ramp) {
	row, out := l.values[l.w*y:l.w*(y+1)], l.pix[4*l.w*y:4*l.w*(y+1)]
	first, last := l.w, 0
	for x, v := range row {
		c := &l.palette[r.shade(v)]
		o := out[4*x : 4*x+4 : 4*x+4]
		o[0], o[1], o[2], o[3] = c.r, c.g, c.b, c.a
		if c.a > 0 {
			first, last = min(first, x), x+1
		}
	}
	l.first[y], l.last[y] = min(first, last), last
}

// contour draws a white line, two pixels wide, where values cross the threshold.
func (l *Layer) contour(threshold float32) {
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

func (l *Layer) dot(x, y int) {
	o := l.pix[4*(l.w*y+x):]
	o[0], o[1], o[2], o[3] = 235, 235, 235, 235
	l.first[y], l.last[y] = min(l.first[y], x), max(l.last[y], x+1)
}

// Blend lays the layer over a packed RGB picture of the same size.
func (l *Layer) Blend(rgb []byte) {
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
