package detector

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/oodcast/oodcast/ingest"
)

// Job is a frame to be scored by a detector.
type Job struct {
	Detector *Detector
	Frame    *ingest.Frame
}

// ScoreAll makes the maps of several frames. Each job has its own detector, and all detectors use the same encoder and
// scorer. Frames of one working size are encoded together. Those that need the same tokens and timesteps are also scored
// together, the fewest timesteps first. Every map equals the one that Detector.Score makes of the frame. ScoreAll calls done
// with each map, or with the error, as soon as it is ready. A frame that cannot be scored does not affect the others.
//
// ScoreAll takes over a reference to each frame and releases it as soon as the frame is encoded. The latencies of a map
// include the time that its frame waited for the frames it was encoded and scored with.
func ScoreAll(ctx context.Context, jobs []Job, done func(i int, m *Map, err error)) {
	var sizes [][2]int
	parts := map[[2]int][]*picture{}
	for i, j := range jobs {
		w, h := j.Detector.WorkingSize(j.Frame.Width, j.Frame.Height)
		size := [2]int{w, h}
		if parts[size] == nil {
			sizes = append(sizes, size)
		}
		parts[size] = append(parts[size], &picture{index: i, det: j.Detector, frame: j.Frame, done: done})
	}
	for _, size := range sizes {
		scoreSize(ctx, parts[size], size[0], size[1])
	}
}

// picture is a frame that is being turned into a map.
type picture struct {
	index int // of the job
	det   *Detector
	frame *ingest.Frame
	done  func(i int, m *Map, err error)

	m           *Map
	enc         *Encoding
	timesteps   []int // to score on this frame; nil: none
	accumulates bool  // the map also uses the scores of earlier frames
	tokens      []int // to score; nil: all
	scores      []float32
	own         []float32 // values of this frame alone, if others were carried into them

	note      string        // of the second look
	lookFault error         // that prevented the second look
	lookScore time.Duration // what the second look took of the scoring

	started, encoded time.Time
	engineTime       time.Duration // its share of the time spent on the whole batch
}

// scoreSize scores frames of one working size.
func scoreSize(ctx context.Context, all []*picture, w, h int) {
	begin := time.Now()
	looks := takeLooks(ctx, all, w, h)
	encodings, err := encode(ctx, all, w, h)
	if err != nil && len(all) > 1 && ctx.Err() == nil { // retry one by one: a single frame may be the cause
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
			p.enc, p.started, p.encoded, p.engineTime = encodings[i], begin, encoded, encoded.Sub(begin)/time.Duration(len(all))
			p.newMap()
			p.enc.Look = looks[i]
			p.see()
			fault = errors.Join(p.lookFault, p.prepare())
		}
		p.frame.Release()
		if fault != nil {
			p.done(p.index, nil, fault)
			continue
		}
		ready = append(ready, p)
	}
	for _, group := range groupSameWork(ready) {
		scoreTogether(group)
	}
}

// takeLooks takes the second looks at frames of one working size, nil where there is none. They come first, because the
// encoder keeps one size at a time.
func takeLooks(ctx context.Context, all []*picture, w, h int) []*Look {
	looks := make([]*Look, len(all))
	for i, p := range all {
		looks[i], p.note, p.lookFault = p.det.secondLook(ctx, p.frame, w, h)
	}
	return looks
}

// see looks at how things in the frame have moved since the ones before.
func (p *picture) see() {
	from := time.Now()
	p.enc.Motion = Speeds{}
	if m := p.det.motion; m != nil {
		p.enc.Motion = m.See(p.frame)
	}
	if c := p.det.carrier; c != nil {
		c.See(p.frame)
	}
	p.engineTime += time.Since(from)
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

// groupSameWork groups the pictures that can be scored together, the fewest timesteps first: few timesteps mean that the
// camera needs its map soon.
func groupSameWork(all []*picture) (groups [][]*picture) {
	slices.SortStableFunc(all, func(p, q *picture) int { return len(p.timesteps) - len(q.timesteps) })
	for _, p := range all {
		at := slices.IndexFunc(groups, func(g []*picture) bool { return g[0].batchable() && p.sameWork(g[0]) })
		if at < 0 {
			groups = append(groups, []*picture{p})
		} else {
			groups[at] = append(groups[at], p)
		}
	}
	return groups
}

// batchable reports whether the picture can be scored together with others: a denoiser with a window takes one at a time.
func (p *picture) batchable() bool {
	_, ok := p.det.scorer.(BatchScorer)
	grid, isGrid := p.det.scorer.(GridScorer)
	return ok && (!isGrid || grid.Window() == 0)
}

// sameWork reports whether both pictures need the same tokens scored at the same timesteps.
func (p *picture) sameWork(q *picture) bool {
	return p.enc.Width == q.enc.Width && p.enc.Height == q.enc.Height && slices.Equal(p.timesteps, q.timesteps) &&
		(p.tokens == nil) == (q.tokens == nil) && slices.Equal(p.tokens, q.tokens)
}

// scoreTogether makes the maps of pictures with the same work.
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
			p.done(p.index, nil, err)
			continue
		}
		from := time.Now()
		fault := p.scoreLook()
		if fault == nil {
			fault = p.compute()
		}
		p.engineTime += scored.Sub(begin)/time.Duration(len(group)) + time.Since(from)
		p.deliver(fault)
	}
}

// scoreGroup computes the scores of pictures with the same work.
func scoreGroup(group []*picture) error {
	first := group[0]
	if first.timesteps == nil {
		return nil
	}
	n := first.enc.Width * first.enc.Height
	if !first.batchable() {
		first.scores = first.det.scores.buffer(n, nil, first.timesteps)
		return ScoreEncoding(first.det.scorer, first.scores, first.enc, first.timesteps)
	}
	dst, features := make([][]float32, len(group)), make([][]float32, len(group))
	for i, p := range group {
		dst[i], features[i] = p.det.scores.buffer(n, p.tokens, p.timesteps), p.enc.Features
	}
	if err := first.det.scorer.(BatchScorer).ScoreAllTo(dst, features, first.tokens, first.timesteps); err != nil {
		return err
	}
	for _, p := range group {
		p.scores = p.det.scores.scatter(n, p.tokens, p.timesteps)
	}
	return nil
}

// newMap creates the map and copies the frame's metadata to it.
func (p *picture) newMap() {
	f, d := p.frame, p.det
	p.m = &Map{
		Camera: f.Camera, FrameSeq: f.Seq, Captured: f.Captured, PTS: f.PTS, ImageWidth: f.Width, ImageHeight: f.Height,
		Bundle: d.manifest.Name, Provider: d.provider, Note: p.note,
	}
}

// prepare determines the timesteps and tokens to score from the knob and the region of interest.
func (p *picture) prepare() error {
	d, m, enc := p.det, p.m, p.enc
	knob := d.control.Get()
	m.Timesteps, m.Choice = d.timesteps(knob)
	m.Threshold = knob.Threshold
	m.Width, m.Height = enc.LogitsWidth, enc.LogitsHeight
	if err := d.roi.rasterise(enc); err != nil {
		return err
	}
	m.ROI, p.tokens = d.roi.mask, d.roi.tokens
	m.Scored = len(m.Timesteps)
	p.accumulates = d.cfg.Accumulate >= 2 && len(knob.List) == 0
	switch {
	case d.cfg.Part == PartLSE, d.cfg.Part == PartUnclaimed:
	case p.accumulates:
		p.timesteps = d.accumulator.plan(d.control.order, m.Scored, enc.Width*enc.Height)
	default:
		p.timesteps = m.Timesteps
	}
	return nil
}

// scoreLook computes what the second look sees, if there is one.
func (p *picture) scoreLook() error {
	if p.det.second == nil || p.enc.Look == nil {
		return nil
	}
	from := time.Now()
	p.m.SecondLook = true
	err := p.det.second.score(p.det.scorer, p.enc.Look, p.timesteps)
	p.lookScore = time.Since(from)
	return err
}

// compute computes the values of the map from the scores of this frame and, when frames accumulate, of earlier ones.
func (p *picture) compute() (err error) {
	m, d := p.m, p.det
	if p.timesteps != nil && p.accumulates {
		if p.scores, m.Timesteps, err = d.accumulator.combine(p.scores, p.enc); err != nil {
			return err
		}
	}
	if m.Values, err = d.compound.To(nil, p.scores, m.Timesteps, p.enc); err != nil {
		return err
	}
	if m.SecondLook {
		d.second.join(m.Values, d.compound, p.enc, len(m.Timesteps))
	}
	m.Voices = slices.Clone(d.compound.Voices())
	m.Taught = d.lessons.Load().apply(m.Values, m.Width, m.Height, p.enc)
	d.newest.keep(p.enc)
	m.Seen, m.Classes = p.enc.likeliest(), d.manifest.Encoder.Classes
	if d.carrier != nil && p.frame != nil {
		p.own = slices.Clone(m.Values)
		d.carrier.Blend(m)
	}
	return m.summarise()
}

// alone returns the map without what was carried into it: carried values are higher than those that the calibration knows.
func (p *picture) alone() *Map {
	if p.own == nil {
		return p.m
	}
	m := *p.m
	m.Values = p.own
	return &m
}

// lookCost returns what the second look took of the frame's time.
func (p *picture) lookCost() lookCost {
	if p.enc.Look == nil {
		return lookCost{}
	}
	return lookCost{p.enc.Look.Took, p.lookScore}
}

// deliver completes the map and passes it, or the error, to done.
func (p *picture) deliver(err error) {
	if err != nil {
		p.done(p.index, nil, err)
		return
	}
	m, d, now := p.m, p.det, time.Now()
	m.Latency = Latency{Encode: p.encoded.Sub(p.started), Score: now.Sub(p.encoded), Total: now.Sub(p.started)}
	if !m.Captured.IsZero() {
		m.Latency.Wait, m.Latency.Total = p.started.Sub(m.Captured), now.Sub(m.Captured)
	}
	d.recordCost(m, now, p.lookCost(), p.engineTime)
	m.Drift = d.drift.update(p.alone(), p.enc.Guide)
	m.Seq = d.next
	d.next++
	p.done(p.index, m, nil)
}
