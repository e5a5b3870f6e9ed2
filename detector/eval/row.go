package eval

import (
	"context"
	"time"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/ingest"
)

// Encoded is an image that was encoded once for all rows. It is read-only and valid until the next image.
type Encoded struct {
	*detector.Encoding
	Frame *ingest.Frame // the picture at its own size

	charged time.Duration // that a scorer was spared because another one had done the work before
}

// Encode runs the network on a picture; it neither keeps nor releases the frame. The result is valid until the next call.
type Encode func(ctx context.Context, f *ingest.Frame) (*detector.Encoding, error)

// Scorer makes the map of an encoded image, of any size; higher is more anomalous. The map's Values are its own. A Scorer
// is not safe for concurrent use.
type Scorer func(ctx context.Context, x *Encoded) (*detector.Map, error)

// Row is a line of the comparison: a method, with a number of timesteps where it has any.
type Row struct {
	Method    string
	Timesteps int // |T|; 0 for methods without timesteps
	Score     Scorer
}
