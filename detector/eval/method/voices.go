package method

import (
	"context"
	"slices"

	"github.com/oodcast/oodcast/detector"
)

// voiceMethods score by one of the other voices of the rule sized alone.
func voiceMethods() []Method {
	return []Method{
		{
			Name: "unclaimed", Source: "−log Σ exp of the bundle's pixel classifiers on the encoder's features, taught by its segmenter",
			needs: ErrNeedsHeads, build: func(*Kit, []int) (Scorer, error) {
				return func(_ context.Context, x *Encoded) (*detector.Map, error) {
					return &detector.Map{Width: x.LogitsWidth, Height: x.LogitsHeight, Values: slices.Clone(x.Unclaimed)}, nil
				}, nil
			},
		},
		{
			Name: "contrast", Source: "lse minus its mean over the surroundings", logits: true,
			build: func(k *Kit, _ []int) (Scorer, error) {
				return func(_ context.Context, x *Encoded) (*detector.Map, error) {
					return &detector.Map{
						Width: x.LogitsWidth, Height: x.LogitsHeight, Values: detector.Contrast(x.Encoding, k.Surroundings/k.LogitsStride),
					}, nil
				}, nil
			},
		},
	}
}
