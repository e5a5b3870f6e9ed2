package precision

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/detector/ort"
	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/models"
	"github.com/oodcast/oodcast/models/graph"
)

// observed is what was seen of the tensors of an encoder.
type observed struct {
	ranges   map[string]graph.Range
	elements map[string]int64 // of a tensor, for the last frame
}

// observe runs an encoder on frames and collects the ranges of what its operators read and make.
func observe(ctx context.Context, m models.Manifest, model []byte, ops []graph.Quantisable, frames []*ingest.Frame, opts ort.Options) (_ observed, err error) {
	parsed, err := graph.Parse(model)
	if err != nil {
		return observed{}, err
	}
	outputs, err := parsed.Observe(ops)
	if err != nil {
		return observed{}, err
	}
	s, err := ort.NewSession(parsed.Marshal(), opts)
	if err != nil {
		return observed{}, fmt.Errorf("precision: %w", err)
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	seen := observed{map[string]graph.Range{}, map[string]int64{}}
	for i, f := range frames {
		if err := ctx.Err(); err != nil {
			return seen, err
		}
		w, h := detector.FitSize(f.Width, f.Height, m.Encoder)
		if err := seen.frame(s, outputs, f, w, h, i); err != nil {
			return seen, err
		}
	}
	return seen, nil
}

// frame adds what happens in a run on the frame with number n.
func (o observed) frame(s *ort.Session, outputs []graph.Observed, f *ingest.Frame, w, h, n int) (err error) {
	shape := []int64{int64(f.Height), int64(f.Width), 3}
	if slices.ContainsFunc(s.Inputs(), func(v graph.Value) bool { return v.Name == "image" && len(v.Shape) == 4 }) {
		shape = slices.Insert(shape, 0, 1)
	}
	image, err := ort.NewTensor(shape, f.Pix)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, image.Close()) }()
	size, err := ort.NewTensor([]int64{2}, []int64{int64(h), int64(w)})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, size.Close()) }()
	got, err := s.Eval(map[string]*ort.Tensor{"image": image, "size": size})
	if err != nil {
		return err
	}
	for _, out := range outputs {
		low, high := float64(ort.Data[float32](got[out.Min])[0]), float64(ort.Data[float32](got[out.Max])[0])
		r, ok := o.ranges[out.Tensor]
		if !ok {
			r.Min, r.Max = low, high
		}
		r.Min, r.Max = min(r.Min, low), max(r.Max, high)
		if out.Mean != "" {
			values := ort.Data[float32](got[out.Mean])
			if r.Mean == nil {
				r.Mean = make([]float64, len(values))
			}
			for c, v := range values {
				r.Mean[c] += (float64(v) - r.Mean[c]) / float64(n+1)
			}
		}
		elements := int64(1)
		for _, d := range ort.Data[int64](got[out.Shape]) {
			elements *= d
		}
		o.ranges[out.Tensor], o.elements[out.Tensor] = r, elements
	}
	for _, t := range got {
		err = errors.Join(err, t.Close())
	}
	return err
}
