package eval

import (
	"context"
	"fmt"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/ingest"
)

// Scorer makes the map of a frame, which it takes over: a method of [detector.Detector].
type Scorer func(context.Context, *ingest.Frame) (*detector.Map, error)

// Maps scores every image of d, resizes each map bilinearly to its mask and pools it. read reads a picture file. It also
// returns how long encoding and scoring took for each image, in milliseconds.
func Maps(
	ctx context.Context, d *Dataset, read func(path string) (*ingest.Frame, error), score Scorer,
) (*Pool, []float64, error) {
	pool := &Pool{}
	var ms []float64
	var scores []float32
	for _, it := range d.Items {
		labels, w, h, err := it.Labels()
		if err != nil {
			return nil, nil, err
		}
		f, err := read(it.Image)
		if err != nil {
			return nil, nil, err
		}
		if f.Width != w || f.Height != h {
			return nil, nil, fmt.Errorf("%w %q: %d×%d, but its image is %d×%d", ErrLabels, it.Label, w, h, f.Width, f.Height)
		}
		m, err := score(ctx, f)
		if err != nil {
			return nil, nil, fmt.Errorf("%q: %w", it.Image, err)
		}
		ms = append(ms, (m.Latency.Encode+m.Latency.Score).Seconds()*1000)
		scores = m.ResizeTo(scores, w, h)
		if err := pool.Add(scores, labels, d.OOD); err != nil {
			return nil, nil, fmt.Errorf("%q: %w", it.Image, err)
		}
	}
	return pool, ms, nil
}
