package eval

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/oodcast/oodcast/detector/events"
	"github.com/oodcast/oodcast/ingest"
)

// StreamOptions say how the maps of a stream are judged.
type StreamOptions struct {
	// FPS is the rate at which frames come; 0 takes the stream's own times.
	FPS float64
	// Latency is how long a map takes after its frame was taken up; below 0 it is what was measured, frame by frame, and
	// the results are those of this machine.
	Latency time.Duration
	// OOD is the label of an anomalous pixel.
	OOD uint8
	// Tracker makes events of maps. UpdateEvery is ignored: every map's boxes are looked at.
	Tracker events.Config
	// Thresholds are judged beside the default one.
	Thresholds []float32
}

// StreamResult is a row of an evaluation on a stream. Rates are fractions in 0..1.
type StreamResult struct {
	Stream    string  `json:"stream"`
	Bundle    string  `json:"bundle,omitempty"`
	Method    string  `json:"method"`
	Timesteps int     `json:"timesteps"`
	Frames    int     `json:"frames"`
	Labelled  int     `json:"labelled_frames"`
	Seconds   float64 `json:"seconds"`
	// Level is what AP, AUROC and FPR95 count: pixels, or frames by their highest value where the truth is times only.
	Level string `json:"level"`
	// Offline compares each map with the truth of its own frame, Streaming with the truth of the frame that was shown when
	// it was the newest map there was.
	Offline   Rates     `json:"offline"`
	Streaming Streaming `json:"streaming"`
	Temporal  Temporal  `json:"temporal"`
	Events    *Events   `json:"events,omitempty"` // of methods that have a threshold
	Sweep     []*Events `json:"sweep,omitempty"`  // the same at other thresholds
	LatencyMS *Latency  `json:"latency_ms,omitempty"`
}

// Rates are the metrics of a pool; FPR95 is taken at the TPR nearest to 0.95.
type Rates struct {
	AP    float64 `json:"ap"`
	AUROC float64 `json:"auroc"`
	FPR95 float64 `json:"fpr95"`
}

// Streaming is what slow scoring leaves of the accuracy.
type Streaming struct {
	Rates
	// Scored is the share of frames that were scored: the others came while the scorer was busy and were replaced.
	Scored float64 `json:"scored"`
	// Without is the share of frames that were shown before there was any map; their every score is 0, the middle of
	// normal.
	Without float64 `json:"without_map"`
	// AgeMS is the mean age of the newest map's frame when a frame was shown, where there was a map.
	AgeMS float64 `json:"age_ms"`
}

// Names of StreamResult.Level.
const (
	PixelLevel = "pixel"
	FrameLevel = "frame"
)

// Stream plays src once and judges every row on it. Each frame is encoded once and scored by all rows.
//
// The clock is simulated: frame i is shown at i/FPS, there is one scorer for a row, and while it is busy only the newest
// frame waits for it (drop_oldest, as in the service). A map takes as long as Options says, so two runs agree and one
// core measures what another would do. Pixel scores are rounded to 20 bits, as in [NewBinnedPool].
func Stream(
	ctx context.Context, src ingest.Source, truth *Truth, encode Encode, rows []Row, opt StreamOptions,
) ([]StreamResult, error) {
	opt.Tracker.UpdateEvery = 0
	if truth.Spans != nil {
		opt.OOD = 1
	}
	s := &stream{truth: truth, encode: encode, opt: opt, instances: truth.instances()}
	for _, r := range rows {
		s.rows = append(s.rows, newStreamRow(r, opt))
	}
	if err := src.Run(ctx, s.frame); err != nil {
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err := truth.check(s.frames); err != nil {
		return nil, err
	}
	var results []StreamResult
	for _, r := range s.rows {
		res, err := r.result(s)
		if err != nil {
			return nil, fmt.Errorf("%s, |T|=%d: %w", r.Method, r.Timesteps, err)
		}
		results = append(results, res)
	}
	return results, nil
}

// stream is one evaluation under way.
type stream struct {
	truth     *Truth
	encode    Encode
	opt       StreamOptions
	rows      []*streamRow
	frames    int
	labelled  int
	shown     time.Duration // of the last frame
	motion    motion
	instances *instances
}

// frame is the sink of the source.
func (s *stream) frame(ctx context.Context, f *ingest.Frame) error {
	defer f.Release()
	i := s.frames
	s.frames++
	s.shown = f.PTS
	if s.opt.FPS > 0 {
		s.shown = time.Duration(math.Round(float64(i) / s.opt.FPS * float64(time.Second)))
	}
	v, err := s.view(i, f)
	if err != nil {
		return err
	}
	begun := time.Now()
	enc, err := s.encode(ctx, f)
	if err != nil {
		return err
	}
	encoding := time.Since(begun)
	s.motion.next(f, v.labels)
	for _, r := range s.rows {
		begun = time.Now()
		m, err := r.Score(ctx, &Encoded{Encoding: enc, Frame: f})
		if err != nil {
			return fmt.Errorf("%s: %w", r.Method, err)
		}
		took := encoding + time.Since(begun)
		m.FrameSeq, m.ImageWidth, m.ImageHeight = uint64(i), f.Width, f.Height
		if err := r.take(s, v, m, took); err != nil {
			return err
		}
	}
	return nil
}

// view is a frame with what is known about it.
type view struct {
	index         int
	shown         time.Duration
	width, height int
	labels        []uint8 // Height × Width, or one label of the whole frame; nil: not labelled
}

// view reads the truth of a frame.
func (s *stream) view(i int, f *ingest.Frame) (*view, error) {
	v := &view{index: i, shown: s.shown, width: f.Width, height: f.Height}
	if s.truth.Spans != nil {
		v.labels = []uint8{0}
		if s.truth.within(v.shown) {
			v.labels[0] = s.opt.OOD
		}
		s.labelled++
		return v, nil
	}
	path, ok := s.truth.Masks[i]
	if !ok {
		return v, nil
	}
	labels, w, h, err := Item{Label: path}.Labels()
	if err != nil {
		return nil, err
	}
	if w != f.Width || h != f.Height {
		return nil, fmt.Errorf("%w %q: %d×%d, but frame %d is %d×%d", ErrLabels, path, w, h, i, f.Width, f.Height)
	}
	v.labels = labels
	s.labelled++
	s.instances.add(v, s.opt.OOD)
	return v, nil
}
