package source_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/ingest/ingesttest"
	"github.com/oodcast/oodcast/ingest/source"
)

// A camera freezes while the connection stays open. The picture that FFmpeg holds back until the next one begins must not come
// out when the time is up: it is old by then, and perhaps cut short.
func TestFrozenCameraPublishesNothingOld(t *testing.T) {
	t.Parallel()
	for _, codec := range []string{"VP8", "H264", "H265"} {
		t.Run(codec, func(t *testing.T) {
			t.Parallel()
			server := ingesttest.StartRTSP(t, ingesttest.RTSPConfig{Codec: codec, FPS: 20})
			freezes(t, server.URL(), "", func() { server.SetFault(ingesttest.Stall) })
		})
	}
	ts := clip(t, "mpegts", "libx264")
	for name, options := range map[string]string{"MPEG-TS": "", "MPEG-TS without FFmpeg's time-out": "analyzeduration;500000|fpsprobesize;0"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			freezes(t, serveThenHang(t, "video/mp2t", ts)+"/live.ts", options, func() {})
		})
	}
}

// freezes reads the stream, calls freeze after five pictures, and checks how the freeze is noticed.
func freezes(t *testing.T, uri, options string, freeze func()) {
	t.Helper()
	const limit = 4 * time.Second
	cfg := config(uri)
	cfg.OpenTimeout, cfg.ReadTimeout, cfg.FFmpegOptions = 30*time.Second, limit, options
	src, err := source.New(cfg, ingest.NewPool(3), source.Settings{MayWait: true})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	var last time.Time
	err = src.Run(t.Context(), func(_ context.Context, f *ingest.Frame) error {
		defer f.Release()
		if gap := f.Captured.Sub(last); n > 0 && gap > limit/2 {
			t.Errorf("picture %d came %v after the one before it", n, gap)
		}
		last = f.Captured
		if n++; n == 5 {
			freeze()
		}
		return nil
	})
	took := time.Since(last)
	if !errors.Is(err, ingest.ErrDisconnected) || n < 5 {
		t.Errorf("Run() = %v after %d pictures, want ErrDisconnected", err, n)
	}
	if took > 7*limit/4 {
		t.Errorf("noticed %v after the last picture, want about %v", took, limit)
	}
}

// clip returns two seconds of video at 10 pictures per second.
func clip(t *testing.T, format, codec string, args ...string) []byte {
	t.Helper()
	args = append([]string{
		"-v", "error", "-f", "lavfi", "-i", "testsrc=size=160x120:rate=10", "-frames:v", "20", "-pix_fmt", "yuv420p", "-c:v", codec,
		"-g", "5",
	}, args...)
	out, err := exec.CommandContext(t.Context(), "ffmpeg", append(args, "-f", format, "-")...).Output()
	if err != nil {
		t.Fatalf("ffmpeg: %v: \"make deps\" installs it", err)
	}
	return out
}

// serveThenHang serves body without saying how long it is, and leaves the connection open.
func serveThenHang(t *testing.T, contentType string, body []byte) string {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Content-Type", contentType)
		if _, err := rw.Write(body); err != nil || http.NewResponseController(rw).Flush() != nil {
			return
		}
		<-r.Context().Done()
	}))
	t.Cleanup(func() { srv.CloseClientConnections(); srv.Close() })
	return srv.URL
}

// The first key frame comes long after the limit for a packet. The stream stays open, and the status says what it waits for.
func TestLateKeyFrame(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]ingesttest.RTSPConfig{
		"H264": {Codec: "H264"}, "VP8": {}, "VP8 over UDP": {UDP: true}, "VP8 with a camera of 4 pictures per second": {FPS: 4},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			waitsForKey(t, ingesttest.StartRTSP(t, cfg))
		})
	}
}

func waitsForKey(t *testing.T, server *ingesttest.RTSPServer) {
	t.Helper()
	server.SetFault(ingesttest.NoKeys)
	cfg := config(server.URL())
	cfg.OpenTimeout, cfg.ReadTimeout = 30*time.Second, 2*time.Second
	cfg.Reconnect.Stalled = 100 * time.Millisecond
	src, err := source.New(cfg, ingest.NewPool(3), source.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	told := make(chan struct{})
	tell := sync.OnceFunc(func() { close(told) })
	supervisor := ingest.NewSupervisor(src, cfg.Reconnect, func(st ingest.Status) {
		if st.State == ingest.Connecting && errors.Is(st.Err, ingest.ErrNoKeyFrame) {
			tell()
		}
	}, 1)
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	var run sync.WaitGroup
	var live ingest.Status
	run.Go(func() {
		err := supervisor.Run(ctx, func(_ context.Context, f *ingest.Frame) error {
			f.Release()
			live = supervisor.Status()
			stop()
			return nil
		})
		if err != nil {
			t.Errorf("Run() = %v", err)
		}
	})
	waitFor(t, 30*time.Second, "the first pictures", func() bool { return server.Sent() > 0 })
	long := time.NewTimer(3 * cfg.ReadTimeout)
	<-long.C
	select {
	case <-told:
	case <-ctx.Done():
		t.Error("the status does not tell what the stream waits for")
	}
	server.SetFault(ingesttest.None)
	run.Wait()
	if live.State != ingest.Live || live.Err != nil || src.(ingest.Counter).Stats().Opens != 1 {
		t.Errorf("status %+v, stats %+v, reconnects %v, want live over the first connection",
			live, src.(ingest.Counter).Stats(), supervisor.Reconnects())
	}
}

// A camera that freezes before its first key frame has come is given up like any other, though its reports of RTCP go on.
func TestFreezesBeforeKeyFrame(t *testing.T) {
	t.Parallel()
	server := ingesttest.StartRTSP(t, ingesttest.RTSPConfig{FPS: 20})
	server.SetFault(ingesttest.NoKeys)
	cfg := config(server.URL())
	cfg.OpenTimeout, cfg.ReadTimeout = 30*time.Second, 2*time.Second
	src, err := source.New(cfg, ingest.NewPool(3), source.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		ended <- src.Run(t.Context(), func(_ context.Context, f *ingest.Frame) error { f.Release(); return nil })
	}()
	waitFor(t, 30*time.Second, "the stream to wait for a key frame", func() bool {
		return errors.Is(src.(ingest.Waiter).Waiting(), ingest.ErrNoKeyFrame)
	})
	server.SetFault(ingesttest.Stall)
	frozen := time.Now()
	if err := <-ended; !errors.Is(err, ingest.ErrDisconnected) || time.Since(frozen) > 2*cfg.ReadTimeout {
		t.Errorf("Run() = %v after %v", err, time.Since(frozen))
	}
}
