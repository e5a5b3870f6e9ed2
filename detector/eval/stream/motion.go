package stream

import "github.com/oodcast/oodcast/ingest"

// The motion estimate matches blocks of 16×16 pixels to the previous frame, by the smallest sum of absolute differences of
// brightness at half resolution over all shifts of up to 16 pixels.
const (
	blockSide   = 16            // side of a block in pixels
	halfBlock   = blockSide / 2 // the same at half resolution
	reach       = 8             // largest shift at half resolution
	blockPixels = halfBlock * halfBlock
	// staticLevel is the largest mean difference, in levels of 255, of a block that has not moved. It lies above the noise of
	// compression.
	staticLevel = 3
	// A shift explains a block if the remaining difference is at most matchLevel in the mean and at most matchShare of the
	// difference without a shift.
	matchLevel = 8
	matchShare = 0.5
)

// blockKind is the change of a block since the previous frame.
type blockKind uint8

const (
	blockOther  blockKind = iota // new, or changed in a way that no shift explains
	blockStatic                  // unchanged in picture and truth
	blockMoved                   // moved by a known shift
)

// motion compares each frame with the previous one. The zero motion is ready to use.
type motion struct {
	cols, rows  int
	kinds       []blockKind
	shift       [][2]int // of moved blocks, in pixels
	prev, cur   grey
	prevLabels  []uint8
	frameWidth  int
	frameHeight int
}

// grey is brightness at half resolution.
type grey struct {
	w, h int
	pix  []uint8
}

// next compares the next frame. labels may be nil; next keeps it.
func (m *motion) next(f *ingest.Frame, labels []uint8) {
	m.prev, m.cur = m.cur, m.prev
	m.cur.read(f)
	first := m.prev.w != m.cur.w || m.prev.h != m.cur.h
	m.cols, m.rows, m.frameWidth, m.frameHeight = f.Width/blockSide, f.Height/blockSide, f.Width, f.Height
	m.kinds, m.shift = m.kinds[:0], m.shift[:0]
	if first {
		m.cols, m.rows = 0, 0
	}
	for by := range m.rows {
		for bx := range m.cols {
			kind, dx, dy := m.match(bx*halfBlock, by*halfBlock)
			if kind == blockStatic && !m.sameLabels(labels, bx*blockSide, by*blockSide) {
				kind = blockOther
			}
			m.kinds = append(m.kinds, kind)
			m.shift = append(m.shift, [2]int{2 * dx, 2 * dy})
		}
	}
	m.prevLabels = labels
}

// match finds the shift of the block at (x, y), at half resolution.
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

// difference returns the sum of absolute differences between the block at (x, y) and the previous frame's block at
// (x-dx, y-dy). It stops at limit.
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

// sameLabels reports whether the truth of the block at (x, y) is unchanged, as far as it is known.
func (m *motion) sameLabels(labels []uint8, x, y int) bool {
	if n := m.frameWidth * m.frameHeight; len(labels) != n || len(m.prevLabels) != n {
		return true
	}
	for row := y; row < y+blockSide; row++ {
		at := row*m.frameWidth + x
		if string(labels[at:at+blockSide]) != string(m.prevLabels[at:at+blockSide]) {
			return false
		}
	}
	return true
}

// read sets g to the brightness (2R + 5G + B)/8 of a frame, averaged over two by two pixels.
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
