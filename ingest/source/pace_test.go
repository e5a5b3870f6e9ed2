package source

import (
	"testing"
	"testing/synctest"
	"time"
)

// Whatever the times of a file are, no picture waits for longer than a short pause, and a picture that is due comes at once.
func TestPacerBoundsEveryWait(t *testing.T) {
	const step, day = 100 * time.Millisecond, 24 * time.Hour
	for name, tt := range map[string]struct {
		pts  []time.Duration
		step time.Duration
		want time.Duration // of the whole file
	}{
		"regular":         {[]time.Duration{0, step, 2 * step, 3 * step}, step, 3 * step},
		"late start":      {[]time.Duration{day, day + step, day + 2*step}, step, 2 * step},
		"jump ahead":      {[]time.Duration{0, step, 40 * time.Second, 40*time.Second + step}, step, 3 * step},
		"jumps":           {[]time.Duration{0, day, 2 * day, 3 * day}, step, 3 * step},
		"jump back":       {[]time.Duration{day, day + step, 0, step}, step, 2 * step},
		"repeated":        {[]time.Duration{0, 0, 0, step}, step, step},
		"a real pause":    {[]time.Duration{0, 1500 * time.Millisecond}, step, 1500 * time.Millisecond},
		"slow pictures":   {[]time.Duration{0, 10 * time.Second, 20 * time.Second}, 10 * time.Second, 20 * time.Second},
		"end of all time": {[]time.Duration{0, 1<<63 - 1, 1<<63 - 1}, step, step},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var p pacer
				start := time.Now()
				for _, pts := range tt.pts {
					p.wait(t.Context(), pts, tt.step)
				}
				if took := time.Since(start); took != tt.want {
					t.Errorf("played for %v, want %v", took, tt.want)
				}
			})
		})
	}
}
