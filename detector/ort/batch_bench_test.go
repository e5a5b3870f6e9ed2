package ort

import (
	"fmt"
	"testing"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/models"
)

// BenchmarkBatch measures what scoring the frames of several cameras at once could bring: the processor time for each
// pixel of one small frame against that of a frame with as many pixels as 4 and 16 of them, through the default bundle.
func BenchmarkBatch(b *testing.B) {
	bundle, err := models.Open(models.Default)
	if err != nil {
		b.Fatal(err)
	}
	for _, timesteps := range []int{1, 5} {
		for _, frames := range []int{1, 4, 16} {
			side := map[int]int{1: 1, 4: 2, 16: 4}[frames]
			cfg := detector.DefaultConfig()
			cfg.Timesteps, cfg.Width, cfg.Height = detector.Timesteps(timesteps), 256*side, 128*side
			b.Run(fmt.Sprintf("frames=%d/timesteps=%d", frames, timesteps), func(b *testing.B) {
				e, err := OpenEngine(bundle, cfg, Options{})
				if err != nil {
					b.Fatal(err)
				}
				defer func() { _ = e.Close() }()
				f := ingest.NewFrame(cfg.Width, cfg.Height)
				before := cpuTime(b)
				for b.Loop() {
					if _, err := e.Detector.Score(b.Context(), f.Retain()); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric((cpuTime(b)-before).Seconds()*1e3/float64(b.N*frames), "cpu-ms/frame")
			})
		}
	}
}
