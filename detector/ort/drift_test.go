package ort_test

import (
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/detector/ort"
	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/ingest/ingesttest"
	"github.com/oodcast/oodcast/ingest/opencv"
	"github.com/oodcast/oodcast/ingest/source"
	"github.com/oodcast/oodcast/models"
)

// fixedCamera is a drift watch over a pavement: real footage at half size, under a bundle that was calibrated on its first
// ten seconds.
type fixedCamera struct {
	t      *testing.T
	frames []*ingest.Frame // 2 s apart, from the whole clip; played again and again
	det    *detector.Detector
	now    time.Time
	next   int
	every  time.Duration // between two maps
}

func newFixedCamera(t *testing.T, window, every time.Duration) *fixedCamera {
	t.Helper()
	const stride = 20 // the clip has 10 frames a second
	c := &fixedCamera{t: t, frames: thinned(t, demoClip(t), stride/4), now: time.Unix(5000, 0), every: every}
	dir := t.TempDir()
	bundle, normal := filepath.Join(dir, "bundle"), filepath.Join(dir, "normal")
	if err := os.Mkdir(normal, 0o755); err != nil {
		t.Fatal(err)
	}
	for i, f := range c.frames[:20] {
		if err := opencv.WriteImage(filepath.Join(normal, fmt.Sprintf("%02d.png", i)), f.Width, f.Height, f.Pix); err != nil {
			t.Fatal(err)
		}
	}
	calibrate(t, normal, bundle, nil)
	var sparse []*ingest.Frame
	for i := 0; i < len(c.frames); i += 4 {
		sparse = append(sparse, c.frames[i])
	}
	c.frames = sparse
	b, err := models.Open(bundle)
	if err != nil {
		t.Fatal(err)
	}
	cfg := detector.DefaultConfig()
	cfg.Timesteps, cfg.DriftWindow = 1, window
	engine, err := ort.OpenEngine(b, cfg, ort.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := engine.Close(); err != nil {
			t.Error(err)
		}
	})
	c.det = engine.Detector
	return c
}

// map scores the next frame as it is after a mishap.
func (c *fixedCamera) drift(what ingesttest.Mishap) detector.Drift {
	c.t.Helper()
	f := what.Happen(c.frames[c.next%len(c.frames)])
	c.next++
	c.now = c.now.Add(c.every)
	f.Captured = c.now
	m, err := c.det.Score(c.t.Context(), f)
	if err != nil {
		c.t.Fatal(err)
	}
	return m.Drift
}

// until watches until the state is the given one and returns after how many maps, or 0 when it never was.
func (c *fixedCamera) until(want detector.DriftState, most int, what ingesttest.Mishap) int {
	c.t.Helper()
	for i := range most {
		if d := c.drift(what); d.State == want {
			if (d.Hint != "") != (want == detector.DriftDrifting) {
				c.t.Errorf("%s with hint %q", want, d.Hint)
			}
			return i + 1
		}
	}
	return 0
}

// People that walk through are no drift. A camera that is moved by a tenth of the picture or turned by 10° is noticed
// within 30 maps, a window and a quarter, and darkness within two windows. Set right again, all is well within half of one.
func TestDriftOnRealFootage(t *testing.T) {
	const window = 24
	c := newFixedCamera(t, window*2*time.Second, 2*time.Second)
	for i := range 4 * window {
		if d := c.drift(ingesttest.Mishap{}); d.State != detector.DriftOK {
			t.Fatalf("undisturbed, map %d: %+v", i, d)
		}
	}
	for _, tt := range []struct {
		name   string
		within int // maps
		what   ingesttest.Mishap
	}{
		{"moved by a tenth of the width", 30, ingesttest.Mishap{X: 0.1}},
		{"moved by a tenth of the height", 30, ingesttest.Mishap{Y: -0.1}},
		{"turned by 10°", 30, ingesttest.Mishap{Angle: 10}},
		{"turned by -10°", 30, ingesttest.Mishap{Angle: -10}},
		{"dark", 2 * window, ingesttest.Mishap{Gain: 0.2}},
	} {
		noticed := c.until(detector.DriftDrifting, tt.within, tt.what)
		over := c.until(detector.DriftOK, window/2, ingesttest.Mishap{})
		t.Logf("%s: noticed with map %d, set right with map %d; window of %d maps", tt.name, noticed, over, window)
		if noticed == 0 || over == 0 {
			t.Errorf("%s: noticed with map %d, set right with map %d, want within %d and %d", tt.name, noticed, over, tt.within, window/2)
		}
		for range window { // settle
			if d := c.drift(ingesttest.Mishap{}); d.State != detector.DriftOK {
				t.Fatalf("after %s: %+v", tt.name, d)
			}
		}
	}
}

// daylight is the light at a time of a day from dawn, 0, over noon, 1/2, to dusk, 1, behind a camera that controls its
// exposure: half a stop from the darkest to the brightest, flat contrast at both ends, and a white balance that lags
// behind the colour of the light.
func daylight(day float64) ingesttest.Mishap {
	noon := math.Sin(math.Pi * day) // 0 … 1
	return ingesttest.Mishap{
		Gain: 0.75 + 0.35*noon, Contrast: 0.85 + 0.25*noon, Warmth: 0.1 - 0.15*noon + 0.04*math.Cos(math.Pi*day),
	}
}

// A day passes: brightness, contrast and colour change slowly, and nothing is wrong. A camera that is moved in the evening
// is noticed nevertheless. Seen here with a map every two minutes and a window of 40; OODCAST_DRIFT=12h takes that
// long with the default window and a map a second.
func TestDriftOverADay(t *testing.T) {
	length, window, every := 10*time.Hour, 40*time.Minute, 2*time.Minute
	if s := os.Getenv("OODCAST_DRIFT"); s != "" {
		var err error
		if length, err = time.ParseDuration(s); err != nil {
			t.Fatal(err)
		}
		window, every = detector.DefaultConfig().DriftWindow, time.Second
	}
	c := newFixedCamera(t, window, every)
	n := int(length / every)
	highest, most, light, wrong := -math.MaxFloat64, 0.0, 0.0, 0
	for i := range n {
		d := c.drift(daylight(float64(i) / float64(n)))
		highest, most = max(highest, d.Level), max(most, d.Layout)
		light = max(light, math.Abs(d.Light))
		if d.State != detector.DriftOK {
			wrong++
			if wrong == 1 {
				t.Errorf("%.1f h after dawn: %+v", (time.Duration(i) * every).Hours(), d)
			}
		}
	}
	t.Logf("%v, %d maps: level at most %.2f, layout at most %.2f, light at most %.2f stops, %d maps called drift",
		length, n, highest, most, light, wrong)
	evening := daylight(1)
	evening.X = 0.1
	noticed := c.until(detector.DriftDrifting, int(window/every)*5/4, evening)
	t.Logf("moved in the evening: noticed with map %d of a window of %d", noticed, window/every)
	if noticed == 0 {
		t.Error("moved by a tenth of the width in the evening: not noticed within a window and a quarter")
	}
}

// thinned returns every stride-th frame of a clip at half its size.
func thinned(t testing.TB, path string, stride uint64) (frames []*ingest.Frame) {
	t.Helper()
	cfg := ingest.DefaultConfig()
	cfg.URI = path
	source, err := source.New(cfg, ingest.NewPool(2), source.Settings{MayWait: true})
	if err != nil {
		t.Fatal(err)
	}
	err = source.Run(t.Context(), func(_ context.Context, f *ingest.Frame) error {
		defer f.Release()
		if f.Seq%stride == 0 {
			frames = append(frames, half(f))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return frames
}

// half returns a frame at half its size: the mean of four pixels.
func half(f *ingest.Frame) *ingest.Frame {
	out := ingest.NewFrame(f.Width/2, f.Height/2)
	for y := range out.Height {
		for x := range 3 * out.Width {
			i := 3*(2*y*f.Width+2*(x/3)) + x%3
			j := i + 3*f.Width
			out.Pix[3*y*out.Width+x] = byte((int(f.Pix[i]) + int(f.Pix[i+3]) + int(f.Pix[j]) + int(f.Pix[j+3]) + 2) / 4)
		}
	}
	return out
}
