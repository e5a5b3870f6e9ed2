package evaluator

import (
	"context"
	"fmt"

	"github.com/oodcast/oodcast/detector/eval/method"
	"github.com/oodcast/oodcast/ingest"
)

// referenceFrames is the number of encoded frames of normal footage after which only every second frame is encoded. After
// as many again it is every fourth, and so on.
const referenceFrames = 400

// ReadReference reads normal footage to its end and samples its features for the methods that compare with it. Footage
// that is too short is [method.ErrReference].
func (e *Evaluator) ReadReference(ctx context.Context, sources ...ingest.Source) error {
	sampler := method.NewSampler(method.ReferenceTokens, e.opts.Seed)
	number, encoded, stride := 0, 0, 1
	sink := func(ctx context.Context, f *ingest.Frame) error {
		defer f.Release()
		number++
		if number%stride != 0 {
			return nil
		}
		enc, err := e.encodeOnce(ctx, f)
		if err != nil {
			return err
		}
		if encoded++; encoded%referenceFrames == 0 {
			stride *= 2
		}
		sampler.Add(enc)
		return nil
	}
	for _, s := range sources {
		if err := s.Run(ctx, sink); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil { // a source ends without an error when its context does
			return err
		}
	}
	ref, err := sampler.Reference()
	if err != nil {
		return fmt.Errorf("%w: it has %d frames", err, encoded)
	}
	e.kit.Reference = ref
	return nil
}
