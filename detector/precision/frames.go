package precision

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/oodcast/oodcast/ingest"
)

// sample is a choice of frames of the footage, in its order.
type sample struct {
	Ranges, Search, Held []*ingest.Frame
}

// drawn is a frame with its number in the footage.
type drawn struct {
	at    int
	frame *ingest.Frame
}

// draw reads the footage and keeps copies of a uniform random sample of its frames.
func (o *Options) draw(ctx context.Context) (sample, error) {
	sources, err := o.Footage.Open()
	if err != nil {
		return sample{}, err
	}
	r := rand.New(rand.NewPCG(o.Seed, 0x70726563))
	const most = rangeFrames + searchFrames + heldFrames
	var kept []drawn
	seen := 0
	for i, s := range sources {
		err := s.Run(ctx, func(_ context.Context, f *ingest.Frame) error {
			defer f.Release()
			at := seen
			seen++
			slot := at
			if at >= most {
				if slot = r.IntN(seen); slot >= most {
					return nil
				}
			}
			c := ingest.NewFrame(f.Width, f.Height)
			copy(c.Pix, f.Pix)
			if slot == len(kept) {
				kept = append(kept, drawn{at, c})
				return nil
			}
			kept[slot].frame.Release()
			kept[slot] = drawn{at, c}
			return nil
		})
		if err = errors.Join(err, ctx.Err()); err != nil {
			return sample{}, fmt.Errorf("precision: read %s: %w", o.Footage.Names[i], err)
		}
	}
	if len(kept) < fewestFrames {
		return sample{}, fmt.Errorf("%w: %d frames, want at least %d", ErrFewFrames, len(kept), fewestFrames)
	}
	slices.SortFunc(kept, func(a, b drawn) int { return cmp.Compare(a.at, b.at) })
	return split(kept), nil
}

// split shares the frames out in turn, so that each purpose sees all of the footage.
func split(kept []drawn) sample {
	var s sample
	for i, k := range kept {
		switch i % 7 {
		case 0, 2, 4:
			s.Ranges = append(s.Ranges, k.frame)
		case 5:
			s.Search = append(s.Search, k.frame)
		default:
			s.Held = append(s.Held, k.frame)
		}
	}
	return s
}
