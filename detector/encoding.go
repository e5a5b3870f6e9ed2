package detector

import (
	"context"
	"errors"

	"github.com/oodcast/oodcast/ingest"
)

// ErrNotFinite says that a map held a value that is no number. The map is not published; one such frame is an incident,
// many mean a broken bundle.
var ErrNotFinite = errors.New("detector: map is not finite")

// Encoder turns a frame into features and segmentation uncertainty. It is not safe for concurrent use: the Encoding is
// reused by the next call.
type Encoder interface {
	// Encode resizes the frame to the working size, width × height in multiples of 32, and runs the network. It reads
	// the frame and does not keep it.
	Encode(ctx context.Context, f *ingest.Frame, width, height int) (*Encoding, error)
	Close() error
}

// Encoding is what an Encoder makes of a frame.
type Encoding struct {
	Width, Height, Channels   int       // token grid and length of a feature
	Features                  []float32 // Height × Width × Channels
	LogitsWidth, LogitsHeight int       // grid of the segmenter's output
	Classes                   int
	Logits                    []float32 // Classes × LogitsHeight × LogitsWidth
	LSE                       []float32 // LogitsHeight × LogitsWidth: log Σ exp over classes, high where sure

	// Of mask-classification networks only: each query has class logits, the last one for "no object", and a mask.
	Queries, MaskWidth, MaskHeight int
	ClassLogits                    []float32 // Queries × (known classes + 1)
	MaskLogits                     []float32 // Queries × MaskHeight × MaskWidth
}

// Scorer computes the per-timestep scores e_t of features. It is not safe for concurrent use.
type Scorer interface {
	// ScoreTo stores the scores of n features (n × channels, as the Encoder made them) at the given timesteps in dst,
	// len(timesteps) rows of n. The same features, timesteps and seed give the same scores.
	ScoreTo(dst, features []float32, n int, timesteps []int) error
	Close() error
}

// TokenScorer is a Scorer that can leave tokens out.
type TokenScorer interface {
	Scorer
	// ScoreTokensTo is ScoreTo for some of the features: tokens are their indices in ascending order, and dst has
	// len(timesteps) rows of len(tokens). A token gets the score that it gets among all.
	ScoreTokensTo(dst, features []float32, tokens []int, timesteps []int) error
}
