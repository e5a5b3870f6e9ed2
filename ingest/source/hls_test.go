package source_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/ingest/source"
)

// The segments of a live playlist are longer than the time limit for a packet. The stream is read over one connection, its
// pictures come at their own speed and not a segment at a time, and the end of new segments is noticed.
func TestLivePlaylist(t *testing.T) {
	t.Parallel()
	const length, rate, last = 2 * time.Second, 10, 5 // of a segment, pictures per second, and the number of the last segment
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), "ffmpeg", "-v", "error", "-f", "lavfi", "-i", fmt.Sprintf("testsrc=size=64x48:rate=%d", rate),
		"-t", fmt.Sprint((last+1)*length.Seconds()), "-c:v", "libx264", "-preset", "ultrafast", "-g", fmt.Sprint(rate*length.Seconds()),
		"-f", "hls", "-hls_time", fmt.Sprint(length.Seconds()), filepath.Join(dir, "all.m3u8"))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("ffmpeg: %v: %s", err, out)
	}
	begin := time.Now()
	files := http.FileServer(http.Dir(dir))
	srv := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, "/live.m3u8") {
			files.ServeHTTP(rw, r)
			return
		}
		newest := min(1+int(time.Since(begin)/length), last)
		rw.Header().Set("Content-Type", "application/vnd.apple.mpegurl")
		fmt.Fprintf(rw, "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:%d\n#EXT-X-MEDIA-SEQUENCE:%d\n", length/time.Second, newest-1)
		for i := newest - 1; i <= newest; i++ {
			fmt.Fprintf(rw, "#EXTINF:%.1f,\nall%d.ts\n", length.Seconds(), i)
		}
	}))
	t.Cleanup(srv.Close)
	cfg := config(srv.URL + "/live.m3u8")
	cfg.OpenTimeout, cfg.ReadTimeout = 30*time.Second, length/4
	src, err := source.New(cfg, ingest.NewPool(3), source.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	var newest time.Time
	err = src.Run(t.Context(), func(_ context.Context, f *ingest.Frame) error {
		defer f.Release()
		if gap := f.Captured.Sub(newest); n > 0 && gap > length {
			t.Errorf("picture %d came %v after the one before it", n, gap)
		}
		n++
		newest = f.Captured
		return nil
	})
	if !errors.Is(err, ingest.ErrDisconnected) {
		t.Errorf("Run() = %v, want ErrDisconnected", err)
	}
	if want := int(last * length.Seconds() * rate); n < want || time.Since(newest) > 4*length {
		t.Errorf("%d pictures, want at least %d; noticed %v after the last one", n, want, time.Since(newest))
	}
}
