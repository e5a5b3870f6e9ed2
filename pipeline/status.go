package pipeline

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/publish/schema"
)

// progress counts what has become of a camera's frames. Both of its goroutines write to it, and anyone may read it.
type progress struct {
	scored  atomic.Uint64
	events  atomic.Uint64 // that started
	failed  atomic.Uint64 // maps that were not finite
	skipped atomic.Uint64 // frames that came while the camera was paused

	mu struct {
		sync.Mutex
		newest        *detector.Map
		width, height int  // of the newest frame
		frames, maps  rate // captured and scored
		failure       error
	}
}

// captured notes a frame.
func (p *progress) captured(f *ingest.Frame) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mu.width, p.mu.height = f.Width, f.Height
	p.mu.frames.tick(f.Captured)
}

// mapped notes a map.
func (p *progress) mapped(m *detector.Map) {
	p.scored.Add(1)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mu.newest = m
	p.mu.maps.tick(time.Now())
}

// newest returns the newest map, nil before the first.
func (p *progress) newest() *detector.Map {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mu.newest
}

// interval is the time between two frames of the camera; 0 when it is not known.
func (p *progress) interval(now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	fps := p.mu.frames.perSecond(now)
	if fps == 0 {
		return 0
	}
	return time.Duration(float64(time.Second) / fps)
}

// fail notes why scoring or the source ended for good.
func (p *progress) fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mu.failure = errors.Join(p.mu.failure, err)
}

// failure is why the camera ended; nil while it runs and when its stream came to its end.
func (p *progress) failure() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mu.failure
}

// Status returns the state and the settings in force.
func (c *camera) Status() schema.Status {
	src, control := c.source.Status(), c.settings.detector.Load().Control()
	knob := control.Get()
	st := schema.Status{
		Site: c.site, Camera: c.Name(), Bundle: c.engine.bundle, BundleVersion: c.engine.version,
		Provider: string(c.engine.provider), Source: ingest.RedactURI(c.cfg.Source.URI),
		State: string(src.State), Since: src.Since, Time: time.Now(),
		Paused:        c.settings.paused.Load(),
		Timesteps:     schema.Timesteps{N: knob.Timesteps, List: knob.List, Auto: knob.Auto()},
		LatencyBudget: schema.Duration(knob.Budget), TimestepsOffered: len(control.Order()),
		Threshold:   knob.Threshold,
		ConfigFault: c.fault(),
	}
	st.TimestepsMin, st.TimestepsMax = control.Bounds(knob)
	if src.Err != nil {
		st.Reason = src.Err.Error()
	} else if err := c.progress.failure(); err != nil {
		st.Reason = err.Error()
	}
	if st.Paused && src.State == ingest.Live {
		st.State = schema.StatePaused
	}
	st.Stats = c.stats()
	c.progress.mu.Lock()
	defer c.progress.mu.Unlock()
	st.Width, st.Height = c.progress.mu.width, c.progress.mu.height
	if m := c.progress.mu.newest; m != nil {
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
		Captured: src.Read, Scored: c.progress.scored.Load(), Events: c.progress.events.Load(), Errors: c.progress.failed.Load(),
		Dropped: map[string]uint64{}, Viewers: c.display.Viewers(c.Name()),
	}
	s.Abandoned, s.Hanging, s.ReconnectReasons = src.Abandoned, src.Hanging, c.source.Reconnects()
	for _, n := range s.ReconnectReasons {
		s.Reconnects += n
	}
	s.Waiting, s.WaitingMax, s.FrameBytes = c.frames.Len(), c.frames.Cap(), c.pool.Bytes()
	chosen := c.settings.detector.Load().ChoiceCounts()
	s.BudgetMisses, s.TimestepsChanges = chosen.Misses, chosen.Changes
	for reason, n := range map[string]uint64{
		"capture:pool": src.DroppedPool, "capture:rate": src.DroppedRate, "capture:unreadable": src.Unreadable,
		"queue:overflow": c.frames.Dropped(), "score:paused": c.progress.skipped.Load(),
	} {
		if n > 0 {
			s.Dropped[reason] = n
		}
	}
	now := time.Now()
	c.progress.mu.Lock()
	defer c.progress.mu.Unlock()
	s.CameraFPS, s.ScoreFPS = c.progress.mu.frames.perSecond(now), c.progress.mu.maps.perSecond(now)
	if m := c.progress.mu.newest; m != nil {
		s.Peak, s.Mean = m.Peak, m.Mean
		if d := m.Drift; !d.Since.IsZero() {
			s.Drift = &schema.Drift{State: string(d.State), Since: d.Since, Level: d.Level, Layout: d.Layout, Hint: d.Hint}
		}
		s.LatencyMS = schema.NewLatencyMS(m.Latency.Wait, m.Latency.Encode, m.Latency.Score, m.Latency.Total)
	}
	return s
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

// perSecond is the rate over the last 32 ticks, but no more than 5 s; 0 before there are two.
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
