package clips

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/detector/eval"
	"github.com/oodcast/oodcast/detector/eval/dataset"
	"github.com/oodcast/oodcast/detector/eval/method"
	"github.com/oodcast/oodcast/detector/eval/stream"
	"github.com/oodcast/oodcast/detector/events"
	"github.com/oodcast/oodcast/ingest"
)

// ErrFrames is the error of a set in which all frames are anomalous, or none is.
var ErrFrames = errors.New("clips: the frames are all anomalous or all normal")

// Options set how maps are judged.
type Options struct {
	// Open opens a clip without dropping frames. fps is the rate of folders of frames.
	Open func(path string, fps float64) (ingest.Source, error)
	// Tracker makes events from maps. UpdateEvery is ignored.
	Tracker events.Config
	// Progress, unless nil, is called after each frame.
	Progress func()
}

// Result is one row of an evaluation on clips. Rates are fractions in 0..1.
type Result struct {
	Dataset   string  `json:"dataset"`
	Bundle    string  `json:"bundle,omitempty"`
	Method    string  `json:"method"`
	Timesteps int     `json:"timesteps"`
	Clips     int     `json:"clips"`
	Frames    int     `json:"frames"`
	Seconds   float64 `json:"seconds"`
	Frame     Frame   `json:"frame"`
	Pixel     *Pixel  `json:"pixel,omitempty"` // nil without masks
	// Regions are the region- and track-based criteria; nil without boxes and masks.
	Regions   *Regions      `json:"regions,omitempty"`
	Events    *Events       `json:"events,omitempty"` // of methods with a threshold
	PerClip   []ClipResult  `json:"per_clip"`
	LatencyMS *eval.Latency `json:"latency_ms,omitempty"`
}

// Frame judges whole frames, each by the highest value of its map.
type Frame struct {
	// AUROC pools the frames of all clips (micro). Macro is the mean of the AUROC of MacroClips clips: those with anomalous and
	// normal frames.
	AUROC      float64 `json:"auroc"`
	Macro      float64 `json:"auroc_macro"`
	MacroClips int     `json:"macro_clips"`
	// Smoothed is the AUROC of scores that were smoothed over time within each clip by a Gaussian of SmoothSeconds, as published
	// methods do. It looks into the future: the service cannot.
	Smoothed float64 `json:"auroc_smoothed"`
	AP       float64 `json:"ap"`
	// EER is the equal error rate: the false positive rate where it equals the miss rate.
	EER float64 `json:"eer"`
	// Share is the fraction of anomalous frames.
	Share float64 `json:"anomalous_share"`
}

// Pixel judges the pixels of all frames with a mask.
type Pixel struct {
	AUROC float64 `json:"auroc"`
	AP    float64 `json:"ap"`
	FPR95 float64 `json:"fpr95"`
}

// Events sums up the events of all clips, as [stream.Events] counts them in each.
type Events struct {
	Objects      int     `json:"objects"`
	Found        int     `json:"found"`
	Events       int     `json:"events"`
	False        int     `json:"false"`
	FalsePerHour float64 `json:"false_per_hour"`
	DelayP50     float64 `json:"delay_p50_s"` // median over the objects that were found
	Threshold    float32 `json:"threshold"`
}

// ClipResult is one clip. AUROC is nil if its frames are all anomalous or all normal.
type ClipResult struct {
	Name   string   `json:"name"`
	Frames int      `json:"frames"`
	AUROC  *float64 `json:"auroc"`
	Found  int      `json:"found"`
	False  int      `json:"false"`
}

// SmoothSeconds is the deviation of the Gaussian of Frame.Smoothed.
const SmoothSeconds = 0.5

// Evaluate plays the clips of a set and judges every row on them. Each frame is encoded once. Memory grows by the map of each frame and row: about 20 kB.
func Evaluate(ctx context.Context, set *dataset.Clips, encode method.Encode, rows []method.Row, opt Options) ([]Result, error) {
	all := make([]*row, len(rows))
	for i, r := range rows {
		all[i] = &row{Row: r}
	}
	for _, c := range set.List {
		if err := play(ctx, set, &c, encode, all, opt); err != nil {
			return nil, fmt.Errorf("clip %s: %w", c.Name, err)
		}
	}
	var results []Result
	for _, r := range all {
		res, err := r.result(ctx)
		if err != nil {
			return nil, fmt.Errorf("%s, |T|=%d: %w", r.Method, r.Timesteps, err)
		}
		res.Dataset = set.Name
		results = append(results, res)
	}
	return results, nil
}

// play judges one clip.
func play(ctx context.Context, set *dataset.Clips, c *dataset.Clip, encode method.Encode, rows []*row, opt Options) (err error) {
	truth, err := c.OpenTruth()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, truth.Close()) }()
	src, err := opt.Open(c.Frames, set.FPS)
	if err != nil {
		return err
	}
	for _, r := range rows {
		r.begin(c.Name, opt.Tracker)
	}
	n, shown := 0, time.Duration(0)
	err = src.Run(ctx, func(ctx context.Context, f *ingest.Frame) error {
		defer f.Release()
		known, err := truth.Next(f.Width, f.Height)
		if err != nil {
			return err
		}
		begun := time.Now()
		enc, err := encode(ctx, f)
		if err != nil {
			return err
		}
		encoding := time.Since(begun)
		for _, r := range rows {
			begun = time.Now()
			m, err := r.Score(ctx, &method.Encoded{Encoding: enc, Frame: f})
			if err != nil {
				return fmt.Errorf("%s: %w", r.Method, err)
			}
			r.ms = append(r.ms, (encoding+time.Since(begun)).Seconds()*1000)
			m.FrameSeq, m.ImageWidth, m.ImageHeight, m.PTS = uint64(n), f.Width, f.Height, f.PTS
			if err := r.take(n, f, m, &known); err != nil {
				return err
			}
		}
		if n, shown = n+1, f.PTS; opt.Progress != nil {
			opt.Progress()
		}
		return nil
	})
	if err == nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return err
	}
	for _, r := range rows {
		r.end(shown + shown/time.Duration(max(1, n-1)))
	}
	return nil
}

// row gathers the figures of one row.
type row struct {
	method.Row
	pixels  eval.Tally
	masked  bool // some pixels have labels
	clips   []*clip
	judge   *stream.Judge
	delays  []float64
	events  *Events
	seconds float64
	ms      []float64
}

// clip holds what a row made of a clip.
type clip struct {
	name      string
	seconds   float64
	scores    []float32 // of each frame
	anomalous []uint8   // likewise
	frames    []frame
	judged    *stream.Events
}

func (r *row) begin(name string, cfg events.Config) {
	r.clips = append(r.clips, &clip{name: name})
	r.judge = stream.NewJudge(cfg)
}

// take judges the map of frame n.
func (r *row) take(n int, f *ingest.Frame, m *detector.Map, known *dataset.FrameTruth) error {
	c := r.clips[len(r.clips)-1]
	level := uint8(0)
	if known.Anomalous {
		level = 1
	}
	c.scores, c.anomalous = append(c.scores, slices.Max(m.Values)), append(c.anomalous, level)
	c.frames = append(c.frames, frame{width: m.Width, height: m.Height, values: m.Values})
	one := &c.frames[len(c.frames)-1]
	if known.Regions != nil {
		one.tracked(known.Regions, f.Width, f.Height)
	} else if known.Labels != nil {
		one.masked(known.Labels, f.Width, f.Height)
	}
	r.judge.Frame(n, f.PTS, m, known.Labels, f.Width, f.Height, known.Anomalous)
	if known.Labels == nil {
		return nil
	}
	r.masked = true
	return r.pixels.Add(m.ResizeTo(nil, f.Width, f.Height), known.Labels, 1)
}

// end closes the current clip.
func (r *row) end(duration time.Duration) {
	c := r.clips[len(r.clips)-1]
	c.seconds = duration.Seconds()
	r.seconds += c.seconds
	if c.judged = r.judge.End(duration); c.judged == nil {
		return
	}
	if r.events == nil {
		r.events = &Events{Threshold: c.judged.Threshold}
	}
	e := r.events
	e.Objects, e.Found, e.Events, e.False = e.Objects+c.judged.Objects, e.Found+c.judged.Found, e.Events+c.judged.Events, e.False+c.judged.False
	for _, o := range c.judged.Truth {
		if o.Delay != nil {
			r.delays = append(r.delays, *o.Delay)
		}
	}
}
