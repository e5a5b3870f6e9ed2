package detector

import (
	"math"
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
	// Layout is how much of the picture's edges is no longer where it was after the start: 0 none, 1 all. 0 until that is
	// known.
	Layout float64
	// Light is how much brighter the picture is than after the start, in stops. 0 until that is known.
	Light float64
	// Hint says what may have happened and what to do; empty while all is well.
	Hint string
}

// What a picture does when it drifts; docs/operation.md has what was measured.
const (
	driftLayout = 0.2  // Layout that is no accident; a camera with as much while its picture is learnt does not stand still
	driftTimes  = 3    // and so many times what it was then
	driftLight  = 1.2  // stops by which light changes during a day, behind a camera that controls its exposure, and more
	driftLevelP = 0.75 // Level that a quarter of normal cells exceed
	driftBack   = 0.75 // share of these limits at which all is well again
	driftFewest = 20   // maps before anything is said
	driftLearn  = 2    // windows from which the picture is learnt
)

// driftWatch compares the scores of the last minutes with the calibration, which tells whether the bundle knows what it
// sees, and the edges and the brightness of the picture with those after the start, which tells whether the camera still
// looks at the same place in about the same light. All take the median over the picture: an object, however strange, moves
// it only when it fills half of it. Whatever |T| is, maps have the same scale.
type driftWatch struct {
	window time.Duration
	limit  func(timesteps int) float64 // Level at which half of the picture scores as a quarter of normal footage

	now       Drift
	begun     time.Time // of the first map of this size
	last      time.Time
	judged    time.Time // of the last look at it
	maps      int
	recent    []float64 // scores per cell, fading out over window
	seen      *view     // the picture, the same way
	reference *view     // nil while it is learnt
	half      *view     // seen, halfway through learning
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

// update takes the next map with the mean colours of its picture (see Encoding.Guide) and returns what is known then. A
// watch without a window knows nothing.
func (w *driftWatch) update(m *Map, guide []float32) Drift {
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
	if len(guide) == 3*len(m.Values) {
		w.seen.add(guide, fade)
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
		seen: &view{m.Width, m.Height, make([]float64, len(m.Values))},
	}
}

// learn keeps the picture of the first windows, and how far it moved meanwhile.
func (w *driftWatch) learn(m *Map) {
	switch age := m.Captured.Sub(w.begun); {
	case w.reference != nil:
	case w.half == nil && age >= driftLearn*w.window/2:
		w.half = w.seen.clone()
	case w.half != nil && age >= driftLearn*w.window:
		w.reference = w.seen.clone()
		w.usual = w.seen.apart(w.half, m.Judged)
	}
}

// judge sets level, layout, light and state, with hysteresis.
func (w *driftWatch) judge(m *Map) {
	w.now.Level = w.median(m)
	share := 1.0
	if w.now.State == DriftDrifting {
		share = driftBack
	}
	high := w.now.Level > share*w.limit(len(m.Timesteps))
	moved, lit := false, false
	if w.reference != nil {
		w.now.Layout, w.now.Light = w.seen.apart(w.reference, m.Judged), w.seen.stops(w.reference, m.Judged)
		moved = w.usual < driftLayout && w.now.Layout > share*max(driftLayout, driftTimes*w.usual)
		lit = math.Abs(w.now.Light) > share*driftLight
	}
	state := DriftOK
	if high || moved || lit {
		state = DriftDrifting
	}
	if state == w.now.State {
		return
	}
	w.now.State, w.now.Since, w.now.Hint = state, m.Captured, ""
	clock := m.Captured.Format("15:04")
	switch {
	case moved:
		w.now.Hint = "the picture is another one since " + clock + ": camera moved, lens dirty? set it right, or fit or calibrate again"
	case lit:
		w.now.Hint = "the light is another one since " + clock + ": night, lamps, exposure? fit or calibrate again"
	case high && w.reference == nil:
		w.now.Hint = "the whole picture scores above normal: the bundle does not know this scene: fit it to this camera"
	case high:
		w.now.Hint = "scores of the whole picture have risen since " + clock + ": light or weather changed? fit or calibrate again"
	}
}

// median is that of the recent scores over the judged cells.
func (w *driftWatch) median(m *Map) float64 {
	w.scratch = w.scratch[:0]
	for i, v := range w.recent {
		if m.Judged(i) {
			w.scratch = append(w.scratch, v)
		}
	}
	slices.Sort(w.scratch)
	return w.scratch[len(w.scratch)/2]
}
