package source_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/ingest/ingesttest"
	"github.com/oodcast/oodcast/ingest/source"
	"github.com/oodcast/oodcast/pipeline/queue"
)

func streamConfig(uri string) ingest.Config {
	cfg := config(uri)
	cfg.OpenTimeout, cfg.ReadTimeout = 4*time.Second, time.Second
	return cfg
}

func TestRTSP(t *testing.T) {
	server := ingesttest.StartRTSP(t, ingesttest.RTSPConfig{User: "admin", Password: "hunter2"})
	pool := ingest.NewPool(3)
	src, err := source.New(streamConfig(server.URL()), pool, source.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	n := 0
	err = src.Run(ctx, func(_ context.Context, f *ingest.Frame) error {
		defer f.Release()
		if f.Width != 320 || f.Height != 240 || f.Seq != uint64(n) {
			t.Errorf("frame %d: seq %d, %dx%d", n, f.Seq, f.Width, f.Height)
		}
		if age := f.Captured.Sub(ingesttest.ReadClock(f)); n > 5 && (age < 0 || age > 500*time.Millisecond) {
			t.Errorf("frame %d is %v old", n, age)
		}
		if n++; n == 20 {
			stop()
		}
		return nil
	})
	if err != nil || n != 20 || pool.InFlight() != 0 {
		t.Errorf("Run() = %v after %d frames, %d in flight", err, n, pool.InFlight())
	}
	checkMats(t)
}

// GStreamer does not wait until the next picture begins; see package ffmpeg.
func TestGStreamer(t *testing.T) {
	server := ingesttest.StartRTSP(t, ingesttest.RTSPConfig{Codec: "H264"})
	got, _, err := collect(t, streamConfig("gst:rtspsrc location="+server.URL()+" protocols=tcp latency=0 ! rtph264depay ! "+
		"avdec_h264 max-threads=1 ! videoconvert ! appsink max-buffers=1 drop=true sync=false"), 10)
	if err != nil || len(got) != 10 || got[0].w != 320 || got[0].h != 240 {
		t.Errorf("%d pictures, %v: \"make deps-test\" installs GStreamer's plugins", len(got), err)
	}
}

func TestRTSPWrongPasswordIsNotShown(t *testing.T) {
	server := ingesttest.StartRTSP(t, ingesttest.RTSPConfig{User: "admin", Password: "hunter2"})
	_, _, err := collect(t, streamConfig(strings.Replace(server.URL(), "hunter2", "swordfish", 1)), 0)
	if !errors.Is(err, ingest.ErrConnect) || strings.Contains(err.Error(), "swordfish") ||
		!strings.Contains(err.Error(), "401") {
		t.Errorf("error %v, want ErrConnect with the reason and without the password", err)
	}
}

func TestMJPEG(t *testing.T) {
	got, _, err := collect(t, streamConfig(ingesttest.StartMJPEG(t, ingesttest.MJPEGConfig{FPS: 20})), 10)
	if err != nil || len(got) != 10 || got[0].w != 320 {
		t.Fatalf("%d frames, %v", len(got), err)
	}
}

func TestMJPEGBreaksOff(t *testing.T) {
	got, _, err := collect(t, streamConfig(ingesttest.StartMJPEG(t, ingesttest.MJPEGConfig{FPS: 20, Frames: 10})), 0)
	if !errors.Is(err, ingest.ErrDisconnected) || len(got) == 0 {
		t.Errorf("Run() = %v after %d frames, want ErrDisconnected", err, len(got))
	}
}

func TestMJPEGStalls(t *testing.T) {
	start := time.Now()
	got, _, err := collect(t, streamConfig(ingesttest.StartMJPEG(t, ingesttest.MJPEGConfig{FPS: 20, StallAfter: 10})), 0)
	if !errors.Is(err, ingest.ErrDisconnected) && !errors.Is(err, ingest.ErrTimeout) || len(got) == 0 {
		t.Errorf("Run() = %v after %d frames, want ErrDisconnected or ErrTimeout", err, len(got))
	}
	if took := time.Since(start); took > 30*time.Second {
		t.Errorf("noticed after %v, with a read timeout of 1s", took)
	}
}

// For every fault of the server, Run returns an error in bounded time and leaves nothing behind.
func TestStreamFaults(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		fault  func(*ingesttest.RTSPServer)
		within time.Duration
	}{
		{"die", (*ingesttest.RTSPServer).Die, time.Second},
		{"half close", (*ingesttest.RTSPServer).HalfClose, 2 * time.Second},
		{"stall", func(s *ingesttest.RTSPServer) { s.SetFault(ingesttest.Stall) }, 3 * time.Second},
		{"noise", func(s *ingesttest.RTSPServer) { s.SetFault(ingesttest.Noise) }, 4 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			server := ingesttest.StartRTSP(t, ingesttest.RTSPConfig{})
			pool := ingest.NewPool(3)
			src, err := source.New(streamConfig(server.URL()), pool, source.Settings{})
			if err != nil {
				t.Fatal(err)
			}
			n := 0
			var failed time.Time
			err = src.Run(t.Context(), func(_ context.Context, f *ingest.Frame) error {
				f.Release()
				if n++; n == 5 {
					failed = time.Now()
					tt.fault(server)
				}
				return nil
			})
			took := time.Since(failed)
			if !errors.Is(err, ingest.ErrDisconnected) && !errors.Is(err, ingest.ErrTimeout) {
				t.Errorf("Run() = %v, want ErrDisconnected or ErrTimeout", err)
			}
			if took > tt.within {
				t.Errorf("Run noticed after %v, want within %v", took, tt.within)
			}
			if pool.InFlight() != 0 {
				t.Errorf("%d frames in flight", pool.InFlight())
			}
			t.Logf("%v after %v, %+v", err, took.Round(time.Millisecond), src.(ingest.Counter).Stats())
		})
	}
}

// The server accepts connections and never answers: FFmpeg's time-out or the watchdog, whichever is first, ends the open.
func TestOpenTimeout(t *testing.T) {
	t.Parallel()
	server := ingesttest.StartRTSP(t, ingesttest.RTSPConfig{})
	server.SetFault(ingesttest.Mute)
	for _, tt := range []struct {
		name       string
		open, read time.Duration
		is         error
	}{
		{"ffmpeg", 10 * time.Second, time.Second, ingest.ErrConnect},
		{"watchdog", 300 * time.Millisecond, 3 * time.Second, ingest.ErrTimeout},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := streamConfig(server.URL())
			cfg.OpenTimeout, cfg.ReadTimeout = tt.open, tt.read
			src, err := source.New(cfg, ingest.NewPool(2), source.Settings{})
			if err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			err = src.Run(t.Context(), func(_ context.Context, f *ingest.Frame) error { f.Release(); return nil })
			if took := time.Since(start); !errors.Is(err, tt.is) || took > 4*time.Second {
				t.Errorf("Run() = %v after %v, want %v", err, took, tt.is)
			}
			waitFor(t, 60*time.Second, "the abandoned capture to end", func() bool {
				return src.(ingest.Counter).Stats().Hanging == 0
			})
		})
	}
}

func TestStopDuringStall(t *testing.T) {
	t.Parallel()
	server := ingesttest.StartRTSP(t, ingesttest.RTSPConfig{})
	cfg := streamConfig(server.URL())
	cfg.ReadTimeout = 5 * time.Second
	src, err := source.New(cfg, ingest.NewPool(2), source.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var stopped time.Time
	n := 0
	err = src.Run(ctx, func(_ context.Context, f *ingest.Frame) error {
		f.Release()
		if n++; n == 3 {
			server.SetFault(ingesttest.Stall)
			time.AfterFunc(300*time.Millisecond, func() { stopped = time.Now(); stop() })
		}
		return nil
	})
	if took := time.Since(stopped); err != nil || took > 30*time.Second {
		t.Errorf("Run() = %v, %v after the stop", err, took)
	}
	server.Die() // so that an abandoned capture ends
	waitFor(t, 60*time.Second, "the abandoned capture to end", func() bool {
		return src.(ingest.Counter).Stats().Hanging == 0
	})
}

func TestResolutionChangesMidStream(t *testing.T) {
	t.Parallel()
	size := func(w int) (int, int) { return w, w * 3 / 4 }
	for _, widths := range [][2]int{{320, 480}, {480, 320}} {
		t.Run(fmt.Sprintf("RTSP VP8 %d to %d", widths[0], widths[1]), func(t *testing.T) {
			w, h := size(widths[0])
			server := ingesttest.StartRTSP(t, ingesttest.RTSPConfig{Width: w, Height: h})
			followSize(t, server.URL(), widths, func() { server.Resize(size(widths[1])) })
		})
		t.Run(fmt.Sprintf("MJPEG %d to %d", widths[0], widths[1]), func(t *testing.T) {
			var second atomic.Bool
			uri := ingesttest.StartMJPEG(t, ingesttest.MJPEGConfig{FPS: 20, Size: func(int) (w, h int) {
				if second.Load() {
					return size(widths[1])
				}
				return size(widths[0])
			}})
			followSize(t, uri, widths, func() { second.Store(true) })
		})
		t.Run(fmt.Sprintf("H.264 %d to %d", widths[0], widths[1]), func(t *testing.T) {
			uri, change := serveH264(t, widths)
			followSize(t, uri, widths, change)
		})
	}
}

// followSize reads a stream that changes its width when change is called, and checks that pictures come in the old width and
// then in the new one, over one connection.
func followSize(t *testing.T, uri string, widths [2]int, change func()) {
	t.Helper()
	src, err := source.New(streamConfig(uri), ingest.NewPool(3), source.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(t.Context(), 60*time.Second)
	defer stop()
	var seen []int
	n := 0
	err = src.Run(ctx, func(_ context.Context, f *ingest.Frame) error {
		defer f.Release()
		n++
		if n == 10 {
			change()
		}
		if len(seen) == 0 || seen[len(seen)-1] != f.Width {
			seen = append(seen, f.Width)
		}
		if len(seen) == 2 && n > 20 {
			stop()
		}
		return nil
	})
	if err != nil || !slices.Equal(seen, widths[:]) {
		t.Errorf("Run() = %v, widths %v, want %v", err, seen, widths)
	}
	if opens := src.(ingest.Counter).Stats().Opens; opens != 1 {
		t.Errorf("opened %d times, want 1: sizes may change within the stream", opens)
	}
}

// serveH264 serves a raw H.264 stream whose pictures change their width when change is called.
func serveH264(t *testing.T, widths [2]int) (uri string, change func()) {
	t.Helper()
	parts := h264Parts(t, widths)
	var second atomic.Bool
	srv := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for r.Context().Err() == nil {
			part := parts[0]
			if second.Load() {
				part = parts[1]
			}
			for chunk := range slices.Chunk(part, len(part)/10+1) {
				<-tick.C
				if _, err := rw.Write(chunk); err != nil || http.NewResponseController(rw).Flush() != nil {
					return
				}
			}
		}
	}))
	t.Cleanup(func() { srv.CloseClientConnections(); srv.Close() })
	return srv.URL + "/live.h264", func() { second.Store(true) }
}

// h264Parts returns two raw H.264 streams of 20 pictures in the given widths.
func h264Parts(t *testing.T, widths [2]int) (parts [2][]byte) {
	t.Helper()
	for i, w := range widths {
		cmd := exec.CommandContext(t.Context(), "ffmpeg", "-v", "error", "-f", "lavfi", "-i",
			fmt.Sprintf("testsrc=size=%dx%d:rate=20", w, w*3/4), "-frames:v", "20", "-c:v", "libx264", "-preset", "ultrafast",
			"-tune", "zerolatency", "-g", "10", "-f", "h264", "-")
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("ffmpeg: %v: \"make deps\" installs it", err)
		}
		parts[i] = out
	}
	return parts
}

// The lag experiment: a consumer that is five times slower than the camera sees frames of constant age.
func TestSlowConsumerSeesFreshFrames(t *testing.T) {
	t.Parallel()
	server := ingesttest.StartRTSP(t, ingesttest.RTSPConfig{FPS: 10})
	pool := ingest.NewPool(4)
	src, err := source.New(streamConfig(server.URL()), pool, source.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	slot := queue.New(1, queue.DropOldest, (*ingest.Frame).Release)
	defer slot.Drain()
	var run sync.WaitGroup
	run.Go(func() {
		if err := src.Run(ctx, slot.Put); err != nil {
			t.Errorf("Run() = %v", err)
		}
	})
	const work = 500 * time.Millisecond
	var ages []time.Duration
	for range 12 {
		f, err := slot.Get(ctx)
		if err != nil {
			t.Fatal(err)
		}
		ages = append(ages, time.Since(ingesttest.ReadClock(f)))
		busy := time.NewTimer(work) // stands for the work of a slow consumer
		<-busy.C
		f.Release()
	}
	stop()
	run.Wait()
	slot.Drain()
	t.Logf("ages %v, replaced %d", ages, slot.Dropped())
	// A serial reader would be 400 ms later with every frame: 2.4 s in the middle, 4.8 s at the end. The log shows the ages on
	// a quiet machine.
	slices.Sort(ages)
	if median, last := ages[len(ages)/2], ages[len(ages)-1]; median > 1200*time.Millisecond || last > 4*time.Second {
		t.Errorf("median age %v, oldest %v, want at most 1.2s and 4s", median, last)
	}
	if slot.Dropped() < 30 || pool.InFlight() != 0 {
		t.Errorf("%d replaced, %d in flight", slot.Dropped(), pool.InFlight())
	}
}

// A picture is delivered when it has come and does not wait for the next one: when the camera stops sending, all pictures that
// it sent arrive. libavformat holds one H.264 or H.265 picture back; see package ffmpeg.
func TestNothingIsHeldBack(t *testing.T) {
	t.Parallel()
	for codec, held := range map[string]int{"VP8": 0, "H264": 1, "H265": 1} {
		t.Run(codec, func(t *testing.T) {
			t.Parallel()
			server := ingesttest.StartRTSP(t, ingesttest.RTSPConfig{Codec: codec, FPS: 20})
			cfg := streamConfig(server.URL())
			cfg.OpenTimeout, cfg.ReadTimeout = time.Minute, time.Minute
			src, err := source.New(cfg, ingest.NewPool(4), source.Settings{})
			if err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithCancel(t.Context())
			var got atomic.Int64
			var run sync.WaitGroup
			run.Go(func() {
				err := src.Run(ctx, func(_ context.Context, f *ingest.Frame) error {
					f.Release()
					got.Add(1)
					return nil
				})
				if err != nil {
					t.Errorf("Run() = %v", err)
				}
			})
			defer run.Wait()
			defer stop()
			waitFor(t, 30*time.Second, "ten pictures", func() bool { return got.Load() >= 10 })
			server.SetFault(ingesttest.Stall)
			waitFor(t, 30*time.Second, "the pictures that were sent", func() bool { return int(got.Load()) >= server.Sent()-held })
		})
	}
}

// waitFor polls until ok, for events in C code, which cannot be awaited.
func waitFor(t *testing.T, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(limit); !ok(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("waited %v for %s", limit, what)
		}
	}
}
