package detector

import (
	"context"
	"errors"

	"github.com/oodcast/oodcast/ingest"
)

// ErrNotFinite reports that a map contains NaN or an infinity. The map is not published. A single such frame is an incident,
// many mean a broken bundle.
var ErrNotFinite = errors.New("detector: map is not finite")

// Encoder turns a frame into features and segmentation uncertainty. It is not safe for concurrent use: the next call reuses
// the Encoding.
type Encoder interface {
	// Encode resizes the frame to the working size, width × height in multiples of 32, and runs the network. It only reads
	// the frame and does not retain it.
	Encode(ctx context.Context, f *ingest.Frame, width, height int) (*Encoding, error)
	Close() error
}

// BatchEncoder is an Encoder that encodes several frames at once.
type BatchEncoder interface {
	Encoder
	// EncodeAll is Encode for several frames. Each result equals that of encoding the frame alone.
	EncodeAll(ctx context.Context, frames []*ingest.Frame, width, height int) ([]*Encoding, error)
}

// Encoding is the output of an Encoder for one frame.
type Encoding struct {
	Width, Height, Channels   int       // token grid and length of a feature
	Features                  []float32 // Height × Width × Channels
	LogitsWidth, LogitsHeight int       // grid of the segmenter's output, and of maps
	Classes                   int       // 0: an encoder without classes, which leaves Logits and LSE empty
	Logits                    []float32 // Classes × LogitsHeight × LogitsWidth
	LSE                       []float32 // LogitsHeight × LogitsWidth: log Σ exp over classes, high where the segmenter is sure
	Unclaimed                 []float32 // LogitsHeight × LogitsWidth: high where no class claims the features; empty without heads
	Guide                     []float32 // LogitsHeight × LogitsWidth × 3: the frame's mean colours, 0 … 1; for guided upsampling

	Motion Speeds // what moves, if the detector was asked to look; no encoder sets it

	// Mask-classification networks only: each query has class logits, the last one for "no object", and a mask.
	Queries, MaskWidth, MaskHeight int
	ClassLogits                    []float32 // Queries × (known classes + 1)
	MaskLogits                     []float32 // Queries × MaskHeight × MaskWidth

	Look *Look // second look at a part of the frame; nil: none
}

// Scorer computes the per-timestep scores e_t of features. It is not safe for concurrent use.
type Scorer interface {
	// ScoreTo stores the scores of n features (n × channels, as the Encoder returns them) at the given timesteps in dst, as
	// len(timesteps) rows of n. The same features, timesteps and seed give the same scores.
	ScoreTo(dst, features []float32, n int, timesteps []int) error
	Close() error
}

// GridScorer is a Scorer that may score a feature together with its neighbours.
type GridScorer interface {
	Scorer
	// Window returns the side of the squares of features that are scored together; 0 if each feature is scored alone.
	Window() int
	// ScoreGridTo is ScoreTo for the features of a grid of width × height. A scorer with a Window supports only this method.
	ScoreGridTo(dst, features []float32, width, height int, timesteps []int) error
}

// ScoreEncoding stores the scores of all features of an encoding in dst, one row per timestep.
func ScoreEncoding(s Scorer, dst []float32, enc *Encoding, timesteps []int) error {
	if g, ok := s.(GridScorer); ok {
		return g.ScoreGridTo(dst, enc.Features, enc.Width, enc.Height, timesteps)
	}
	return s.ScoreTo(dst, enc.Features, enc.Width*enc.Height, timesteps)
}

// BatchScorer is a Scorer that scores several pictures at once and can leave tokens out.
type BatchScorer interface {
	Scorer
	// ScoreAllTo is ScoreTo for pictures of one size: it stores the scores of features[i] in dst[i]. tokens lists the indices
	// of the tokens to score in ascending order; nil stands for all. dst[i] has len(timesteps) rows of len(tokens). A token
	// gets the same score as when its picture is scored alone and with all tokens.
	ScoreAllTo(dst, features [][]float32, tokens, timesteps []int) error
}
