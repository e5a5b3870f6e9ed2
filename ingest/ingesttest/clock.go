package ingesttest

import (
	"time"

	"github.com/oodcast/oodcast/ingest"
)

// The clock is a grid of 20x2 blocks of 16x16 pixels in the upper left corner: one bit per block, white is 1. It holds the
// lower 40 bits of the time in milliseconds and survives video compression.
const (
	clockColumns = 20
	clockRows    = 2
	clockBlock   = 16
	clockBits    = clockColumns * clockRows

	// ClockWidth and ClockHeight are the size of the clock in pixels, which every picture must have at least.
	ClockWidth  = clockColumns * clockBlock
	ClockHeight = clockRows * clockBlock
)

// StampClock writes t into a picture of packed RGB pixels of the given width.
func StampClock(rgb []byte, width int, t time.Time) {
	ms := t.UnixMilli()
	for y := range ClockHeight {
		row := rgb[3*y*width:][:3*ClockWidth]
		for x := range ClockWidth {
			bit := (y/clockBlock)*clockColumns + x/clockBlock
			v := byte(0)
			if ms>>bit&1 == 1 {
				v = 0xFF
			}
			row[3*x], row[3*x+1], row[3*x+2] = v, v, v
		}
	}
}

// ReadClock returns the time stamped into f, to the millisecond.
func ReadClock(f *ingest.Frame) time.Time {
	var ms int64
	for bit := range clockBits {
		sum := 0
		for dy := 4; dy < 12; dy++ { // the middle of the block, because its edges blur
			y := bit/clockColumns*clockBlock + dy
			for dx := 4; dx < 12; dx++ {
				sum += int(f.Pix[3*(y*f.Width+bit%clockColumns*clockBlock+dx)+1])
			}
		}
		if sum > 128*64 {
			ms |= 1 << bit
		}
	}
	now := time.Now().UnixMilli()
	return time.UnixMilli(now&^(1<<clockBits-1) | ms)
}
