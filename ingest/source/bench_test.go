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

// One operation is one frame from the film to the sink: decoded, converted to RGB, scaled if asked for. A raw film needs no
// decoder, so that the conversion takes most of its time. yuv420p10le is a format that FFmpeg cannot write straight into the
// frame.
func BenchmarkSource(b *testing.B) {
	raw, raw10 := rawFilm(b, "yuv420p"), rawFilm(b, "yuv420p10le")
	for _, bench := range []struct {
		name, uri     string
		width, height int
	}{
		{"film=vtest/size=768x576", vtest, 0, 0},
		{"film=vtest/size=512x384", vtest, 512, 384},
		{"film=raw/size=1280x720", raw, 0, 0},
		{"film=raw/size=640x360", raw, 640, 360},
		{"film=raw10/size=1280x720", raw10, 0, 0},
	} {
		b.Run(bench.name, func(b *testing.B) {
			cfg := config(bench.uri)
			cfg.Loop, cfg.Width, cfg.Height = true, bench.width, bench.height
			benchmarkSource(b, cfg)
		})
	}
}

// rawFilm writes 100 uncompressed pictures of 1280x720 in the given pixel format.
func rawFilm(b *testing.B, format string) string {
	path := filepath.Join(b.TempDir(), "raw.nut")
	cmd := exec.CommandContext(b.Context(), "ffmpeg", "-nostdin", "-v", "error", "-i", vtest, "-frames:v", "100", "-vf", "scale=1280:720",
		"-pix_fmt", format, "-c:v", "rawvideo", path)
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("ffmpeg: %v: %s", err, out)
	}
	return path
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
