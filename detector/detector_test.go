package detector

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/models"
)

func TestScoreFindsAnAnomaly(t *testing.T) {
	d := testDetector(t, nil)
	odd := cells{64, 16, 96, 48}
	m, err := d.Score(t.Context(), noiseFrame(100, odd))
	if err != nil {
		t.Fatal(err)
	}
	if m.Width != 16 || m.Height != 8 || m.ImageWidth != 128 || m.ImageHeight != 64 || len(m.Values) != 128 {
		t.Fatalf("map of %dx%d with %d values for %dx%d pixels", m.Width, m.Height, len(m.Values), m.ImageWidth, m.ImageHeight)
	}
	inside, outside := float32(math.Inf(1)), float32(0)
	for i, v := range m.Values {
		x, y := i%m.Width*testLogits, i/m.Width*testLogits
		switch {
		case x >= odd.x0+8 && x < odd.x1-8 && y >= odd.y0+8 && y < odd.y1-8:
			inside = min(inside, v)
		case x < odd.x0-16 || x >= odd.x1+16:
			outside = max(outside, v)
		}
	}
	if inside < 10 || outside > 6 {
		t.Errorf("the odd rectangle scores at least %v and the rest at most %v, want 10 and 6", inside, outside)
	}
	if m.Peak < inside || m.Camera != "yard" || m.FrameSeq != 100 || m.Bundle != "test" || m.Provider != "cpu" {
		t.Errorf("map = %+v", m)
	}
	if !slices.Equal(m.Timesteps, testOrder()) || m.Threshold != 4 {
		t.Errorf("timesteps %v, threshold %v", m.Timesteps, m.Threshold)
	}
}

// Without classes, the compound map is the diffusion score on the calibrated scale: a rule that weighs the uncertainty
// changes nothing.
func TestScoreWithoutClasses(t *testing.T) {
	var maps [2]*Map
	for i, weight := range []float64{0, 5} {
		d := testDetector(t, func(_ *Config, m *models.Manifest, c *Calibration) {
			m.Encoder.Classes, m.Compound.LSEWeight, c.LSE = nil, weight, Moments{}
		})
		m, err := d.Score(t.Context(), noiseFrame(100, cells{64, 16, 96, 48}))
		if err != nil {
			t.Fatal(err)
		}
		maps[i] = m
	}
	if !slices.Equal(maps[0].Values, maps[1].Values) || maps[0].Peak < 6 {
		t.Errorf("peak %v without, %v with a weight of the uncertainty", maps[0].Peak, maps[1].Peak)
	}
}

func TestScoreIsDeterministicAndCounts(t *testing.T) {
	d := testDetector(t, nil)
	var first *Map
	for i := range uint64(3) {
		m, err := d.Score(t.Context(), noiseFrame(7, cells{}))
		if err != nil {
			t.Fatal(err)
		}
		if m.Seq != i {
			t.Errorf("Seq = %d, want %d", m.Seq, i)
		}
		if first == nil {
			first = m
		}
		if !slices.Equal(m.Values, first.Values) {
			t.Error("the same frame gives a different map")
		}
	}
}

func TestScoreReleasesTheFrame(t *testing.T) {
	pool := ingest.NewPool(1)
	d := testDetector(t, nil)
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for _, ctx := range []context.Context{t.Context(), cancelled} {
		f, err := pool.Get(t.Context(), 128, 64)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = d.Score(ctx, f)
		if n := pool.InFlight(); n != 0 {
			t.Fatalf("%d frames in flight after Score", n)
		}
	}
}

func TestScoreRefusesMapsThatAreNotFinite(t *testing.T) {
	d := testDetector(t, nil)
	d.enc = &meanEncoder{broken: true}
	if _, err := d.Score(t.Context(), noiseFrame(1, cells{})); !errors.Is(err, ErrNotFinite) {
		t.Errorf("Score() = %v, want %v", err, ErrNotFinite)
	}
	d.enc = &meanEncoder{}
	m, err := d.Score(t.Context(), noiseFrame(1, cells{}))
	if err != nil || m.Seq != 0 {
		t.Errorf("after a broken frame: map %v, error %v, want Seq 0", m, err)
	}
}

// For every subset of the timesteps, the diffusion part has mean 0 and deviation 1 on the calibration footage.
func TestAnySubsetIsStandardised(t *testing.T) {
	order := testOrder()
	for _, list := range [][]int{order[:1], order[:2], order, {order[3], order[1]}, {order[4]}} {
		for _, rule := range []string{models.AggregateSum, models.AggregateSqrtOneMinusAlphaBar} {
			d := testDetector(t, func(c *Config, m *models.Manifest, _ *Calibration) {
				c.Part, c.List, m.Diffusion.Aggregate, m.Compound.Upsample = PartDiffusion, list, rule, "nearest"
			})
			var all []float32
			for seed := range uint64(20) { // the frames of testCalibration
				m, err := d.Score(t.Context(), noiseFrame(seed, cells{}))
				if err != nil {
					t.Fatal(err)
				}
				all = append(all, m.Values...)
			}
			// Exact except for float32 rounding: 1e-4.
			if m, s := mean(all), math.Sqrt(covariance(all, all)); math.Abs(m) > 1e-4 || math.Abs(s-1) > 1e-3 {
				t.Errorf("timesteps %v, %s: mean %v, deviation %v, want 0 and 1", list, rule, m, s)
			}
		}
	}
}

func TestScaleIsTheSameForEveryT(t *testing.T) {
	c := Calibration{Levels: []Level{
		{Timesteps: 1, Values: []Quantile{{middleP, 1}, {tailP, 5}}, Peaks: []Quantile{{0.95, 9}}},
		{Timesteps: 3, Values: []Quantile{{middleP, 0}, {tailP, 4}}, Peaks: []Quantile{{0.95, 6}}},
		{Timesteps: 5, Values: []Quantile{{middleP, 0}, {tailP, 2}}, Peaks: []Quantile{{0.95, 3}}},
	}}
	for _, l := range c.Levels {
		a, b := c.scale(l.Timesteps)
		if got := a*quantile(l.Values, middleP) + b; math.Abs(got) > 1e-12 {
			t.Errorf("|T|=%d: the middle is at %v, want 0", l.Timesteps, got)
		}
		if got := a*quantile(l.Values, tailP) + b; math.Abs(got-tailZ) > 1e-12 {
			t.Errorf("|T|=%d: the tail is at %v, want %v", l.Timesteps, got, tailZ)
		}
	}
	a1, _ := c.scale(1)
	a3, _ := c.scale(3)
	if a, _ := c.scale(2); math.Abs(a-(a1+a3)/2) > 1e-12 {
		t.Errorf("|T|=2: slope %v, want the mean of %v and %v", a, a1, a3)
	}
	if a, b := c.scale(9); a != tailZ/2 || b != 0 {
		t.Errorf("above the last level: slope %v, offset %v, want those of the last level", a, b)
	}
	// Peaks at 2, 1.5 and 1.5 times the tail.
	if got, want := c.DefaultThreshold(), float32(1.5*tailZ); got != want {
		t.Errorf("DefaultThreshold() = %v, want %v", got, want)
	}
}

func TestParts(t *testing.T) {
	values := func(edit func(*Config, *models.Manifest, *Calibration)) []float32 {
		t.Helper()
		m, err := testDetector(t, edit).Score(t.Context(), noiseFrame(3, cells{0, 0, 32, 32}))
		if err != nil {
			t.Fatal(err)
		}
		return m.Values
	}
	rule := models.RuleStandardised
	part := func(p string) func(*Config, *models.Manifest, *Calibration) {
		return func(c *Config, m *models.Manifest, _ *Calibration) {
			c.Part, m.Compound.LSEWeight, m.Compound.Rule = p, 0.5, rule
		}
	}
	both, d, u := values(part(PartCompound)), values(part(PartDiffusion)), values(part(PartLSE))
	for i := range both {
		if want := d[i] + 0.5*u[i]; math.Abs(float64(both[i]-want)) > 1e-4 {
			t.Fatalf("value %d = %v, want %v + 0.5·%v", i, both[i], d[i], u[i])
		}
	}
	rule = models.RuleGated
	for i, v := range values(part(PartCompound)) {
		gate := 1 / (1 + math.Exp(-gateSlope*(float64(d[i])-gateCentre)))
		if want := float64(d[i]) + 0.5*gate*float64(u[i]); math.Abs(float64(v)-want) > 1e-4 {
			t.Fatalf("gated value %d = %v, want %v", i, v, want)
		}
	}
	minMax := values(func(c *Config, m *models.Manifest, _ *Calibration) {
		c.Part, m.Compound.Rule = PartLSE, "min_max"
	})
	cal := testCalibration(t)
	for i, v := range minMax {
		// Both rules are linear functions of the same quantity.
		want := (float64(u[i])*cal.LSE.Std + (1 - cal.LSE.Mean) - (1 - cal.LSE.Max)) / (cal.LSE.Max - cal.LSE.Min)
		if math.Abs(float64(v)-want) > 1e-4 {
			t.Fatalf("min_max value %d = %v, want %v", i, v, want)
		}
	}
}

func TestControlTakesEffectOnTheNextFrame(t *testing.T) {
	d := testDetector(t, nil)
	for n := 1; n <= 5; n++ {
		if err := d.Control().Set(Knob{Timesteps: n, Threshold: float32(n)}); err != nil {
			t.Fatal(err)
		}
		m, err := d.Score(t.Context(), noiseFrame(1, cells{}))
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(m.Timesteps, testOrder()[:n]) || m.Threshold != float32(n) {
			t.Errorf("timesteps %v, threshold %v after Set(%d)", m.Timesteps, m.Threshold, n)
		}
	}
}

func TestControlRefuses(t *testing.T) {
	d := testDetector(t, nil)
	before := d.Control().Get()
	for _, tt := range []struct {
		knob Knob
		want string
	}{
		{Knob{Timesteps: 6}, "timesteps: got 6, want 1..5"},
		{Knob{Timesteps: -1}, "timesteps: got -1, want 1..5"},
		{Knob{}, "timesteps: got auto without a latency budget"},
		{Knob{List: []int{7}}, "timesteps: 7 is not calibrated, want some of "},
		{Knob{List: []int{215, 215}}, "timesteps: 215 is named twice"},
		{Knob{Timesteps: 1, Threshold: float32(math.NaN())}, "threshold: got NaN, want a number"},
	} {
		if err := d.Control().Set(tt.knob); !errors.Is(err, ErrSetting) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("Set(%+v) = %v, want %q", tt.knob, err, tt.want)
		}
	}
	if after := d.Control().Get(); after.Timesteps != before.Timesteps || after.Threshold != before.Threshold {
		t.Errorf("a rejected knob changed the settings from %+v to %+v", before, after)
	}
}

func TestControlIsSafeForConcurrentUse(t *testing.T) {
	d := testDetector(t, nil)
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for range 50 {
				if err := d.Control().Set(Knob{Timesteps: 1 + i}); err != nil {
					t.Error(err)
				}
				d.Control().Get()
			}
		})
	}
	for i := range uint64(10) {
		if _, err := d.Score(t.Context(), noiseFrame(i, cells{})); err != nil {
			t.Error(err)
		}
	}
	wg.Wait()
}

func TestNewRefuses(t *testing.T) {
	cal := testCalibration(t)
	for _, tt := range []struct {
		name string
		edit func(*Config, *models.Manifest, *Calibration)
		want string
	}{
		{"timesteps", func(c *Config, _ *models.Manifest, _ *Calibration) { c.Timesteps = 6 }, "want 1..5"},
		{"size", func(c *Config, _ *models.Manifest, _ *Calibration) { c.Width = 100 }, "detector.width: got 100"},
		{"size for the bundle", func(c *Config, m *models.Manifest, _ *Calibration) {
			c.Width, c.Height, m.Encoder.Multiple = 128, 64, 14
		}, "want multiples of 14"},
		{"carry", func(c *Config, _ *models.Manifest, _ *Calibration) { c.Carry = time.Minute }, "detector.carry: got 1m0s, want 0 to 10s"},
		{"part", func(c *Config, _ *models.Manifest, _ *Calibration) { c.Part = "half" }, `detector.part: got "half"`},
		{"paper", func(c *Config, _ *models.Manifest, _ *Calibration) { c.Paper = true }, "run oodcast fit --paper"},
		{"order", func(_ *Config, m *models.Manifest, _ *Calibration) {
			m.Diffusion.Timesteps = []int{1}
		}, "timestep 1 is not calibrated"},
		{"aggregate", func(_ *Config, m *models.Manifest, _ *Calibration) { m.Diffusion.Aggregate = "x" }, "aggregate"},
		{"calibration", func(_ *Config, _ *models.Manifest, c *Calibration) { c.LSE.Std = 0 }, "calibration.lse"},
		{
			"calibrated without classes", func(_ *Config, _ *models.Manifest, c *Calibration) { c.LSE = Moments{} },
			"does not describe the segmenter's uncertainty",
		},
		{"part without classes", func(cfg *Config, m *models.Manifest, _ *Calibration) {
			cfg.Part, m.Encoder.Classes = PartLSE, nil
		}, "part lse needs classes"},
	} {
		cfg, m, c := DefaultConfig(), testManifest(), cal
		tt.edit(&cfg, &m, &c)
		if _, err := New(&meanEncoder{}, gaussScorer{}, m, c, "cpu", cfg); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: New() = %v, want %q", tt.name, err, tt.want)
		}
	}
}

func TestFitSize(t *testing.T) {
	spec := models.EncoderSpec{Size: models.Size{Width: 1024, Height: 512}}
	for _, tt := range []struct{ w, h, wantW, wantH int }{
		{2048, 1024, 1024, 512},
		{1024, 512, 1024, 512},
		{1280, 720, 960, 544},
		{480, 360, 480, 352},
		{768, 576, 768, 576},
		{1080, 1920, 544, 960},
		{10, 10, 64, 64},
	} {
		if w, h := FitSize(tt.w, tt.h, spec); w != tt.wantW || h != tt.wantH {
			t.Errorf("FitSize(%d, %d) = %d, %d, want %d, %d", tt.w, tt.h, w, h, tt.wantW, tt.wantH)
		}
	}
	spec.Enlarge = true // small frames grow to about as many pixels, in their own shape; large ones shrink as ever
	for _, tt := range []struct{ w, h, wantW, wantH int }{{360, 240, 896, 576}, {240, 360, 576, 896}, {2048, 1024, 1024, 512}} {
		if w, h := FitSize(tt.w, tt.h, spec); w != tt.wantW || h != tt.wantH {
			t.Errorf("enlarging: FitSize(%d, %d) = %d, %d, want %d, %d", tt.w, tt.h, w, h, tt.wantW, tt.wantH)
		}
	}
	spec.Fixed = true
	if w, h := FitSize(360, 640, spec); w != spec.Size.Width || h != spec.Size.Height {
		t.Errorf("fixed: FitSize(360, 640) = %d, %d, want %v", w, h, spec.Size)
	}
}
