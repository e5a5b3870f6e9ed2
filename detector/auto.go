package detector

import "time"

// Choice says how the detector chose |T| for a map.
type Choice struct {
	Budget time.Duration // that encoding and scoring were to meet
	Reason Reason        // why not one timestep more, or less
	Missed bool          // they took longer
}

// Chosen counts what came of choosing |T|.
type Chosen struct {
	Misses  uint64 // frames over the latency budget
	Changes uint64 // of |T|
}

// Chosen returns the counts since the start. It is safe for concurrent use.
func (d *Detector) Chosen() Chosen {
	return Chosen{Misses: d.budget.misses.Load(), Changes: d.budget.changes.Load()}
}

// SetInterval tells the time between two frames that the camera delivers, which |T| leaves time for when it is chosen. 0,
// as at the start, is for a source that waits for the detector. It is safe for concurrent use.
func (d *Detector) SetInterval(interval time.Duration) { d.interval.Store(int64(interval)) }

// ShareWith says with which other detectors this one shares its engine or machine, so that it leaves time for them. It
// must come before the first frame.
func (d *Detector) ShareWith(s *Share) { d.share = s }

// timesteps resolves the knob.
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

// limits returns what |T| has to meet now.
func (d *Detector) limits(k Knob, now time.Time) limits {
	l := limits{latency: k.Budget, interval: time.Duration(d.interval.Load())}
	l.min, l.max = d.control.Bounds(k)
	if l.interval > 0 && d.cfg.TargetFPS > 0 {
		l.interval = max(l.interval, time.Duration(float64(time.Second)/d.cfg.TargetFPS))
	}
	if d.share != nil {
		l.interval = time.Duration(float64(l.interval) * d.share.left(d, now))
	}
	// A frame that is scored together with others takes longer than its part of the engine's time.
	l.interval = time.Duration(float64(l.interval) * max(1, d.together.quantile(0.5)))
	return l
}

// account notes what a map cost, of which engine is the engine's time.
func (d *Detector) account(m *Map, now time.Time, engine time.Duration) {
	spent := m.Latency.Encode + m.Latency.Score
	if d.share != nil {
		d.share.worked(d, now, engine)
	}
	d.together.add(spent.Seconds() / max(engine.Seconds(), 1e-9))
	var budget time.Duration
	if m.Choice != nil {
		budget = m.Choice.Budget
		m.Choice.Missed = spent > budget
	}
	d.budget.measured(m.Latency.Encode, m.Latency.Score, m.Scored, budget)
}
