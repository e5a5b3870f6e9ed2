package preview_test

import (
	"context"
	"log/slog"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/ingest/ingesttest"
	"github.com/oodcast/oodcast/publish/preview"
	"github.com/oodcast/oodcast/publish/schema"
	"github.com/oodcast/oodcast/publish/vp8/vp8test"
)

// cpu is the processor time that this process has taken. The camera's encoder is another one.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkViewers measures what viewers of one camera of 1280x720 at 25 frames per second cost, without detection, and how old its
// pictures are when they have reached a viewer: without viewers, with four who get VP8, and with four who get its H.264. The
// viewers are part of the process and decode nothing meanwhile.
func BenchmarkViewers(b *testing.B) {
	const w, h, viewers = 1280, 720, 4
	cam := newCamera("front")
	cfg := testConfig()
	cfg.MaxFPS = 25
	s, err := preview.New(cfg, []schema.Camera{cam}, preview.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	b.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			b.Error(err)
		}
	})
	<-s.Ready()
	tap := connect(b, s, cam, ingesttest.StartRTSP(b, ingesttest.RTSPConfig{
		Width: w, Height: h, FPS: 25, Codec: "H264", KeyInterval: 25,
		Picture: ingesttest.Clip(b, "/usr/share/doc/opencv-doc/examples/data/vtest.avi", w, h, 50),
	}))
	for _, c := range []struct {
		name, path string
		viewers    int
	}{{"codec=none", "", 0}, {"codec=VP8", "front?overlay=1", viewers}, {"codec=H264", "front", viewers}} {
		b.Run(c.name, func(b *testing.B) {
			var all []*taker
			for range c.viewers {
				p := play(b, s, c.path, takeBase, takeVP8)
				p.later.Store(true)
				all = append(all, p)
			}
			for _, p := range all {
				eventually(b, "pictures", func() bool { return p.pictures() > 10 })
			}
			var used, took time.Duration
			var read uint64
			for b.Loop() {
				const length = 10 * time.Second
				before, begin, first := cpu(b), time.Now(), tap.source.Stats().Read
				timer := time.NewTimer(length) // what is measured is a span of time
				<-timer.C
				used, took = used+cpu(b)-before, took+time.Since(begin)
				read += tap.source.Stats().Read - first
			}
			b.ReportMetric(used.Seconds()*1000/float64(read), "cpu-ms/picture")
			b.ReportMetric(float64(used.Milliseconds())/took.Seconds(), "cpu-ms/s")
			if len(all) == 0 {
				return
			}
			ages := all[0].ages(b, w, h)
			b.ReportMetric(float64(ages[len(ages)/2].Milliseconds()), "ms-p50")
			b.ReportMetric(float64(ages[len(ages)*95/100].Milliseconds()), "ms-p95")
			b.ReportMetric(float64(len(ages)), "pictures")
			for _, p := range all {
				_ = p.pc.GracefulClose()
			}
			eventually(b, "the viewers to be gone", func() bool { return s.Viewers("front") == 0 })
		})
	}
}

// ages returns how old the pictures of a camera of w x h were when they had reached a player, in ascending order.
func (p *taker) ages(b *testing.B, w, h int) []time.Duration {
	b.Helper()
	p.mu.Lock()
	times, frames, arrived := slices.Clone(p.mu.times), slices.Clone(p.mu.frames), slices.Clone(p.mu.arrived)
	p.mu.Unlock()
	var shown []*ingest.Frame
	if len(frames) == 0 {
		shown = p.decodeH264(b, w, h)
	} else {
		times, shown = decodeVP8(b, frames, arrived, w, h)
	}
	var ages []time.Duration
	for i, f := range shown[10:] {
		ages = append(ages, times[10+i].Sub(ingesttest.ReadClock(f)))
	}
	slices.Sort(ages)
	return ages
}

// decodeVP8 decodes pictures, from the first key frame on, and scales them to w x h.
func decodeVP8(b *testing.B, frames [][]byte, arrived []time.Time, w, h int) (times []time.Time, shown []*ingest.Frame) {
	b.Helper()
	dec, err := vp8test.NewDecoder()
	if err != nil {
		b.Fatal(err)
	}
	defer dec.Close()
	for i, data := range frames {
		if len(data) == 0 || len(shown) == 0 && data[0]&1 != 0 {
			continue
		}
		pic, err := dec.Decode(data)
		if err != nil {
			b.Fatal(err)
		}
		f := ingest.NewFrame(w, h)
		for j := range w * ingesttest.ClockHeight { // the brightness of the clock
			f.Pix[3*j+1] = pic.I420[j/w*pic.Height/h*pic.Width+j%w*pic.Width/w]
		}
		times, shown = append(times, arrived[i]), append(shown, f)
	}
	return times, shown
}
