package detector

import (
	"errors"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
)

// peaksCalibration calibrates on n frames whose peaks follow Gumbel's distribution, that of maxima.
func peaksCalibration(random *rand.Rand, n int) Calibration {
	values, peaks := make([]float32, 4096), make([]float32, n)
	for i := range values {
		values[i] = float32(random.NormFloat64())
	}
	for i := range peaks {
		peaks[i] = float32(gumbel(random))
	}
	return Calibration{Frames: n, Levels: []Level{NewLevel(5, values, peaks)}}
}

func gumbel(random *rand.Rand) float64 { return 4 - 0.4*math.Log(-math.Log(random.Float64())) }

// The rate that comes out is the one that was asked for: closely where there is footage, by the order of magnitude where
// there is none.
func TestThresholdForKeepsTheRate(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	for _, c := range []struct {
		frames   int
		perHour  float64
		factor   float64
		resolved bool
	}{{7200, 36, 1.5, true}, {7200, 3, 2, true}, {600, 60, 2, true}, {60, 1, 8, false}, {600, 1, 5, false}} {
		cal := peaksCalibration(random, c.frames)
		threshold, resolved, err := cal.ThresholdFor(c.perHour)
		if err != nil {
			t.Fatal(err)
		}
		if (c.perHour >= resolved) != c.resolved {
			t.Errorf("%d frames resolve %v an hour", c.frames, resolved)
		}
		a, b := cal.Levels[0].line()
		x := (float64(threshold) - b) / a
		rate := alarmsMost * (1 - math.Exp(-math.Exp(-(x-4)/0.4))) // exact, of the distribution
		if rate > c.perHour*c.factor || rate < c.perHour/c.factor {
			t.Errorf("%d frames, %v an hour: threshold %.2f gives %.2f an hour", c.frames, c.perHour, x, rate)
		}
	}
}

func TestThresholdForFallsWithTheRate(t *testing.T) {
	cal := peaksCalibration(rand.New(rand.NewPCG(7, 8)), 60)
	last := float32(math.Inf(1))
	for rate := 0.01; rate < 3600; rate *= 1.3 {
		threshold, _, err := cal.ThresholdFor(rate)
		if err != nil || threshold > last {
			t.Errorf("%v an hour: threshold %v after %v, %v", rate, threshold, last, err)
		}
		last = threshold
	}
}

func TestFalseAlarmsNote(t *testing.T) {
	cal := peaksCalibration(rand.New(rand.NewPCG(9, 10)), 60)
	_, note, err := Config{FalseAlarms: 1}.threshold(&cal)
	if err != nil || !strings.Contains(note, "60 frames") || !strings.Contains(note, "(59 an hour)") {
		t.Errorf("note %q, %v, want it to say what can be told", note, err)
	}
	if _, note, err := (Config{FalseAlarms: 120}).threshold(&cal); note != "" || err != nil {
		t.Errorf("note %q, %v, want none", note, err)
	}
	if _, _, err := (Config{FalseAlarms: 1}).threshold(&Calibration{}); !errors.Is(err, ErrSetting) {
		t.Errorf("without peaks: %v, want ErrSetting", err)
	}
	cfg := DefaultConfig()
	cfg.FalseAlarms, cfg.Threshold = 1, 4
	if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), "detector.false_alarms_per_hour") {
		t.Errorf("Validate() = %v, want it to refuse both", err)
	}
}
