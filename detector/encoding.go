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

// BatchEncoder is an Encoder that takes several frames at once.
type BatchEncoder interface {
	Encoder
	// EncodeAll is Encode for all of the frames. A picture comes out as it does alone.
	EncodeAll(ctx context.Context, frames []*ingest.Frame, width, height int) ([]*Encoding, error)
}

// Encoding is what an Encoder makes of a frame.
type Encoding struct {
	Width, Height, Channels   int       // token grid and length of a feature
	Features                  []float32 // Height × Width × Channels
	LogitsWidth, LogitsHeight int       // grid of the segmenter's output, and of maps
	Classes                   int       // 0: an encoder without classes, which leaves Logits and LSE empty
	Logits                    []float32 // Classes × LogitsHeight × LogitsWidth
	LSE                       []float32 // LogitsHeight × LogitsWidth: log Σ exp over classes, high where sure
	Guide                     []float32 // LogitsHeight × LogitsWidth × 3: the frame's mean colours, 0 … 1; for guided upsampling

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

// GridScorer is a Scorer that may see more than one feature at once.
type GridScorer interface {
	Scorer
	// Window is the side of the squares of features that it sees at once; 0 when it sees each by itself.
	Window() int
	// ScoreGridTo is ScoreTo for the features of a grid of width × height; with a Window there is no other way.
	ScoreGridTo(dst, features []float32, width, height int, timesteps []int) error
}

// ScoreEncoding stores the scores of all features of an encoding in dst, len(timesteps) rows of them.
func ScoreEncoding(s Scorer, dst []float32, enc *Encoding, timesteps []int) error {
	if g, ok := s.(GridScorer); ok {
		return g.ScoreGridTo(dst, enc.Features, enc.Width, enc.Height, timesteps)
	}
	return s.ScoreTo(dst, enc.Features, enc.Width*enc.Height, timesteps)
}

// BatchScorer is a Scorer that scores several pictures at once and can leave tokens out.
type BatchScorer interface {
	Scorer
	// ScoreAllTo is ScoreTo for pictures of one size: features[i] is scored to dst[i]. tokens are the indices of those to
	// score, in ascending order, and dst[i] has len(timesteps) rows of len(tokens); nil stands for all. A token gets the
	// score that it gets among all tokens of its picture alone.
	ScoreAllTo(dst, features [][]float32, tokens, timesteps []int) error
}
