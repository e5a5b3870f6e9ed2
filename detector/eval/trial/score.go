package trial

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/detector/eval"
	"github.com/oodcast/oodcast/detector/eval/method"
	"github.com/oodcast/oodcast/detector/synth"
	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/models"
)

// tokens is how many tokens of normal frames the Gaussian is fitted to at most.
const tokens = 20_000

// seed of the sample of tokens.
const seed = 1

// Result is how well features separate pasted things from normal frames.
type Result struct {
	AP    float64 // of pixels, in 0..1
	FPR95 float64
	// Milliseconds is the median time of one picture up to the features.
	Milliseconds float64
}

// Score fits the features of an encoder to the normal frames and measures them on the pasted ones.
func (f *Frames) Score(
	ctx context.Context, encode models.EncodeFunc, spec models.EncoderSpec, product method.Multiplier,
) (Result, error) {
	var times []float64
	run := func(p *ingest.Frame) (*detector.Encoding, error) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		w, h := detector.FitSize(p.Width, p.Height, spec)
		begun := time.Now()
		out, err := encode(p.Pix, p.Width, p.Height, models.Size{Width: w, Height: h})
		if err != nil {
			return nil, err
		}
		times = append(times, time.Since(begun).Seconds()*1e3)
		return encoding(out["features"])
	}
	sampler := method.NewSampler(tokens, seed)
	for _, p := range f.Normal {
		enc, err := run(p)
		if err != nil {
			return Result{}, err
		}
		sampler.Add(enc)
	}
	ref, err := sampler.Reference()
	if err != nil {
		return Result{}, err
	}
	rows, err := method.NewRows(&method.Kit{Reference: ref, Product: product, FeaturesOnly: true, Shrink: true},
		[]string{"mahalanobis"}, nil)
	if err != nil {
		return Result{}, err
	}
	pool := eval.NewPool(len(f.Pasted))
	for i, p := range f.Pasted {
		enc, err := run(p)
		if err != nil {
			return Result{}, err
		}
		m, err := rows[0].Score(ctx, &method.Encoded{Encoding: enc, Frame: p})
		if err != nil {
			return Result{}, err
		}
		if err := pool.Set(i, m.ResizeTo(nil, p.Width, p.Height), f.Labels[i], synth.Anomalous); err != nil {
			return Result{}, err
		}
	}
	measured, err := pool.Metrics()
	slices.Sort(times)
	return Result{AP: measured.AP, FPR95: measured.FPR95, Milliseconds: times[len(times)/2]}, err
}

var errFeatures = errors.New("trial: the encoder's features")

// encoding wraps features [h,w,C].
func encoding(o models.Output) (*detector.Encoding, error) {
	if len(o.Shape) != 3 {
		return nil, fmt.Errorf("%w have the shape %v, want [h,w,C]", errFeatures, o.Shape)
	}
	for _, v := range o.Data {
		if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
			return nil, fmt.Errorf("%w are not finite", errFeatures)
		}
	}
	return &detector.Encoding{
		Height: int(o.Shape[0]), Width: int(o.Shape[1]), Channels: int(o.Shape[2]), Features: o.Data,
	}, nil
}
