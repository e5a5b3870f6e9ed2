package source_test

import (
	"context"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/ingest/source"
)

// One operation is one frame from the film to the sink: decoded, converted to RGB, scaled if asked for. The raw film needs
// no decoder, so that the conversion counts for most of it.
func BenchmarkSource(b *testing.B) {
	raw := filepath.Join(b.TempDir(), "raw.nut")
	cmd := exec.CommandContext(b.Context(), "ffmpeg", "-nostdin", "-v", "error", "-i", vtest, "-frames:v", "100", "-vf", "scale=1280:720",
		"-pix_fmt", "yuv420p", "-c:v", "rawvideo", raw)
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("ffmpeg: %v: %s", err, out)
	}
	for _, bench := range []struct {
		name, uri     string
		width, height int
	}{
		{"film=vtest/size=768x576", vtest, 0, 0},
		{"film=vtest/size=512x384", vtest, 512, 384},
		{"film=raw/size=1280x720", raw, 0, 0},
		{"film=raw/size=640x360", raw, 640, 360},
	} {
		b.Run(bench.name, func(b *testing.B) {
			cfg := config(bench.uri)
			cfg.Loop, cfg.Width, cfg.Height = true, bench.width, bench.height
			benchmarkSource(b, cfg)
		})
	}
}

func benchmarkSource(b *testing.B, cfg ingest.Config) {
	src, err := source.New(cfg, ingest.NewPool(3), source.Settings{MayWait: true})
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(b.Context())
	defer stop()
	b.ReportAllocs()
	const warmUp = 10 // frames until the film is open and the pool has its memory
	n := -warmUp
	var start time.Time
	err = src.Run(ctx, func(_ context.Context, f *ingest.Frame) error {
		f.Release()
		switch n++; n {
		case 0:
			b.ResetTimer()
			start = time.Now()
		case b.N:
			b.ReportMetric(float64(time.Since(start).Nanoseconds())/float64(b.N), "ns/frame")
			b.StopTimer()
			stop()
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
}
