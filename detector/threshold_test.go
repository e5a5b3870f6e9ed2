package detector

import (
	"errors"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// peaksCalibration calibrates on n frames whose peaks follow Gumbel's distribution, the distribution of maxima.
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

// The resulting rate is the requested one: within a factor of 2 where the footage resolves it, and in its order of
// magnitude where it does not.
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
			t.Errorf("%d frames resolve %v per hour", c.frames, resolved)
		}
		a, b := cal.Levels[0].line()
		x := (float64(threshold) - b) / a
		rate := secondsPerHour * (1 - math.Exp(-math.Exp(-(x-4)/0.4))) // exact, by the distribution
		if rate > c.perHour*c.factor || rate < c.perHour/c.factor {
			t.Errorf("%d frames, %v per hour: threshold %.2f gives %.2f per hour", c.frames, c.perHour, x, rate)
		}
	}
}

// The frames of this process, ten per second, keep their value for a while, so each exceedance is a run of frames. The
// number of runs above the threshold, not the number of frames, is the requested rate, even when the calibration knows
// only blocks of four frames out of twenty.
func TestThresholdForCountsRunsNotFrames(t *testing.T) {
	const fps, frames, keeps = 10, 200_000, 4 // keeps: mean number of frames for which a value holds
	random := rand.New(rand.NewPCG(15, 16))
	peaks, value := make([]float32, frames), 0.0
	for i := range peaks {
		if random.IntN(keeps) == 0 {
			value = gumbel(random)
		}
		peaks[i] = float32(value)
	}
	for _, only := range []int{1, 5} { // every block, or one in five
		var some, values []float32
		var at []time.Duration
		for i, p := range peaks {
			if i/4%only == 0 {
				some, at = append(some, p), append(at, time.Duration(i)*time.Second/fps)
			}
		}
		for range 4096 {
			values = append(values, float32(random.NormFloat64()))
		}
		episode := Episode(some, at)
		l := NewLevel(5, values, some)
		l.Episode = episode
		cal := Calibration{Frames: len(some), Seconds: Footage(at), Levels: []Level{l}}
		for _, perHour := range []float64{30, 120, 500} {
			threshold, _, err := cal.ThresholdFor(perHour)
			if err != nil {
				t.Fatal(err)
			}
			a, b := l.line()
			x := float32((float64(threshold) - b) / a)
			counted, quiet := 0, fps
			for _, p := range peaks { // count the runs that follow a quiet second
				if p <= x {
					quiet++
					continue
				}
				if quiet > fps {
					counted++
				}
				quiet = 0
			}
			hours := float64(frames) / fps / 3600
			got := float64(counted) / hours
			t.Logf("one block in %d, episodes of %.2f s: asked for %v per hour, counted %.0f", only, episode, perHour, got)
			if got > 1.6*perHour || got < perHour/1.6 {
				t.Errorf("one block in %d: asked for %v per hour, counted %.0f", only, perHour, got)
			}
		}
	}
}

func TestThresholdForFallsWithTheRate(t *testing.T) {
	cal := peaksCalibration(rand.New(rand.NewPCG(7, 8)), 60)
	last := float32(math.Inf(1))
	for rate := 0.01; rate < 3600; rate *= 1.3 {
		threshold, _, err := cal.ThresholdFor(rate)
		if err != nil || threshold > last {
			t.Errorf("%v per hour: threshold %v after %v, %v", rate, threshold, last, err)
		}
		last = threshold
	}
}

func TestFalseAlarmsNote(t *testing.T) {
	cal := peaksCalibration(rand.New(rand.NewPCG(9, 10)), 60)
	_, note, err := Config{FalseAlarms: 1}.threshold(&cal)
	if err != nil || !strings.Contains(note, "60 s of footage") || !strings.Contains(note, "below 59 per hour") {
		t.Errorf("note %q, %v, want the footage and the lowest rate that it resolves", note, err)
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
		t.Errorf("Validate() = %v, want an error about setting both", err)
	}
}
