package eval

import (
	"github.com/oodcast/oodcast/ingest"
)

// The motion estimate: blocks of 16×16 pixels are matched to the frame before, on brightness at half the resolution, by
// the smallest sum of absolute differences over all shifts of up to 16 pixels.
const (
	block16     = 16          // side of a block in pixels
	halfBlock   = block16 / 2 // in pixels of the half resolution
	reach       = 8           // largest shift there
	blockPixels = halfBlock * halfBlock
	// staticLevel is the mean difference, of 255, up to which a block has not moved: above what compression leaves.
	staticLevel = 3
	// matchLevel and matchShare say when a shift explains a block: what is left of the difference, and its share.
	matchLevel = 8
	matchShare = 0.5
)

// blockKind is what became of a block since the frame before.
type blockKind uint8

const (
	blockOther  blockKind = iota // appeared, or changed in a way that no shift explains
	blockStatic                  // as it was, in picture and truth
	blockMoved                   // where it came from is known
)

// motion compares each frame with the one before. The zero motion is ready.
type motion struct {
	cols, rows  int
	kinds       []blockKind
	shift       [][2]int // of moved blocks: how far the block came, in pixels
	prev, cur   grey
	prevLabels  []uint8
	frameWidth  int
	frameHeight int
}

// grey is brightness at half the resolution.
type grey struct {
	w, h int
	pix  []uint8
}

// next takes the next frame and its labels, which may be nil. It keeps labels.
func (m *motion) next(f *ingest.Frame, labels []uint8) {
	m.prev, m.cur = m.cur, m.prev
	m.cur.read(f)
	first := m.prev.w != m.cur.w || m.prev.h != m.cur.h
	m.cols, m.rows, m.frameWidth, m.frameHeight = f.Width/block16, f.Height/block16, f.Width, f.Height
	m.kinds, m.shift = m.kinds[:0], m.shift[:0]
	if first {
		m.cols, m.rows = 0, 0
	}
	for by := range m.rows {
		for bx := range m.cols {
			kind, dx, dy := m.match(bx*halfBlock, by*halfBlock)
			if kind == blockStatic && !m.sameLabels(labels, bx*block16, by*block16) {
				kind = blockOther
			}
			m.kinds = append(m.kinds, kind)
			m.shift = append(m.shift, [2]int{2 * dx, 2 * dy})
		}
	}
	m.prevLabels = labels
}

// match finds where the block at (x, y) of the half resolution came from.
func (m *motion) match(x, y int) (kind blockKind, dx, dy int) {
	still := m.difference(x, y, 0, 0, blockPixels*255)
	if still <= staticLevel*blockPixels {
		return blockStatic, 0, 0
	}
	least := still
	for sy := max(-reach, y+halfBlock-m.cur.h); sy <= min(reach, y); sy++ {
		for sx := max(-reach, x+halfBlock-m.cur.w); sx <= min(reach, x); sx++ {
			if d := m.difference(x, y, sx, sy, least); d < least {
				least, dx, dy = d, sx, sy
			}
		}
	}
	if least > matchLevel*blockPixels || float64(least) > matchShare*float64(still) {
		return blockOther, 0, 0
	}
	return blockMoved, dx, dy
}

// difference compares the block at (x, y) with the one before that lies (dx, dy) up and left of it; it stops at limit.
func (m *motion) difference(x, y, dx, dy, limit int) (sum int) {
	for row := range halfBlock {
		a := m.cur.pix[(y+row)*m.cur.w+x:][:halfBlock]
		b := m.prev.pix[(y-dy+row)*m.prev.w+x-dx:][:halfBlock]
		for i, v := range a {
			d := int(v) - int(b[i])
			sum += max(d, -d)
		}
		if sum >= limit {
			return sum
		}
	}
	return sum
}

// sameLabels reports whether the truth of the block at (x, y) is what it was, as far as it is known.
func (m *motion) sameLabels(labels []uint8, x, y int) bool {
	if n := m.frameWidth * m.frameHeight; len(labels) != n || len(m.prevLabels) != n {
		return true
	}
	for row := y; row < y+block16; row++ {
		at := row*m.frameWidth + x
		if string(labels[at:at+block16]) != string(m.prevLabels[at:at+block16]) {
			return false
		}
	}
	return true
}

// read takes the brightness of a frame: (2R + 5G + B)/8, the mean of two by two pixels.
func (g *grey) read(f *ingest.Frame) {
	g.w, g.h = f.Width/2, f.Height/2
	if cap(g.pix) < g.w*g.h {
		g.pix = make([]uint8, g.w*g.h)
	}
	g.pix = g.pix[:g.w*g.h]
	for y := range g.h {
		top, bottom := f.Pix[6*y*f.Width:], f.Pix[(6*y+3)*f.Width:]
		for x := range g.w {
			sum := 0
			for _, p := range [2][]byte{top[6*x:][:6], bottom[6*x:][:6]} {
				sum += 2*(int(p[0])+int(p[3])) + 5*(int(p[1])+int(p[4])) + int(p[2]) + int(p[5])
			}
			g.pix[y*g.w+x] = uint8(sum / 32)
		}
	}
}
