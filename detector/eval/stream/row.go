package stream

import (
	"context"
	"math"
	"slices"
	"time"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/detector/eval"
	"github.com/oodcast/oodcast/detector/eval/method"
)

// row gathers the figures of one row.
type row struct {
	method.Row
	carrier            *detector.Carrier // nil: maps are not carried
	clock              clock
	offline, streaming eval.Tally
	scores             []float32
	scored, without    int           // frames with a map of their own, frames before the first map
	age                time.Duration // sum
	ms                 []float64
	temporal           temporal
	events             []*eventLog // at the default threshold, then at the others
}

func newRow(m method.Row, opt Options) *row {
	r := &row{Row: m, events: []*eventLog{newEventLog(opt.Tracker, 0)}}
	if opt.Carry > 0 {
		r.carrier = detector.NewCarrier(opt.Carry)
	}
	for _, threshold := range opt.Thresholds {
		r.events = append(r.events, newEventLog(opt.Tracker, threshold))
	}
	r.clock.finish = func(s *shot) {
		r.scored++
		for _, l := range r.events {
			l.update(s)
		}
	}
	return r
}

// score makes the map of a frame that is shown at the given time.
func (r *row) score(ctx context.Context, x *method.Encoded, shown time.Duration) (*detector.Map, error) {
	if r.carrier != nil {
		r.carrier.See(x.Frame)
	}
	m, err := r.Score(ctx, x)
	if err != nil {
		return nil, err
	}
	if m.PTS = shown; r.carrier != nil {
		r.carrier.Blend(m)
	}
	return m, nil
}

// take judges the map of frame v. took is the measured time of encoding and scoring.
func (r *row) take(s *evaluation, v *view, m *detector.Map, took time.Duration) error {
	r.ms = append(r.ms, took.Seconds()*1000)
	if s.opt.Latency >= 0 {
		took = s.opt.Latency
	}
	r.temporal.add(&s.motion, m)
	newest := r.clock.show(&shot{frame: v.index, shown: v.shown, took: took, m: m})
	if newest == nil {
		r.without++
	} else {
		r.age += v.shown - newest.shown
	}
	if v.labels == nil {
		return nil
	}
	if err := r.offline.Add(r.at(m, v), v.labels, s.opt.OOD); err != nil {
		return err
	}
	var old *detector.Map
	if newest != nil {
		old = newest.m
	}
	return r.streaming.Add(r.at(old, v), v.labels, s.opt.OOD)
}

// at returns the scores of a map for the labels of v. Without a map all scores are 0.
func (r *row) at(m *detector.Map, v *view) []float32 {
	if cap(r.scores) < len(v.labels) {
		r.scores = make([]float32, len(v.labels))
	}
	r.scores = r.scores[:len(v.labels)]
	switch {
	case m == nil:
		clear(r.scores)
	case len(v.labels) == 1:
		r.scores[0] = slices.Max(m.Values)
	default:
		r.scores = m.ResizeTo(r.scores, v.width, v.height)
	}
	return r.scores
}

// result returns the figures after the last frame.
func (r *row) result(s *evaluation) (Result, error) {
	res := Result{
		Method: r.Method, Timesteps: r.Timesteps, Frames: s.frames, Labelled: s.labelled, Level: PixelLevel,
		Seconds: s.duration().Seconds(), Temporal: r.temporal.result(),
	}
	if s.truth.Spans != nil {
		res.Level = FrameLevel
	}
	if s.opt.Latency < 0 {
		res.LatencyMS = eval.NewLatency(r.ms)
	}
	with := s.frames - r.without
	res.Streaming.Without = float64(r.without) / float64(s.frames)
	if with > 0 {
		res.Streaming.AgeMS = (r.age / time.Duration(with)).Seconds() * 1000
	}
	r.clock.end()
	res.Streaming.Scored = float64(r.scored) / float64(s.frames)
	var err error
	if res.Offline, err = rates(&r.offline); err != nil {
		return res, err
	}
	if res.Streaming.Rates, err = rates(&r.streaming); err != nil {
		return res, err
	}
	objects := s.instances.finish()
	for i, l := range r.events {
		l.end(s.shown)
		switch found := l.result(objects, s.truth.judges, s.duration()); {
		case found == nil:
		case i == 0:
			res.Events = found
		default:
			res.Sweep = append(res.Sweep, found)
		}
	}
	return res, nil
}

func rates(t *eval.Tally) (Rates, error) {
	m, err := t.Metrics()
	return Rates{AP: m.AP, AUROC: m.AUROC, FPR95: m.FPR95}, err
}

// duration returns the time from the first frame to the end of the last one.
func (s *evaluation) duration() time.Duration {
	if s.opt.FPS > 0 {
		return time.Duration(math.Round(float64(s.frames) / s.opt.FPS * float64(time.Second)))
	}
	return s.shown + s.shown/time.Duration(max(1, s.frames-1))
}
