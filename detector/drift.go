package detector

import (
	"math"
	"slices"
	"time"
)

// DriftState tells whether a camera still sees the kind of scene that its bundle was fitted to.
type DriftState string

// The states of a drift watch.
const (
	DriftOK       DriftState = "ok"
	DriftDrifting DriftState = "drifting"
)

// Drift compares the camera's picture with normal footage and with its own past.
type Drift struct {
	State DriftState
	Since time.Time // capture time of the map with which the state began
	// Level is the median score of the picture over the last minutes; 0 on normal footage.
	Level float64
	// Layout is the share of the picture's edges that are no longer where they were after the start: 0 none, 1 all. It is 0
	// until the reference picture is learnt.
	Layout float64
	// Light is how much brighter the picture is than after the start, in stops. It is 0 until the reference picture is
	// learnt.
	Light float64
	// Hint names the likely cause and the remedy; empty while the state is ok.
	Hint string
}

// Limits of drift; docs/operation.md has the measurements behind them.
const (
	driftLayout        = 0.2  // smallest significant Layout; a camera that exceeds it during learning is not a fixed one
	driftLayoutRatio   = 3    // Layout must also exceed its value during learning by this factor
	driftLight         = 1.2  // stops; more than the change during a day behind a camera that controls its exposure
	driftLevelQuantile = 0.75 // Level must exceed this quantile of normal cells
	driftRecovery      = 0.75 // share of these limits below which the state is ok again
	driftMinMaps       = 20   // maps before the first verdict
	driftLearnWindows  = 2    // windows during which the reference picture is learnt
)

// driftWatch compares the scores of the last minutes with the calibration, which shows whether the bundle knows the scene.
// It also compares the edges and the brightness of the picture with those after the start, which shows whether the camera
// still looks at the same place in about the same light. All measures are medians over the picture: an object, however
// strange, shifts them only when it fills half of the picture. Maps have the same scale for every |T|.
type driftWatch struct {
	window time.Duration
	limit  func(timesteps int) float64 // Level at which half of the picture scores like a quarter of normal footage

	drift       Drift
	started     time.Time // capture time of the first map of this size
	last        time.Time // capture time of the last map
	lastJudged  time.Time // capture time of the map judged last
	maps        int
	scores      []float64 // per cell, averaged over window with fading weights
	view        *view     // the picture, averaged in the same way
	reference   *view     // nil while it is learnt
	halfway     *view     // copy of view halfway through learning
	usualLayout float64   // layout change of undisturbed footage
	scratch     []float64
}

func newDriftWatch(window time.Duration, cal *Calibration) *driftWatch {
	return &driftWatch{window: window, limit: func(timesteps int) float64 {
		if len(cal.Levels) == 0 {
			return 0.7 // the quantile of a normal distribution
		}
		a, b := cal.scale(timesteps)
		return a*quantile(cal.level(timesteps).Values, driftLevelQuantile) + b
	}}
}

// level returns the level of the smallest calibrated |T| that is at least n, or the last level.
func (c *Calibration) level(n int) Level {
	i := slices.IndexFunc(c.Levels, func(l Level) bool { return l.Timesteps >= n })
	if i < 0 {
		i = len(c.Levels) - 1
	}
	return c.Levels[i]
}

// update takes the next map with the mean colours of its picture (see Encoding.Guide) and returns the current drift. A
// watch without a window always returns ok.
func (w *driftWatch) update(m *Map, guide []float32) Drift {
	if w.window <= 0 {
		return Drift{State: DriftOK}
	}
	if len(w.scores) != len(m.Values) {
		w.reset(m)
	}
	fade := min(1, m.Captured.Sub(w.last).Seconds()/w.window.Seconds())
	fade = max(fade, 1/float64(w.maps+1), 0) // a plain mean at first
	for i, v := range m.Values {
		w.scores[i] += fade * (float64(v) - w.scores[i])
	}
	if len(guide) == 3*len(m.Values) {
		w.view.add(guide, fade)
	}
	w.last = m.Captured
	w.maps++
	if w.maps >= driftMinMaps && m.Captured.Sub(w.lastJudged) >= w.window/60 {
		w.lastJudged = m.Captured
		w.learn(m)
		w.judge(m)
	}
	return w.drift
}

// reset starts over: a picture of another size is treated as another camera.
func (w *driftWatch) reset(m *Map) {
	*w = driftWatch{
		window: w.window, limit: w.limit, drift: Drift{State: DriftOK, Since: m.Captured}, started: m.Captured, last: m.Captured,
		lastJudged: m.Captured, scores: make([]float64, len(m.Values)),
		view: &view{m.Width, m.Height, make([]float64, len(m.Values))},
	}
}

// learn stores the reference picture after the first windows, and how much the layout changed meanwhile.
func (w *driftWatch) learn(m *Map) {
	switch age := m.Captured.Sub(w.started); {
	case w.reference != nil:
	case w.halfway == nil && age >= driftLearnWindows*w.window/2:
		w.halfway = w.view.clone()
	case w.halfway != nil && age >= driftLearnWindows*w.window:
		w.reference = w.view.clone()
		w.usualLayout = w.view.layoutChange(w.halfway, m.Judged)
	}
}

// judge updates level, layout, light and, with hysteresis, the state.
func (w *driftWatch) judge(m *Map) {
	w.drift.Level = w.median(m)
	share := 1.0
	if w.drift.State == DriftDrifting {
		share = driftRecovery
	}
	high := w.drift.Level > share*w.limit(len(m.Timesteps))
	moved, lit := false, false
	if w.reference != nil {
		w.drift.Layout, w.drift.Light = w.view.layoutChange(w.reference, m.Judged), w.view.lightChange(w.reference, m.Judged)
		moved = w.usualLayout < driftLayout && w.drift.Layout > share*max(driftLayout, driftLayoutRatio*w.usualLayout)
		lit = math.Abs(w.drift.Light) > share*driftLight
	}
	state := DriftOK
	if high || moved || lit {
		state = DriftDrifting
	}
	if state == w.drift.State {
		return
	}
	w.drift.State, w.drift.Since, w.drift.Hint = state, m.Captured, ""
	clock := m.Captured.Format("15:04")
	switch {
	case moved:
		w.drift.Hint = "the picture has been different since " + clock + ": camera moved, lens dirty? correct it, or fit or calibrate again"
	case lit:
		w.drift.Hint = "the light has been different since " + clock + ": night, lamps, exposure? fit or calibrate again"
	case high && w.reference == nil:
		w.drift.Hint = "the whole picture scores above normal: the bundle does not know this scene; fit it to this camera"
	case high:
		w.drift.Hint = "the scores of the whole picture have risen since " + clock + ": light or weather changed? fit or calibrate again"
	}
}

// median returns the median of the averaged scores over the judged cells.
func (w *driftWatch) median(m *Map) float64 {
	w.scratch = w.scratch[:0]
	for i, v := range w.scores {
		if m.Judged(i) {
			w.scratch = append(w.scratch, v)
		}
	}
	slices.Sort(w.scratch)
	return w.scratch[len(w.scratch)/2]
}
