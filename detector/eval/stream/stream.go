package stream

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/oodcast/oodcast/detector/eval"
	"github.com/oodcast/oodcast/detector/eval/dataset"
	"github.com/oodcast/oodcast/detector/eval/method"
	"github.com/oodcast/oodcast/detector/events"
	"github.com/oodcast/oodcast/ingest"
)

// Options set how the maps of a stream are judged.
type Options struct {
	// FPS is the frame rate; 0 takes the stream's own times.
	FPS float64
	// Latency is the time from the start of scoring a frame until its map is done. A negative value takes the measured
	// latency of each frame, and the results are those of this machine.
	Latency time.Duration
	// Carry is how long maps are carried along the motion of the scene, as detector.carry does in the service; 0: not at all.
	// Every frame is scored and takes part, also those that the scorer of the simulated clock has no time for.
	Carry time.Duration
	// Estimate, unless nil, is told after the first frame how long a frame takes with each row.
	Estimate func(method.Estimate)
	// OOD is the label of an anomalous pixel.
	// [dataset.Ignore] stands for masks of two values.
	OOD uint8
	// Tracker makes events from maps. UpdateEvery is ignored: the boxes of every map count.
	Tracker events.Config
	// Thresholds at which the events are judged in addition to the default threshold.
	Thresholds []float32
}

// DefaultOptions returns the options of oodcast eval --stream: the stream's own times, the measured latency, label 1 for
// anomalous pixels, and the tracker of the service.
func DefaultOptions() Options {
	return Options{Latency: -1, OOD: 1, Tracker: events.DefaultConfig()}
}

// Result is one row of an evaluation on a stream. Rates are fractions in 0..1.
type Result struct {
	Stream    string  `json:"stream"`
	Bundle    string  `json:"bundle,omitempty"`
	Method    string  `json:"method"`
	Timesteps int     `json:"timesteps"`
	Frames    int     `json:"frames"`
	Labelled  int     `json:"labelled_frames"`
	Seconds   float64 `json:"seconds"`
	// Level is the unit that AP, AUROC and FPR95 count: PixelLevel, or FrameLevel if the truth has only times. A frame has
	// the score of its highest value.
	Level string `json:"level"`
	// Offline compares each map with the truth of its own frame, Streaming with the truth of every frame during which it was
	// the newest map.
	Offline   Rates         `json:"offline"`
	Streaming Streaming     `json:"streaming"`
	Temporal  Temporal      `json:"temporal"`
	Events    *Events       `json:"events,omitempty"` // of methods with a threshold, at the default threshold
	Sweep     []*Events     `json:"sweep,omitempty"`  // the same at other thresholds
	LatencyMS *eval.Latency `json:"latency_ms,omitempty"`
}

// Rates are pooled metrics. FPR95 is read at the TPR nearest to 0.95.
type Rates struct {
	AP    float64 `json:"ap"`
	AUROC float64 `json:"auroc"`
	FPR95 float64 `json:"fpr95"`
}

// Streaming is the accuracy under the latency of scoring.
type Streaming struct {
	Rates
	// Scored is the fraction of frames that were scored. The others came while the scorer was busy, and a later frame
	// replaced them.
	Scored float64 `json:"scored"`
	// Without is the fraction of frames that were shown before the first map was done. All their scores are 0, the median of
	// normal footage.
	Without float64 `json:"without_map"`
	// AgeMS is the mean age of the frame of the newest map when a frame was shown, over the frames with a map.
	AgeMS float64 `json:"age_ms"`
}

// Values of Result.Level.
const (
	PixelLevel = "pixel"
	FrameLevel = "frame"
)

// Evaluate plays src once and judges every row on it. Each frame is encoded once and scored by all rows.
//
// The clock is simulated: frame i is shown at i/FPS, each row has one scorer, and while it is busy only the newest frame
// waits for it (drop_oldest, as in the service). Pixel scores are rounded to 20 bits, as in [eval.NewBinnedPool]. A truth
// that does not fit the stream is [ErrTruth], or [dataset.ErrLabels] for a mask of another size than its frame.
func Evaluate(
	ctx context.Context, src ingest.Source, truth *Truth, encode method.Encode, rows []method.Row, opt Options,
) ([]Result, error) {
	opt.Tracker.UpdateEvery = 0
	if truth.Spans != nil {
		opt.OOD = 1
	}
	masks, frames := truth.dataset()
	masks.SetOOD(opt.OOD)
	opt.OOD = masks.OOD
	s := &evaluation{truth: truth, encode: encode, opt: opt, instances: truth.instances(), masks: map[int]dataset.Item{}}
	for n, i := range frames {
		s.masks[i] = masks.Items[n]
	}
	for _, r := range rows {
		s.rows = append(s.rows, newRow(r, opt))
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
	var results []Result
	for _, r := range s.rows {
		res, err := r.result(s)
		if err != nil {
			return nil, fmt.Errorf("%s, |T|=%d: %w", r.Method, r.Timesteps, err)
		}
		results = append(results, res)
	}
	return results, nil
}

// evaluation is the state of Evaluate.
type evaluation struct {
	masks     map[int]dataset.Item // by frame
	truth     *Truth
	encode    method.Encode
	opt       Options
	rows      []*row
	frames    int
	labelled  int
	shown     time.Duration // time of the last frame
	motion    motion
	instances *instances
}

// frame is the sink of the source.
func (s *evaluation) frame(ctx context.Context, f *ingest.Frame) error {
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
	first := method.Estimate{}
	s.motion.next(f, v.labels)
	for _, r := range s.rows {
		begun = time.Now()
		m, err := r.score(ctx, &method.Encoded{Encoding: enc, Frame: f}, s.shown)
		if err != nil {
			return fmt.Errorf("%s: %w", r.Method, err)
		}
		took := encoding + time.Since(begun)
		first.Rows, first.PerRow = append(first.Rows, r.Row), append(first.PerRow, took)
		m.FrameSeq, m.ImageWidth, m.ImageHeight = uint64(i), f.Width, f.Height
		if err := r.take(s, v, m, took); err != nil {
			return err
		}
	}
	if i == 0 && s.opt.Estimate != nil {
		s.opt.Estimate(first)
	}
	return nil
}

// view is a frame with its truth.
type view struct {
	index         int
	shown         time.Duration
	width, height int
	labels        []uint8 // Height × Width, or a single label of the whole frame; nil: not labelled
}

// view reads the truth of a frame.
func (s *evaluation) view(i int, f *ingest.Frame) (*view, error) {
	v := &view{index: i, shown: s.shown, width: f.Width, height: f.Height}
	if s.truth.Spans != nil {
		v.labels = []uint8{0}
		if s.truth.within(v.shown) {
			v.labels[0] = s.opt.OOD
		}
		s.labelled++
		return v, nil
	}
	mask, ok := s.masks[i]
	if !ok {
		return v, nil
	}
	labels, w, h, err := mask.Labels()
	if err != nil {
		return nil, err
	}
	if w != f.Width || h != f.Height {
		return nil, fmt.Errorf("%w %q: %d×%d, but frame %d is %d×%d", dataset.ErrLabels, mask.Label, w, h, i, f.Width, f.Height)
	}
	v.labels = labels
	s.labelled++
	s.instances.add(v, s.opt.OOD)
	return v, nil
}
