package detector

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// yard generates maps and pictures of a scene: every cell has its own score and brightness, plus a little noise.
type yard struct {
	random *rand.Rand
	own    []float32
	bright []float32
	watch  *driftWatch
	now    time.Time
	roi    *Mask
}

const yardWidth, yardHeight = 40, 20

func newYard(window time.Duration) *yard {
	y := &yard{random: rand.New(rand.NewPCG(1, 4)), now: time.Unix(50000, 0).UTC()}
	y.watch = newDriftWatch(window, &Calibration{})
	for range yardWidth * yardHeight {
		y.own = append(y.own, float32(0.6*y.random.NormFloat64()))
		y.bright = append(y.bright, 0.2+0.6*y.random.Float32())
	}
	return y
}

// pass simulates a period with one map per second. editScores changes the scores of the scene, editLight its brightness.
// It returns the drift after each map.
func (y *yard) pass(length time.Duration, editScores, editLight func(values []float32)) (all []Drift) {
	for end := y.now.Add(length); y.now.Before(end); y.now = y.now.Add(time.Second) {
		m := &Map{
			Captured: y.now, Width: yardWidth, Height: yardHeight, Values: slices.Clone(y.own), Timesteps: []int{1, 2},
			ROI: y.roi,
		}
		if editScores != nil {
			editScores(m.Values)
		}
		bright, guide := slices.Clone(y.bright), []float32(nil)
		if editLight != nil {
			editLight(bright)
		}
		for i := range m.Values {
			m.Values[i] += float32(0.3 * y.random.NormFloat64())
			v := bright[i] + 0.05*y.random.Float32()
			guide = append(guide, v, v, v)
		}
		all = append(all, y.watch.update(m, guide))
	}
	return all
}

// shift simulates a camera that was turned by some cells.
func shift(by int) func([]float32) {
	return func(v []float32) { copy(v, append(slices.Clone(v[by:]), v[:by]...)) }
}

// object fills a share of the picture with a score or a brightness.
func object(share float64, value float32) func([]float32) {
	return func(v []float32) {
		for i := range int(share * float64(len(v))) {
			v[i] = value
		}
	}
}

func brighter(v []float32) {
	for i := range v {
		v[i] += 1.2
	}
}

func drifts(all []Drift) bool {
	return slices.ContainsFunc(all, func(d Drift) bool { return d.State == DriftDrifting })
}

func TestDriftSeesAMovedCamera(t *testing.T) {
	y := newYard(time.Minute)
	if all := y.pass(10*time.Minute, nil, nil); drifts(all) {
		t.Fatalf("undisturbed: %+v", all[len(all)-1])
	}
	moved := y.now
	all := y.pass(3*time.Minute, shift(3), shift(3))
	last := all[len(all)-1]
	if last.State != DriftDrifting || !strings.Contains(last.Hint, "camera moved") || !strings.Contains(last.Hint, "since 1") {
		t.Fatalf("moved: %+v", last)
	}
	if after := last.Since.Sub(moved); after <= 0 || after > 2*time.Minute {
		t.Errorf("noticed after %v, want within two windows", after)
	}
	all = y.pass(5*time.Minute, nil, nil) // the camera is moved back
	if last := all[len(all)-1]; last.State != DriftOK || last.Hint != "" {
		t.Errorf("moved back: %+v", last)
	}
	changes := 0
	for i := 1; i < len(all); i++ {
		if all[i].State != all[i-1].State {
			changes++
		}
	}
	if changes != 1 {
		t.Errorf("the state changed %d times on the way back, want once", changes)
	}
}

func TestDriftSeesRisenScores(t *testing.T) {
	y := newYard(time.Minute)
	y.pass(3*time.Minute, nil, nil)
	all := y.pass(4*time.Minute, brighter, nil)
	if last := all[len(all)-1]; last.State != DriftDrifting || last.Level < 1 {
		t.Errorf("scores higher by 1.2 everywhere: %+v", last)
	}
	// Scores that are high from the start mean that the bundle does not fit.
	y = newYard(time.Minute)
	all = y.pass(time.Minute, brighter, nil)
	if last := all[len(all)-1]; last.State != DriftDrifting || !strings.Contains(last.Hint, "fit it to this camera") {
		t.Errorf("high from the start: %+v", last)
	}
}

// Changes of daylight are no drift; night is.
func TestDriftSeesLight(t *testing.T) {
	y := newYard(time.Minute)
	y.pass(3*time.Minute, nil, nil)
	dim := func(gain float32) func([]float32) {
		return func(v []float32) {
			for i := range v {
				v[i] = gain*v[i] + 0.05
			}
		}
	}
	if all := y.pass(10*time.Minute, nil, dim(0.5)); drifts(all) {
		t.Errorf("half the light: %+v", all[len(all)-1])
	}
	all := y.pass(4*time.Minute, nil, dim(0.05))
	if last := all[len(all)-1]; last.State != DriftDrifting || last.Light > -1.5 || !strings.Contains(last.Hint, "light") {
		t.Errorf("a twentieth of the light: %+v", last)
	}
}

// A large object is an anomaly, not drift, however long it stays.
func TestDriftIgnoresAnObject(t *testing.T) {
	y := newYard(time.Minute)
	y.pass(3*time.Minute, nil, nil)
	if all := y.pass(20*time.Minute, object(0.4, 20), object(0.4, 0.9)); drifts(all) {
		t.Errorf("an object over 40 %% of the picture: %+v", all[len(all)-1])
	}
	if all := y.pass(20*time.Minute, object(0.7, 20), object(0.7, 0.9)); !drifts(all) {
		t.Errorf("an object over 70 %% of the picture: %+v, want drift", all[len(all)-1])
	}
}

func TestDriftLooksOnlyAtTheRegion(t *testing.T) {
	y := newYard(time.Minute)
	y.roi = ROI{Include: []Polygon{{{0, 0.5}, {1, 0.5}, {1, 1}, {0, 1}}}}.Mask(yardWidth, yardHeight)
	y.pass(3*time.Minute, nil, nil)
	if all := y.pass(10*time.Minute, object(0.5, 20), object(0.5, 0.9)); drifts(all) { // the upper half
		t.Errorf("object outside the region: %+v", all[len(all)-1])
	}
}

func TestDriftIsSilentWithoutWindowAndWhileItLearns(t *testing.T) {
	y := newYard(0)
	if all := y.pass(5*time.Minute, brighter, nil); drifts(all) {
		t.Error("a watch without a window reports drift")
	}
	y = newYard(time.Minute)
	if all := y.pass(15*time.Second, brighter, nil); drifts(all) {
		t.Error("the watch reports drift after 15 maps, want at least 20")
	}
}

// Maps may come less often than once per window, and without colours. Then layout and light stay 0.
func TestDriftOfRareMapsAndWithoutColours(t *testing.T) {
	y := newYard(time.Minute)
	for i := range 100 {
		m := &Map{
			Captured: y.now.Add(time.Duration(i) * time.Hour), Width: yardWidth, Height: yardHeight, Values: slices.Clone(y.own),
			Timesteps: []int{1},
		}
		if d := y.watch.update(m, nil); d.State != DriftOK || d.Layout != 0 || d.Light != 0 {
			t.Fatalf("map %d: %+v", i, d)
		}
	}
}

// A camera that always moves has no layout that could change.
func TestDriftOfAMovingCamera(t *testing.T) {
	y := newYard(time.Minute)
	i := 0
	pan := func(v []float32) { i++; shift(i / 8 % len(v))(v) } // called twice per map
	if all := y.pass(20*time.Minute, pan, pan); drifts(all) {
		t.Errorf("moving camera: %+v", all[len(all)-1])
	}
}
