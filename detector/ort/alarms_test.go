package ort_test

import (
	"context"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/detector/events"
	"github.com/oodcast/oodcast/detector/fit"
	"github.com/oodcast/oodcast/detector/ort"
	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/ingest/opencv"
	"github.com/oodcast/oodcast/ingest/source"
	"github.com/oodcast/oodcast/models"
)

// TestFalseAlarmsAsAskedFor calibrates on each half of real normal footage, asks for thresholds by false alarms an hour,
// and counts the events of the service's tracker in the other half, which nothing was calibrated on. There must not be
// more than Poisson's law allows for the rate, nor so few that the threshold means nothing. It takes some minutes:
// OODCAST_ALARMS=1 runs it.
func TestFalseAlarmsAsAskedFor(t *testing.T) {
	if os.Getenv("OODCAST_ALARMS") == "" {
		t.Skip("OODCAST_ALARMS=1 runs this: some minutes")
	}
	frames := thinned(t, demoClip(t), 1)
	cut, dir := len(frames)/2, t.TempDir()
	clips := [2]string{filepath.Join(dir, "a.avi"), filepath.Join(dir, "b.avi")}
	writeClip(t, clips[0], frames[:cut])
	writeClip(t, clips[1], frames[cut:])
	rates := []float64{90, 180, 360, 720, 1440} // one in 40 s is the least that half of the footage can tell
	for _, timesteps := range []int{1, 5} {
		counts, seconds := make([]int, len(rates)), 0.0
		for i := range clips {
			cal, maps := calibratedMaps(t, filepath.Join(dir, "bundle"+string(rune('a'+i))), clips[i], clips[1-i], timesteps)
			seconds += float64(len(maps)) / clipFPS
			for n, rate := range rates {
				threshold, resolved, err := cal.ThresholdFor(rate)
				if err != nil {
					t.Fatal(err)
				}
				starts := countEvents(maps, threshold)
				counts[n] += starts
				t.Logf("|T|=%d, half %d: %4.0f an hour (%.0f can be told): threshold %.2f, %d events", timesteps, 2-i, rate, resolved,
					threshold, starts)
			}
		}
		for n, rate := range rates {
			want := rate * seconds / 3600
			low, high := poissonInterval(counts[n])
			t.Logf("|T|=%d: asked for %4.0f an hour: expected %4.1f in %.0f s, counted %d (95 %%: %.1f to %.1f)", timesteps, rate,
				want, seconds, counts[n], low, high)
			if low > want {
				t.Errorf("|T|=%d: %v an hour asked for, %d events in %.0f s: at least %.1f expected", timesteps, rate, counts[n],
					seconds, low)
			}
			if want > 10 && high < want/4 {
				t.Errorf("|T|=%d: %v an hour asked for, only %d events in %.0f s", timesteps, rate, counts[n], seconds)
			}
		}
	}
}

const clipFPS = 10

func writeClip(t *testing.T, path string, frames []*ingest.Frame) {
	t.Helper()
	w, err := opencv.CreateVideo(path, clipFPS, frames[0].Width, frames[0].Height)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range frames {
		if err := w.Write(f.Pix); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

// calibratedMaps calibrates the default bundle on one clip, once, and returns its calibration and the maps of another clip.
func calibratedMaps(t *testing.T, bundle, normal, other string, timesteps int) (detector.Calibration, []*detector.Map) {
	t.Helper()
	if _, err := os.Stat(bundle); err != nil {
		calibrate(t, normal, bundle, func(c *fit.Config) { c.MaxCalibration = 1000 })
	}
	b, err := models.Open(bundle)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := b.ReadFile(models.CalibrationFile)
	if err != nil {
		t.Fatal(err)
	}
	cal, err := detector.ParseCalibration(raw)
	if err != nil {
		t.Fatal(err)
	}
	cfg := detector.DefaultConfig()
	cfg.Timesteps, cfg.DriftWindow = detector.Timesteps(timesteps), 0
	engine, err := ort.OpenEngine(b, cfg, ort.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer engine.Close()
	src := ingest.DefaultConfig()
	src.URI = other
	source, err := source.New(src, ingest.NewPool(2), source.Settings{MayWait: true})
	if err != nil {
		t.Fatal(err)
	}
	var maps []*detector.Map
	err = source.Run(t.Context(), func(ctx context.Context, f *ingest.Frame) error {
		m, err := engine.Detector.Score(ctx, f)
		maps = append(maps, m)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return cal, maps
}

// countEvents counts the events that a threshold makes of maps.
func countEvents(maps []*detector.Map, threshold float32) (starts int) {
	tracker := events.NewTracker(events.DefaultConfig())
	for i, m := range maps {
		m := *m
		m.Captured, m.Threshold = time.Unix(1000, 0).Add(time.Duration(i)*time.Second/clipFPS), threshold
		for _, e := range tracker.Update(&m) {
			if e.Type == events.Start {
				starts++
			}
		}
	}
	return starts
}

// poissonInterval returns the means for which a count is not among the 2.5 % lowest or highest (Garwood, 1936).
func poissonInterval(count int) (low, high float64) {
	atMost := func(n int, mean float64) (p float64) {
		term := math.Exp(-mean)
		for i := 0; i <= n; i++ {
			p += term
			term *= mean / float64(i+1)
		}
		return p
	}
	solve := func(rising func(mean float64) bool) float64 {
		a, b := 0., 10+4*float64(count)
		for range 60 {
			if mid := (a + b) / 2; rising(mid) {
				b = mid
			} else {
				a = mid
			}
		}
		return a
	}
	if count > 0 {
		low = solve(func(mean float64) bool { return 1-atMost(count-1, mean) > 0.025 })
	}
	return low, solve(func(mean float64) bool { return atMost(count, mean) < 0.025 })
}

func TestPoissonInterval(t *testing.T) { // Garwood's table
	for _, tt := range []struct {
		count     int
		low, high float64
	}{{0, 0, 3.689}, {1, 0.0253, 5.572}, {5, 1.623, 11.668}, {10, 4.795, 18.390}} {
		low, high := poissonInterval(tt.count)
		if math.Abs(low-tt.low) > 2e-3 || math.Abs(high-tt.high) > 2e-3 {
			t.Errorf("poissonInterval(%d) = %.4f, %.4f, want %.4f, %.4f", tt.count, low, high, tt.low, tt.high)
		}
	}
}
