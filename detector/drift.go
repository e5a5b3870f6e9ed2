package detector

import (
	"slices"
	"time"
)

// DriftState says whether a camera still sees what its bundle knows.
type DriftState string

// The states of a drift watch.
const (
	DriftOK       DriftState = "ok"
	DriftDrifting DriftState = "drifting"
)

// Drift is how the camera's picture stands against normal footage and against its own past.
type Drift struct {
	State DriftState
	Since time.Time // capture time of the map with which the state began
	// Level is the middle score of the picture over the last minutes; 0 on normal footage.
	Level float64
	// Layout is by how much the middle cell's score has moved away from where it was after the start. 0 until that is known.
	Layout float64
	// Hint says what may have happened and what to do; empty while all is well.
	Hint string
}

// What a picture does when it drifts. Measured on vtest.avi with a bundle of its own and on the dashcam clip with the road
// bundle, over half a minute: undisturbed, Layout is 0.05 and 0.08; moved by a tenth of the picture it is 0.42 and 0.30, by
// a fiftieth 0.21 and 0.15, turned by 10° 0.42 and 0.33, with a third of the light 0.48 and 0.27.
const (
	driftLayout = 0.14 // Layout that is no accident
	driftTimes  = 3    // and so many times what it was while the picture was learnt
	driftLevelP = 0.75 // Level that a quarter of normal cells exceed
	driftBack   = 0.75 // share of these limits at which all is well again
	driftFewest = 20   // maps before anything is said
	driftLearn  = 2    // windows from which the layout is learnt
)

// driftWatch compares the scores of the last minutes with the calibration, which tells whether the bundle knows what it
// sees, and cell by cell with what they were after the start, which tells whether the camera still looks at the same
// place. Both take the median over the cells: an object, however strange, moves it only when it fills half of the picture.
// Whatever |T| is, maps have the same scale.
type driftWatch struct {
	window time.Duration
	limit  func(timesteps int) float64 // Level at which half of the picture scores as a quarter of normal footage

	now       Drift
	begun     time.Time // of the first map of this size
	last      time.Time
	judged    time.Time // of the last look at it
	maps      int
	recent    []float64 // per cell, fading out over window
	reference []float64 // per cell; nil while it is learnt
	half      []float64 // recent, halfway through learning
	usual     float64   // layout of undisturbed footage
	scratch   []float64
}

func newDriftWatch(window time.Duration, cal *Calibration) *driftWatch {
	return &driftWatch{window: window, limit: func(timesteps int) float64 {
		if len(cal.Levels) == 0 {
			return 0.7 // that of a normal distribution
		}
		a, b := cal.scale(timesteps)
		return a*quantile(cal.level(timesteps).Values, driftLevelP) + b
	}}
}

// level returns the calibrated |T| nearest to n from above.
func (c *Calibration) level(n int) Level {
	i := slices.IndexFunc(c.Levels, func(l Level) bool { return l.Timesteps >= n })
	if i < 0 {
		i = len(c.Levels) - 1
	}
	return c.Levels[i]
}

// update takes the next map and returns what is known then. A watch without a window knows nothing.
func (w *driftWatch) update(m *Map) Drift {
	if w.window <= 0 {
		return Drift{State: DriftOK}
	}
	if len(w.recent) != len(m.Values) {
		w.begin(m)
	}
	fade := min(1, m.Captured.Sub(w.last).Seconds()/w.window.Seconds())
	fade = max(fade, 1/float64(w.maps+1), 0) // a plain mean at first
	for i, v := range m.Values {
		w.recent[i] += fade * (float64(v) - w.recent[i])
	}
	w.last = m.Captured
	w.maps++
	if w.maps >= driftFewest && m.Captured.Sub(w.judged) >= w.window/60 {
		w.judged = m.Captured
		w.learn(m)
		w.judge(m)
	}
	return w.now
}

// begin forgets everything: pictures of another size are of another camera.
func (w *driftWatch) begin(m *Map) {
	*w = driftWatch{
		window: w.window, limit: w.limit, now: Drift{State: DriftOK, Since: m.Captured}, begun: m.Captured, last: m.Captured,
		judged: m.Captured, recent: make([]float64, len(m.Values)),
	}
}

// learn keeps the layout of the first windows, and how far it moved meanwhile.
func (w *driftWatch) learn(m *Map) {
	switch age := m.Captured.Sub(w.begun); {
	case w.reference != nil:
	case age >= driftLearn*w.window:
		w.reference = slices.Clone(w.recent)
		w.usual = w.distance(m, w.half)
	case w.half == nil && age >= driftLearn*w.window/2:
		w.half = slices.Clone(w.recent)
	}
}

// judge sets level, layout and state, with hysteresis.
func (w *driftWatch) judge(m *Map) {
	w.now.Level = w.median(m, func(i int) float64 { return w.recent[i] })
	w.now.Layout = w.distance(m, w.reference)
	share := 1.0
	if w.now.State == DriftDrifting {
		share = driftBack
	}
	high := w.now.Level > share*w.limit(len(m.Timesteps))
	moved := w.reference != nil && w.now.Layout > share*max(driftLayout, driftTimes*w.usual)
	state := DriftOK
	if high || moved {
		state = DriftDrifting
	}
	if state == w.now.State {
		return
	}
	w.now.State, w.now.Since, w.now.Hint = state, m.Captured, ""
	clock := m.Captured.Format("15:04")
	switch {
	case moved:
		w.now.Hint = "scores of the whole picture have changed since " + clock +
			": camera moved, light changed, lens dirty? set it right, or fit or calibrate again"
	case high && w.reference == nil:
		w.now.Hint = "the whole picture scores above normal: the bundle does not know this scene: fit it to this camera"
	case high:
		w.now.Hint = "scores of the whole picture have risen since " + clock + ": light or weather changed? fit or calibrate again"
	}
}

// distance is the median of how far the cells are from a layout; 0 without one.
func (w *driftWatch) distance(m *Map, from []float64) float64 {
	if from == nil {
		return 0
	}
	return w.median(m, func(i int) float64 { return max(w.recent[i]-from[i], from[i]-w.recent[i]) })
}

// median is that of a quantity over the judged cells.
func (w *driftWatch) median(m *Map, of func(i int) float64) float64 {
	w.scratch = w.scratch[:0]
	for i := range w.recent {
		if m.Judged(i) {
			w.scratch = append(w.scratch, of(i))
		}
	}
	slices.Sort(w.scratch)
	return w.scratch[len(w.scratch)/2]
}
