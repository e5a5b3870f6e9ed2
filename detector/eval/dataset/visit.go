package dataset

import (
	"context"
	"fmt"
	"runtime"

	"golang.org/x/sync/errgroup"
)

// Labelled is an image with its scores and its truth.
type Labelled struct {
	Index         int // in Dataset.Items
	Item          Item
	Width, Height int
	Labels        []uint8   // Height × Width
	Scores        []float32 // Height × Width, higher is more anomalous; reused after the visit
}

// Visits calls visit once for every image of a data set, concurrently for several images. A visitor that writes only to
// the slot of its Index needs no lock, and its result does not depend on the order. The first error ends the visits.
type Visits func(ctx context.Context, visit func(x *Labelled) error) error

// Visits returns visits whose scores come from load. load gets an image with its labels and a buffer of an earlier image,
// which it may reuse, and returns the scores of that image.
func (d *Dataset) Visits(load func(x *Labelled, buffer []float32) ([]float32, error)) Visits {
	return func(ctx context.Context, visit func(x *Labelled) error) error {
		workers := max(1, min(runtime.GOMAXPROCS(0), len(d.Items)))
		g, ctx := errgroup.WithContext(ctx)
		for w := range workers {
			g.Go(func() error {
				var scores []float32
				for i := w; i < len(d.Items); i += workers {
					if err := ctx.Err(); err != nil {
						return err
					}
					x := &Labelled{Index: i, Item: d.Items[i]}
					var err error
					if x.Labels, x.Width, x.Height, err = x.Item.Labels(); err != nil {
						return err
					}
					if scores, err = load(x, scores); err != nil {
						return err
					}
					x.Scores = scores
					if err := visit(x); err != nil {
						return fmt.Errorf("%q: %w", x.Item.Image, err)
					}
				}
				return nil
			})
		}
		return g.Wait()
	}
}
