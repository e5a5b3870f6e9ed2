package ort

import "github.com/oodcast/oodcast/ingest"

// picture is a frame in the form that the network takes. Its buffers are reused.
type picture struct {
	pix    []byte // packed RGB, w × h
	w, h   int
	shrunk []byte
	guide  []float32
}

// shrink averages whole blocks of pixels if the frame is at least twice the working size: the graph's bilinear resize
// reads only four pixels and would skip the others.
func (p *picture) shrink(f *ingest.Frame, width, height int) {
	k := min(f.Width/max(1, width), f.Height/max(1, height))
	if k < 2 {
		p.pix, p.w, p.h = f.Pix, f.Width, f.Height
		return
	}
	w, h := f.Width/k, f.Height/k
	if cap(p.shrunk) < 3*w*h {
		p.shrunk = make([]byte, 3*w*h)
	}
	p.shrunk = p.shrunk[:3*w*h]
	p.pix, p.w, p.h = p.shrunk, w, h
	sums := make([]uint32, 3*w)
	for y := range h {
		clear(sums)
		for dy := range k {
			row := f.Pix[3*f.Width*(y*k+dy):][:3*w*k]
			addBlocks(sums, row, k)
		}
		out := p.shrunk[3*w*y:][:3*w]
		n := uint32(k * k)
		for i, s := range sums {
			out[i] = byte((s + n/2) / n)
		}
	}
}

// addBlocks adds each run of k RGB pixels of row to its RGB sum.
func addBlocks(sums []uint32, row []byte, k int) {
	for x := 0; x < len(sums); x += 3 {
		block := row[x*k:][:3*k]
		var r, g, b uint32
		for i := 0; i+2 < len(block); i += 3 {
			r += uint32(block[i])
			g += uint32(block[i+1])
			b += uint32(block[i+2])
		}
		sums[x] += r
		sums[x+1] += g
		sums[x+2] += b
	}
}
