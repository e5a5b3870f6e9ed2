package detector

import "time"

// Choice is how the detector chose |T| for a map.
type Choice struct {
	Budget time.Duration // latency budget for encoding and scoring
	Reason Reason        // what prevented one timestep more, or less
	Missed bool          // encoding and scoring took longer than the budget
}

// ChoiceCounts counts the outcomes of choosing |T|.
type ChoiceCounts struct {
	Misses  uint64 // frames over the latency budget
	Changes uint64 // changes of |T|
}

// ChoiceCounts returns the counts since the start. It is safe for concurrent use.
func (d *Detector) ChoiceCounts() ChoiceCounts {
	return ChoiceCounts{Misses: d.budget.misses.Load(), Changes: d.budget.changes.Load()}
}

// SetInterval sets the time between two frames of the camera, within which an automatically chosen |T| must fit. 0, the
// initial value, is for a source that waits for the detector. SetInterval is safe for concurrent use.
func (d *Detector) SetInterval(interval time.Duration) { d.interval.Store(int64(interval)) }

// ShareEngine makes the detector leave time for the other detectors that use the same engine or machine and therefore share
// l. It must be called before the first frame.
func (d *Detector) ShareEngine(l *EngineLoad) { d.engine = l }

// timesteps returns the timesteps that the knob selects, and how they were chosen if the choice is automatic.
func (d *Detector) timesteps(k Knob) ([]int, *Choice) {
	switch {
	case len(k.List) > 0:
		return k.List, nil
	case k.Auto():
		n := d.budget.choose(time.Now(), d.limits(k, time.Now()))
		return d.control.order[:n], &Choice{Budget: k.Budget, Reason: d.budget.reason}
	}
	return d.control.order[:k.Timesteps], nil
}

// takesLook reports whether the next frame gets the second look that is planned.
func (d *Detector) takesLook(now time.Time) bool {
	s := d.second
	k := d.control.Get()
	l := d.limits(k, now)
	if !k.Auto() { // only the camera's rate bounds a fixed |T|
		n := max(k.Timesteps, len(k.List))
		l.latency, l.min, l.max = 0, n, n
	}
	d.budget.look.share = s.plan.share()
	if s.forced {
		d.budget.look.on = true
		return true
	}
	return d.budget.chooseLook(now, l)
}

// limits returns the limits that |T| has to meet now.
func (d *Detector) limits(k Knob, now time.Time) limits {
	l := limits{latency: k.Budget, interval: time.Duration(d.interval.Load())}
	l.min, l.max = d.control.Bounds(k)
	if l.interval > 0 && d.cfg.TargetFPS > 0 {
		l.interval = max(l.interval, time.Duration(float64(time.Second)/d.cfg.TargetFPS))
	}
	if d.engine != nil {
		l.interval = time.Duration(float64(l.interval) * d.engine.available(d, now))
	}
	// A frame that is scored together with others takes longer than its share of the engine's time.
	l.interval = time.Duration(float64(l.interval) * max(1, d.batchDelay.quantile(0.5)))
	return l
}

// recordCost records the latency of a map, of which a part is that of a second look, and the engine time that it used.
func (d *Detector) recordCost(m *Map, now time.Time, look lookCost, engine time.Duration) {
	spent := m.Latency.Encode + m.Latency.Score
	if d.engine != nil {
		d.engine.add(d, now, engine)
	}
	d.batchDelay.add(spent.Seconds() / max(engine.Seconds(), 1e-9))
	var budget time.Duration
	if m.Choice != nil {
		budget = m.Choice.Budget
		m.Choice.Missed = spent > budget
	}
	d.budget.record(m.Latency.Encode, m.Latency.Score, m.Scored, look, budget)
}
