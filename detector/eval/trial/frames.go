package trial

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/oodcast/oodcast/detector/synth"
	"github.com/oodcast/oodcast/ingest"
)

// ErrFootage means that the footage has too few frames, or too small ones.
var ErrFootage = errors.New("trial: too little normal footage")

// Count is how many frames a trial keeps at most, and leastFrames how many it needs.
const (
	Count       = 36
	leastFrames = 6
)

// pastedEvery is the distance of frames with pasted things: the others show what is normal.
const pastedEvery = 3

// Frames are what features are tried on.
type Frames struct {
	Normal, Pasted []*ingest.Frame
	Labels         [][]uint8 // of Pasted: see package synth
}

// Read takes up to [Count] frames, spread evenly over the footage, and pastes things into every third of them. Memory is that
// of the frames.
func Read(ctx context.Context, sources []ingest.Source, g *synth.Generator) (*Frames, error) {
	var kept []*ingest.Frame
	number, stride := 0, 1
	sink := func(_ context.Context, f *ingest.Frame) error {
		defer f.Release()
		if min(f.Width, f.Height) < synth.LeastSide {
			return fmt.Errorf("%w: a frame of %dx%d pixels, want at least %d a side", ErrFootage, f.Width, f.Height, synth.LeastSide)
		}
		if number++; (number-1)%stride != 0 {
			return nil
		}
		if len(kept) == Count { // every second one goes, and this one, the next even one, comes
			for i := range Count / 2 {
				kept[i] = kept[2*i]
			}
			kept = slices.Delete(kept, Count/2, Count)
			stride *= 2
		}
		c := ingest.NewFrame(f.Width, f.Height)
		copy(c.Pix, f.Pix)
		kept = append(kept, c)
		return nil
	}
	for _, s := range sources {
		if err := errors.Join(s.Run(ctx, sink), ctx.Err()); err != nil { // a source ends without an error when its context does
			return nil, err
		}
	}
	if len(kept) < leastFrames {
		return nil, fmt.Errorf("%w: %d frames, want %d or more", ErrFootage, len(kept), leastFrames)
	}
	return paste(kept, g), nil
}

// paste divides the frames.
func paste(kept []*ingest.Frame, g *synth.Generator) *Frames {
	out := &Frames{}
	for i, f := range kept {
		if i%pastedEvery != pastedEvery-1 {
			out.Normal = append(out.Normal, f)
			continue
		}
		p := ingest.NewFrame(f.Width, f.Height)
		p.Pix = bytes.Clone(f.Pix)
		out.Labels = append(out.Labels, first(g.Paste(p.Pix, p.Width, p.Height, i)))
		out.Pasted = append(out.Pasted, p)
	}
	return out
}

func first(labels []uint8, _ []synth.Thing) []uint8 { return labels }
