package detector

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/oodcast/oodcast/ingest"
)

// Job is a frame that waits to be scored by a detector.
type Job struct {
	Detector *Detector
	Frame    *ingest.Frame
}

// ScoreAll makes the maps of frames whose detectors are different ones of one encoder and one scorer. Frames of one working
// size are encoded together, and those of them that are to be scored at the same tokens and timesteps are scored together,
// the fewest timesteps first: a map is what Detector.Score makes of the frame. done gets each map, or why there is none, as
// soon as it is made. A frame that cannot be scored leaves the others alone.
//
// ScoreAll takes over a reference to each frame and releases it as soon as the frame is encoded. The latencies of a map are
// the frame's: as long as it had to wait for those it was scored with.
func ScoreAll(ctx context.Context, jobs []Job, done func(i int, m *Map, err error)) {
	var sizes [][2]int
	parts := map[[2]int][]*picture{}
	for i, j := range jobs {
		w, h := j.Detector.WorkingSize(j.Frame.Width, j.Frame.Height)
		size := [2]int{w, h}
		if parts[size] == nil {
			sizes = append(sizes, size)
		}
		parts[size] = append(parts[size], &picture{number: i, det: j.Detector, frame: j.Frame, done: done})
	}
	for _, size := range sizes {
		scoreSize(ctx, parts[size], size[0], size[1])
	}
}

// picture is a frame on its way to a map.
type picture struct {
	number int
	det    *Detector
	frame  *ingest.Frame
	done   func(i int, m *Map, err error)

	m      *Map
	enc    *Encoding
	fresh  []int // timesteps to score; nil: none
	held   bool  // the scores of earlier frames count too
	tokens []int // to score; nil: all
	scores []float32

	begun, encoded time.Time
	engine         time.Duration // that it cost: its part of what was done together
}

// scoreSize scores frames of one working size.
func scoreSize(ctx context.Context, all []*picture, w, h int) {
	begin := time.Now()
	encodings, err := encode(ctx, all, w, h)
	if err != nil && len(all) > 1 && ctx.Err() == nil { // one of them is to blame
		for _, p := range all {
			scoreSize(ctx, []*picture{p}, w, h)
		}
		return
	}
	encoded := time.Now()
	var ready []*picture
	for i, p := range all {
		fault := err
		if err == nil {
			p.enc, p.begun, p.encoded, p.engine = encodings[i], begin, encoded, encoded.Sub(begin)/time.Duration(len(all))
			p.open()
			fault = p.prepare()
		}
		p.frame.Release()
		if fault != nil {
			p.done(p.number, nil, fault)
			continue
		}
		ready = append(ready, p)
	}
	for _, group := range groups(ready) {
		scoreTogether(group)
	}
}

// encode encodes frames of one working size for detectors of one encoder.
func encode(ctx context.Context, all []*picture, w, h int) ([]*Encoding, error) {
	enc := all[0].det.enc
	if len(all) == 1 {
		one, err := enc.Encode(ctx, all[0].frame, w, h)
		return []*Encoding{one}, err
	}
	batch, ok := enc.(BatchEncoder)
	if !ok {
		return nil, errors.New("detector: the encoder takes one frame at a time")
	}
	frames := make([]*ingest.Frame, len(all))
	for i, p := range all {
		frames[i] = p.frame
	}
	return batch.EncodeAll(ctx, frames, w, h)
}

// groups returns the pictures that can be scored together, the fewest timesteps first: whoever wants few is in a hurry.
func groups(all []*picture) (groups [][]*picture) {
	slices.SortStableFunc(all, func(p, q *picture) int { return len(p.fresh) - len(q.fresh) })
	for _, p := range all {
		at := slices.IndexFunc(groups, func(g []*picture) bool { return g[0].batches() && p.alike(g[0]) })
		if at < 0 {
			groups = append(groups, []*picture{p})
		} else {
			groups[at] = append(groups[at], p)
		}
	}
	return groups
}

// batches reports that the picture can be scored together with others: a denoiser with a window takes one at a time.
func (p *picture) batches() bool {
	_, ok := p.det.scorer.(BatchScorer)
	grid, isGrid := p.det.scorer.(GridScorer)
	return ok && (!isGrid || grid.Window() == 0)
}

// alike reports that both want the same tokens scored at the same timesteps.
func (p *picture) alike(q *picture) bool {
	return p.enc.Width == q.enc.Width && p.enc.Height == q.enc.Height && slices.Equal(p.fresh, q.fresh) &&
		(p.tokens == nil) == (q.tokens == nil) && slices.Equal(p.tokens, q.tokens)
}

// scoreTogether makes the maps of pictures that are alike.
func scoreTogether(group []*picture) {
	begin := time.Now()
	err := scoreGroup(group)
	if err != nil && len(group) > 1 {
		for _, p := range group {
			scoreTogether([]*picture{p})
		}
		return
	}
	scored := time.Now()
	for _, p := range group {
		if err != nil {
			p.done(p.number, nil, err)
			continue
		}
		from := time.Now()
		fault := p.finish()
		p.engine += scored.Sub(begin)/time.Duration(len(group)) + time.Since(from)
		p.end(fault)
	}
}

// scoreGroup computes the scores of pictures that are alike.
func scoreGroup(group []*picture) error {
	first := group[0]
	if first.fresh == nil {
		return nil
	}
	n := first.enc.Width * first.enc.Height
	if !first.batches() {
		first.scores = first.det.scores.room(n, nil, first.fresh)
		return ScoreEncoding(first.det.scorer, first.scores, first.enc, first.fresh)
	}
	dst, features := make([][]float32, len(group)), make([][]float32, len(group))
	for i, p := range group {
		dst[i], features[i] = p.det.scores.room(n, p.tokens, p.fresh), p.enc.Features
	}
	if err := first.det.scorer.(BatchScorer).ScoreAllTo(dst, features, first.tokens, first.fresh); err != nil {
		return err
	}
	for _, p := range group {
		p.scores = p.det.scores.spread(n, p.tokens, p.fresh)
	}
	return nil
}

// open begins the map of the frame.
func (p *picture) open() {
	f, d := p.frame, p.det
	p.m = &Map{
		Camera: f.Camera, FrameSeq: f.Seq, Captured: f.Captured, PTS: f.PTS, ImageWidth: f.Width, ImageHeight: f.Height,
		Bundle: d.manifest.Name, Provider: d.provider,
	}
}

// prepare asks the knob and the region of interest what is to be scored.
func (p *picture) prepare() error {
	d, m, enc := p.det, p.m, p.enc
	knob := d.control.Get()
	m.Timesteps, m.Choice = d.timesteps(knob)
	m.Threshold = knob.Threshold
	m.Width, m.Height = enc.LogitsWidth, enc.LogitsHeight
	if err := d.judged.fit(enc); err != nil {
		return err
	}
	m.ROI, p.tokens = d.judged.mask, d.judged.tokens
	m.Scored = len(m.Timesteps)
	p.held = d.cfg.Accumulate >= 2 && len(knob.List) == 0
	switch {
	case d.cfg.Part == PartLSE:
	case p.held:
		p.fresh = d.held.plan(d.control.order, m.Scored, enc.Width*enc.Height)
	default:
		p.fresh = m.Timesteps
	}
	return nil
}

// finish computes the values of the map from the scores, of which there are more when frames accumulate.
func (p *picture) finish() (err error) {
	m, d := p.m, p.det
	if p.fresh != nil && p.held {
		if p.scores, m.Timesteps, err = d.held.combine(p.scores, p.enc); err != nil {
			return err
		}
	}
	if m.Values, err = d.compound.To(nil, p.scores, m.Timesteps, p.enc); err != nil {
		return err
	}
	return m.summarise()
}

// end hands the map out.
func (p *picture) end(err error) {
	if err != nil {
		p.done(p.number, nil, err)
		return
	}
	m, d, now := p.m, p.det, time.Now()
	m.Latency = Latency{Encode: p.encoded.Sub(p.begun), Score: now.Sub(p.encoded), Total: now.Sub(p.begun)}
	if !m.Captured.IsZero() {
		m.Latency.Wait, m.Latency.Total = p.begun.Sub(m.Captured), now.Sub(m.Captured)
	}
	d.account(m, now, p.engine)
	m.Drift = d.drift.update(m, p.enc.Guide)
	m.Seq = d.next
	d.next++
	p.done(p.number, m, nil)
}
