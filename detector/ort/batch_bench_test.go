package ort

import (
	"fmt"
	"testing"
	"time"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/models"
)

// BenchmarkBatch scores frames together and the same frames one after the other, alternately, so that a busy machine slows
// both down. It reports the ratio of the frame rates and the processor time per frame.
func BenchmarkBatch(b *testing.B) {
	bundle, err := models.Open(models.Embedded)
	if err != nil {
		b.Fatal(err)
	}
	for _, size := range []models.Size{{Width: 256, Height: 128}, {Width: 1024, Height: 512}} {
		for _, timesteps := range []int{1, 5} {
			for _, frames := range []int{4, 16} {
				name := fmt.Sprintf("size=%dx%d/timesteps=%d/frames=%d", size.Width, size.Height, timesteps, frames)
				cfg := detector.DefaultConfig()
				cfg.Timesteps, cfg.Width, cfg.Height = detector.Timesteps(timesteps), size.Width, size.Height
				b.Run(name, func(b *testing.B) { compareBatch(b, bundle, cfg, frames) })
			}
		}
	}
}

// spent is the time that scoring took.
type spent struct{ wall, cpu time.Duration }

func compareBatch(b *testing.B, bundle *models.Bundle, cfg detector.Config, frames int) {
	e, err := OpenEngine(bundle, cfg, Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = e.Close() }()
	jobs := make([]detector.Job, frames)
	for i := range jobs {
		d, err := e.NewDetector(cfg)
		if err != nil {
			b.Fatal(err)
		}
		jobs[i] = detector.Job{Detector: d, Frame: ingest.NewFrame(cfg.Width, cfg.Height)}
	}
	score := func(sum *spent, each int) {
		begin, before := time.Now(), cpuTime(b)
		for i := 0; i < frames; i += each {
			for _, j := range jobs[i : i+each] {
				j.Frame.Retain()
			}
			detector.ScoreAll(b.Context(), jobs[i:i+each], func(_ int, _ *detector.Map, err error) {
				if err != nil {
					b.Error(err)
				}
			})
		}
		sum.wall, sum.cpu = sum.wall+time.Since(begin), sum.cpu+cpuTime(b)-before
	}
	var first, alone, together spent
	score(&first, 1)
	score(&first, frames)
	for b.Loop() {
		score(&alone, 1)
		score(&together, frames)
	}
	perFrame := func(d time.Duration) float64 { return d.Seconds() * 1e3 / float64(b.N*frames) }
	b.ReportMetric(alone.wall.Seconds()/together.wall.Seconds(), "times-alone")
	b.ReportMetric(perFrame(together.cpu), "cpu-ms/frame")
	b.ReportMetric(perFrame(alone.cpu), "cpu-ms/frame-alone")
}
