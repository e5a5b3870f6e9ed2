package method

import (
	"context"
	"time"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/ingest"
)

// Encoded is an image that is encoded once for all rows. It is read-only and valid until the next image.
type Encoded struct {
	*detector.Encoding
	Frame *ingest.Frame // the image at its own size

	charged time.Duration // time that a scorer saved because an earlier one did the same work
}

// Encode runs the encoder on an image. It neither keeps nor releases the frame. The result is valid until the next call.
type Encode func(ctx context.Context, f *ingest.Frame) (*detector.Encoding, error)

// Scorer makes the map of an encoded image. The map may have any size, higher is more anomalous, and its Values are the
// caller's. A Scorer is not safe for concurrent use.
type Scorer func(ctx context.Context, x *Encoded) (*detector.Map, error)

// Row is a line of the comparison: a method at one number of timesteps.
type Row struct {
	Method    string
	Timesteps int // |T|; 0 for a method that does not depend on it
	Score     Scorer
	// Trial marks one of many settings to choose from, of which only the pooled metrics are of interest.
	Trial bool
}
