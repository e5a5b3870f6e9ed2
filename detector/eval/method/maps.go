package method

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/detector/eval/dataset"
	"github.com/oodcast/oodcast/ingest"
)

// Maps holds the map of every row and image at its own size, a few kilobytes each. [Maps.Visits] resizes them to pixels for
// one row and a few images at a time, so memory hardly grows with the number of methods and |T|.
type Maps struct {
	Dataset *dataset.Dataset
	Rows    []Row
	maps    [][]*detector.Map // by row, then by image
	ms      [][]float64       // time of each map, likewise
}

// Estimate is what the first image tells about the time of all.
type Estimate struct {
	Rows   []Row
	PerRow []time.Duration // time of one image, the encoding included
	Images int             // 0: unknown, as of a stream
	Left   time.Duration   // for the remaining images; metrics come on top
}

// Score encodes each image of d once and makes the maps of all rows. read reads an image file. first, unless nil, gets an
// estimate after the first image.
func Score(
	ctx context.Context, d *dataset.Dataset, read func(path string) (*ingest.Frame, error), encode Encode, rows []Row,
	first func(Estimate),
) (*Maps, error) {
	m := &Maps{Dataset: d, Rows: rows, maps: make([][]*detector.Map, len(rows)), ms: make([][]float64, len(rows))}
	for i, it := range d.Items {
		begun := time.Now()
		f, err := read(it.Image)
		if err != nil {
			return nil, err
		}
		err = m.add(ctx, f, encode)
		f.Release()
		if err != nil {
			return nil, fmt.Errorf("%q: %w", it.Image, err)
		}
		if i == 0 && first != nil {
			first(m.estimate(time.Since(begun)))
		}
	}
	return m, nil
}

func (m *Maps) estimate(took time.Duration) Estimate {
	e := Estimate{Rows: m.Rows, Images: len(m.Dataset.Items)}
	e.Left = took * time.Duration(e.Images-1)
	for _, ms := range m.ms {
		e.PerRow = append(e.PerRow, time.Duration(ms[0]*float64(time.Millisecond)))
	}
	return e
}

// String returns the estimate as one line for people.
func (e Estimate) String() string {
	var b strings.Builder
	if e.Images > 0 {
		fmt.Fprintf(&b, "%d more images take about %s; ", e.Images-1, about(e.Left))
	}
	b.WriteString("an image takes")
	trials := 0
	for i, r := range e.Rows {
		if r.Trial {
			trials++
			continue
		}
		if i > 0 {
			b.WriteString(",")
		}
		fmt.Fprintf(&b, " %s with %s", about(e.PerRow[i]), r.Method)
		if r.Timesteps > 0 {
			fmt.Fprintf(&b, " |T|=%d", r.Timesteps)
		}
	}
	if trials > 0 {
		fmt.Fprintf(&b, "; %d settings to choose from share the denoiser", trials)
	}
	return b.String()
}

// about rounds a duration to two digits or so.
func about(d time.Duration) string {
	switch {
	case d < time.Second:
		return d.Round(10 * time.Millisecond).String()
	case d < time.Minute:
		return d.Round(100 * time.Millisecond).String()
	}
	return d.Round(time.Minute / 2).String()
}

// add scores one image. Each row is charged with the time that it would take on its own, the encoding included.
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
		if enc.Look != nil && !one.SecondLook {
			took -= enc.Look.Took
		}
		one.ImageWidth, one.ImageHeight = f.Width, f.Height
		m.maps[i] = append(m.maps[i], one)
		m.ms[i] = append(m.ms[i], took.Seconds()*1000)
	}
	return nil
}

// Milliseconds returns the time that encoding and scoring took for each image of a row.
func (m *Maps) Milliseconds(row int) []float64 { return m.ms[row] }

// Visits returns the visits of one row: each map, bilinearly resized to its image.
func (m *Maps) Visits(row int) dataset.Visits {
	return m.Dataset.Visits(func(x *dataset.Labelled, buffer []float32) ([]float32, error) {
		one := m.maps[row][x.Index]
		if one.ImageWidth != x.Width || one.ImageHeight != x.Height {
			return nil, fmt.Errorf("%w %q: %d×%d, but its image is %d×%d", dataset.ErrLabels, x.Item.Label, x.Width, x.Height,
				one.ImageWidth, one.ImageHeight)
		}
		return one.ResizeTo(buffer, x.Width, x.Height), nil
	})
}
