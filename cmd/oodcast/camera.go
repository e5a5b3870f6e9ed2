package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/detector/events"
	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/pipeline/queue"
	"github.com/oodcast/oodcast/publish/preview"
	"github.com/oodcast/oodcast/publish/schema"
)

// camera is one stream on its way from source to map, and what the outside may ask of it.
type camera struct {
	cfg    ingest.Config
	site   string
	engine *engine
	fault  func() string // why the newest configuration is not in force

	source   *ingest.Supervisor
	frames   *queue.Queue[*ingest.Frame]
	live     bool // frames that come too fast are dropped, and the source does not wait
	pool     *ingest.Pool
	det      atomic.Pointer[detector.Detector]
	scoring  detector.Config // as configured; only a reload changes it
	tracking events.Config   // as configured; only a reload changes it
	tracker  *events.Tracker
	retrack  atomic.Pointer[events.Config] // for the next frame
	seq      uint64                        // of the next map
	drift    detector.DriftState           // of the newest map
	started  time.Time
	paused   atomic.Bool
	scored   atomic.Uint64
	events   atomic.Uint64
	errors   atomic.Uint64
	skipped  atomic.Uint64 // frames that came while paused
	preview  *preview.Server
	apply    sync.Mutex
	stop     func()        // ends the stream; nil before it was started
	done     chan struct{} // closed when the stream has ended and all of it is scored

	mu struct {
		sync.Mutex
		newest        *detector.Map
		width, height int
		captured      rate
		maps          rate
		failure       error
	}
}

var (
	_ schema.Camera      = (*camera)(nil)
	_ schema.Snapshotter = (*camera)(nil)
)

// Name is the camera's token in subjects and addresses.
func (c *camera) Name() string { return c.cfg.Name }

// saw notes a frame that was captured.
func (c *camera) saw(f *ingest.Frame) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mu.width, c.mu.height = f.Width, f.Height
	c.mu.captured.tick(f.Captured)
}

// take returns the frame to score now, which the caller owns; nil when there is none, or none is wanted.
func (c *camera) take(ctx context.Context) *ingest.Frame {
	if ctx.Err() != nil {
		return nil
	}
	f, ok := c.frames.TryGet()
	if !ok {
		return nil
	}
	if c.paused.Load() {
		f.Release()
		c.skipped.Add(1)
		return nil
	}
	return f
}

// detector returns what scores the next frame.
func (c *camera) detector() *detector.Detector {
	det := c.det.Load()
	if c.live {
		det.SetInterval(c.interval())
	}
	return det
}

// settle counts what came of a frame. It returns the map to publish; nil without an error when there is none.
func (c *camera) settle(m *detector.Map, err error) (*detector.Map, error) {
	switch {
	case errors.Is(err, detector.ErrNotFinite): // counted, never published
		c.errors.Add(1)
		return nil, nil
	case m == nil:
		return nil, err
	}
	m.Seq = c.seq // detectors change, the camera's maps are counted through
	c.seq++
	c.scored.Add(1)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mu.newest = m
	c.mu.maps.tick(time.Now())
	return m, nil
}

// interval is the time between two frames that the camera delivers; 0 when that is not known.
func (c *camera) interval() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	fps := c.mu.captured.perSecond(time.Now())
	if fps == 0 {
		return 0
	}
	return time.Duration(float64(time.Second) / fps)
}

// Status returns the state and the settings in force.
func (c *camera) Status() schema.Status {
	src, control := c.source.Status(), c.det.Load().Control()
	knob := control.Get()
	st := schema.Status{
		Site: c.site, Camera: c.cfg.Name, Bundle: c.engine.bundle, BundleVersion: c.engine.version, Provider: string(c.engine.Provider()),
		Source: ingest.RedactURI(c.cfg.URI),
		State:  string(src.State), Since: src.Since, Time: time.Now(),
		Paused:        c.paused.Load(),
		Timesteps:     schema.Timesteps{N: knob.Timesteps, List: knob.List, Auto: knob.Auto()},
		LatencyBudget: schema.Duration(knob.Budget), TimestepsOffered: len(control.Order()),
		Threshold: knob.Threshold,
	}
	st.TimestepsMin, st.TimestepsMax = control.Bounds(knob)
	if c.fault != nil {
		st.ConfigFault = c.fault()
	}
	if src.Err != nil {
		st.Reason = src.Err.Error()
	} else if err := c.failure(); err != nil {
		st.Reason = err.Error()
	}
	if st.Paused && src.State == ingest.Live {
		st.State = schema.StatePaused
	}
	st.Stats = c.stats()
	c.mu.Lock()
	defer c.mu.Unlock()
	st.Width, st.Height = c.mu.width, c.mu.height
	if m := c.mu.newest; m != nil {
		st.TimestepsUsed = len(m.Timesteps)
		if m.Choice != nil {
			st.TimestepsReason = string(m.Choice.Reason)
		}
		st.Hint = m.Drift.Hint
	}
	return st
}

func (c *camera) stats() schema.Stats {
	src := c.source.Stats()
	s := schema.Stats{
		UptimeS:  time.Since(c.started).Seconds(),
		Captured: src.Read, Scored: c.scored.Load(), Events: c.events.Load(), Errors: c.errors.Load(),
		Dropped: map[string]uint64{},
	}
	s.Abandoned, s.Hanging, s.ReconnectReasons = src.Abandoned, src.Hanging, c.source.Reconnects()
	for _, n := range s.ReconnectReasons {
		s.Reconnects += n
	}
	s.Waiting, s.WaitingMax, s.FrameBytes = c.frames.Len(), c.cfg.QueueFrames, c.pool.Bytes()
	chosen := c.det.Load().Chosen()
	s.BudgetMisses, s.TimestepsChanges = chosen.Misses, chosen.Changes
	if c.preview != nil {
		s.Viewers = c.preview.Viewers(c.cfg.Name)
	}
	for reason, n := range map[string]uint64{
		"capture:pool": src.DroppedPool, "capture:rate": src.DroppedRate,
		"queue:overflow": c.frames.Dropped(), "score:paused": c.skipped.Load(),
	} {
		if n > 0 {
			s.Dropped[reason] = n
		}
	}
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	s.CameraFPS, s.ScoreFPS = c.mu.captured.perSecond(now), c.mu.maps.perSecond(now)
	if m := c.mu.newest; m != nil {
		s.Peak, s.Mean = m.Peak, m.Mean
		if d := m.Drift; !d.Since.IsZero() {
			s.Drift = &schema.Drift{State: string(d.State), Since: d.Since, Level: d.Level, Layout: d.Layout, Hint: d.Hint}
		}
		s.LatencyMS = schema.NewLatencyMS(m.Latency.Wait, m.Latency.Encode, m.Latency.Score, m.Latency.Total)
	}
	return s
}

// Snapshot returns the newest frame with its overlay as JPEG, and when it was captured.
func (c *camera) Snapshot() ([]byte, time.Time, error) { return c.preview.Snapshot(c.cfg.Name) }

// Apply changes settings from the next frame on. A request that cannot be met changes nothing.
func (c *camera) Apply(u schema.Update) (schema.Status, error) {
	c.apply.Lock() // two requests at once must not undo each other
	defer c.apply.Unlock()
	control := c.det.Load().Control()
	knob := control.Get()
	if u.LatencyBudget != nil {
		knob.Budget = time.Duration(*u.LatencyBudget)
	}
	if t := u.Timesteps; t != nil {
		knob.Timesteps, knob.List = t.N, t.List
		if !t.Auto && t.N == 0 && len(t.List) == 0 {
			return schema.Status{}, fmt.Errorf("%w: timesteps: got 0, want 1..%d or \"auto\"", detector.ErrSetting, len(control.Order()))
		}
	}
	if u.TimestepsMin != nil {
		knob.Min = *u.TimestepsMin
	}
	if u.TimestepsMax != nil {
		knob.Max = *u.TimestepsMax
	}
	if u.Threshold != nil {
		knob.Threshold = *u.Threshold
	}
	if err := control.Set(knob); err != nil {
		return schema.Status{}, err
	}
	if u.Paused != nil {
		c.paused.Store(*u.Paused)
	}
	return c.Status(), nil
}

// rescore puts other settings of the detector into force, of which fresh was made. Where only the knob differs it is
// turned, and the detector keeps what it has measured.
func (c *camera) rescore(cfg detector.Config, fresh *detector.Detector) {
	c.apply.Lock()
	defer c.apply.Unlock()
	knob := c.scoring
	knob.Timesteps, knob.List, knob.LatencyBudget = cfg.Timesteps, cfg.List, cfg.LatencyBudget
	knob.Min, knob.Max, knob.Threshold = cfg.Min, cfg.Max, cfg.Threshold
	c.scoring = cfg
	if !same(knob, cfg) || c.det.Load().Control().Set(fresh.Control().Get()) != nil {
		c.det.Store(fresh)
	}
}

// same compares settings; an empty list is no list.
func same[T any](a, b T) bool { return fmt.Sprintf("%+v", a) == fmt.Sprintf("%+v", b) }

// failed notes why scoring or the source ended for good.
func (c *camera) failed(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mu.failure = errors.Join(c.mu.failure, err)
}

// failure is why the camera ended; nil while it runs and when it ended as it should.
func (c *camera) failure() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.mu.failure
}

// rate measures how often something happens, over the last few seconds.
type rate struct {
	times [32]time.Time
	n     int
}

func (r *rate) tick(at time.Time) {
	r.times[r.n%len(r.times)] = at
	r.n++
}

// perSecond is the rate over the last 32 ticks, 5 s at most; 0 before there are two.
func (r *rate) perSecond(now time.Time) float64 {
	const window = 5 * time.Second
	count, oldest := 0, now
	for i := range min(r.n, len(r.times)) {
		if t := r.times[i]; now.Sub(t) <= window {
			count++
			if t.Before(oldest) {
				oldest = t
			}
		}
	}
	if d := now.Sub(oldest).Seconds(); count >= 2 && d > 0 {
		return float64(count-1) / d
	}
	return 0
}
