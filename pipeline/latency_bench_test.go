package pipeline

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/ingest/ingesttest"
)

// BenchmarkLatency measures, on the real clock and with the real engine, the way from the clock in the pixels of an RTSP
// camera to the finished map, where scoring takes five times the camera's interval. It reports the p95 of the age and what it
// should stay below: 1.5 intervals and the scoring, and one interval more where libavformat hands H.264 out late.
// TestLatencyStaysFlat asserts the same on a simulated clock.
func BenchmarkLatency(b *testing.B) {
	for _, c := range []struct {
		name, codec, uri string
		late             time.Duration // intervals that a picture is known to come late
	}{
		{"codec=VP8", "VP8", "%s", 0},
		{"codec=H264", "H264", "%s", 1},
		{"codec=H264/reader=gstreamer", "H264", "gst:rtspsrc location=%s protocols=tcp latency=0 ! rtph264depay ! " +
			"avdec_h264 max-threads=1 ! videoconvert ! appsink max-buffers=1 drop=true sync=false", 0},
	} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				measureLatency(b, c.codec, c.uri, c.late)
			}
		})
	}
}

// slowCamera is scored at a size at which that takes long.
func slowCamera(uri string) CameraConfig {
	cam := testCamera("clock")
	cam.Source.URI = uri
	cam.Detector.Timesteps, cam.Detector.Width, cam.Detector.Height = 25, 1536, 1152
	return cam
}

func measureLatency(b *testing.B, codec, uri string, late time.Duration) {
	const slowdown, frames = 5, 24
	interval := scoringTime(b) / slowdown
	server := ingesttest.StartRTSP(b, ingesttest.RTSPConfig{FPS: 1 / interval.Seconds(), Codec: codec})
	clocks := &clockReader{seen: map[uint64]time.Time{}}
	seen := &recorder{}
	p, err := New(Config{Batch: DefaultBatch(), Cameras: []CameraConfig{slowCamera(fmt.Sprintf(uri, server.URL()))}}, Outlets{seen},
		WithLogger(slog.New(slog.DiscardHandler)), WithMaxMaps(frames), WithExitOnEnd(),
		WithSources(func(cfg ingest.Config, pool *ingest.Pool, mayWait bool) (_ ingest.Source, err error) {
			clocks.source, err = openSource(slog.New(slog.DiscardHandler), nil)(cfg, pool, mayWait)
			return clocks, err
		}))
	if err != nil {
		b.Fatal(err)
	}
	if err := p.Run(b.Context()); err != nil {
		b.Fatal(err)
	}
	if err := p.Close(); err != nil {
		b.Fatal(err)
	}
	var ages, work []time.Duration
	for _, m := range seen.of("clock")[2:] { // the first frame of a stream is its backlog
		ages = append(ages, m.Captured.Add(m.Latency.Total).Sub(clocks.of(m.FrameSeq)))
		work = append(work, m.Latency.Encode+m.Latency.Score)
	}
	b.ReportMetric(float64(percentile(ages, 0.95).Milliseconds()), "ms-p95")
	b.ReportMetric(float64((late*interval + interval*3/2 + percentile(work, 0.95)).Milliseconds()), "ms-bar")
	b.ReportMetric(float64(interval.Milliseconds()), "ms-interval")
}

// scoringTime measures how long a frame takes here and now.
func scoringTime(b *testing.B) time.Duration {
	b.Helper()
	p, err := New(Config{Batch: DefaultBatch(), Cameras: []CameraConfig{slowCamera("camera:0")}}, nil)
	if err != nil {
		b.Fatal(err)
	}
	defer p.Close()
	var took []time.Duration
	for range 4 {
		m, err := p.cameras()[0].detector().Score(b.Context(), ingest.NewFrame(320, 240))
		if err != nil {
			b.Fatal(err)
		}
		took = append(took, m.Latency.Encode+m.Latency.Score)
	}
	return percentile(took[1:], 0.5) // the first one warms up
}

// clockReader reads the clock in the pixels of every frame on its way.
type clockReader struct {
	source ingest.Source
	mu     sync.Mutex
	seen   map[uint64]time.Time
}

func (r *clockReader) Run(ctx context.Context, sink ingest.Sink) error {
	return r.source.Run(ctx, func(ctx context.Context, f *ingest.Frame) error {
		r.mu.Lock()
		r.seen[f.Seq] = ingesttest.ReadClock(f)
		r.mu.Unlock()
		return sink(ctx, f)
	})
}

func (r *clockReader) of(seq uint64) time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.seen[seq]
}
