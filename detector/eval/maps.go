package eval

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/ingest"
)

// Maps holds what every row made of every image, at the size in which the rows made it: four bytes a cell, some kilobytes
// a map. Pixels are made from it one row and a few images at a time, so that memory does not grow with methods and |T|.
type Maps struct {
	Dataset *Dataset
	Rows    []Row
	maps    [][]*detector.Map // by row, then by image
	ms      [][]float64
}

// Score encodes each image of d once and makes its maps for all rows. read reads a picture file.
func Score(
	ctx context.Context, d *Dataset, read func(path string) (*ingest.Frame, error), encode Encode, rows []Row,
) (*Maps, error) {
	m := &Maps{Dataset: d, Rows: rows, maps: make([][]*detector.Map, len(rows)), ms: make([][]float64, len(rows))}
	for _, it := range d.Items {
		f, err := read(it.Image)
		if err != nil {
			return nil, err
		}
		err = m.add(ctx, f, encode)
		f.Release()
		if err != nil {
			return nil, fmt.Errorf("%q: %w", it.Image, err)
		}
	}
	return m, nil
}

// add scores one picture. A row is charged with all it would need on its own, the encoding first of all.
func (m *Maps) add(ctx context.Context, f *ingest.Frame, encode Encode) error {
	begun := time.Now()
	enc, err := encode(ctx, f)
	if err != nil {
		return err
	}
	x := &Encoded{Encoding: enc, Frame: f}
	encoding := time.Since(begun)
	for i, row := range m.Rows {
		begun, x.charged = time.Now(), 0
		one, err := row.Score(ctx, x)
		if err != nil {
			return fmt.Errorf("%s: %w", row.Method, err)
		}
		took := encoding + time.Since(begun) + x.charged
		one.ImageWidth, one.ImageHeight = f.Width, f.Height
		m.maps[i] = append(m.maps[i], one)
		m.ms[i] = append(m.ms[i], took.Seconds()*1000)
	}
	return nil
}

// Milliseconds returns how long encoding and scoring took for each image under a row.
func (m *Maps) Milliseconds(row int) []float64 { return m.ms[row] }

// Labelled is a scored image beside its truth.
type Labelled struct {
	Index         int // in Dataset.Items
	Item          Item
	Width, Height int
	Labels        []uint8       // Height × Width
	Scores        []float32     // Height × Width: the map, bilinearly resized; reused after the visit
	Map           *detector.Map // as the row made it; nil for score files
}

// Visits calls visit for every image, for several images at a time: a visitor that writes to a slot of its own by Index
// needs no lock, and what it makes does not depend on the order. The first error ends the visits.
type Visits func(ctx context.Context, visit func(x *Labelled) error) error

// Visits returns the visits of one row.
func (m *Maps) Visits(row int) Visits {
	return func(ctx context.Context, visit func(x *Labelled) error) error {
		return m.Dataset.visit(ctx, func(x *Labelled, scores []float32) ([]float32, error) {
			x.Map = m.maps[row][x.Index]
			if x.Map.ImageWidth != x.Width || x.Map.ImageHeight != x.Height {
				return nil, fmt.Errorf("%w %q: %d×%d, but its image is %d×%d", ErrLabels, x.Item.Label, x.Width, x.Height,
					x.Map.ImageWidth, x.Map.ImageHeight)
			}
			return x.Map.ResizeTo(scores, x.Width, x.Height), nil
		}, visit)
	}
}

// Pool collects all valid pixels of the visits; further visitors see each image in the same pass.
func (d *Dataset) Pool(ctx context.Context, visits Visits, further ...func(x *Labelled) error) (*Pool, error) {
	pool := NewPool(len(d.Items))
	return pool, d.fill(ctx, pool, visits, further...)
}

func (d *Dataset) fill(ctx context.Context, pool *Pool, visits Visits, further ...func(x *Labelled) error) error {
	return visits(ctx, func(x *Labelled) error {
		err := pool.Set(x.Index, x.Scores, x.Labels, d.OOD)
		for _, visit := range further {
			if err == nil {
				err = visit(x)
			}
		}
		return err
	})
}

// visit loads truth and scores of every image and calls visit with them, for as many images at a time as there are cores.
func (d *Dataset) visit(
	ctx context.Context, load func(x *Labelled, scores []float32) ([]float32, error), visit func(x *Labelled) error,
) error {
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
