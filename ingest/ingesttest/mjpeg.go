package ingesttest

import (
	"bytes"
	"fmt"
	"image/jpeg"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/oodcast/oodcast/ingest"
)

// MJPEGConfig describes the stream that StartMJPEG serves.
type MJPEGConfig struct {
	// Size returns the size of picture i, at least ClockWidth x ClockHeight. Default 320x240.
	Size func(i int) (w, h int)
	// FPS is the number of pictures per second. Default 10.
	FPS float64
	// Frames is how many pictures a client gets before the connection ends; 0 is no limit.
	Frames int
	// StallAfter is how many pictures a client gets before no more come over the open connection; 0 is no limit.
	StallAfter int
	// Picture draws the pictures, over which the clock is stamped. Default Bars.
	Picture Picture
}

// StartMJPEG serves Motion JPEG over HTTP until the end of the test and returns the address. The pixels of each picture hold
// its time; see ReadClock.
func StartMJPEG(tb testing.TB, cfg MJPEGConfig) string {
	tb.Helper()
	if cfg.Size == nil {
		cfg.Size = func(int) (w, h int) { return 320, 240 }
	}
	if cfg.FPS == 0 {
		cfg.FPS = 10
	}
	if cfg.Picture == nil {
		cfg.Picture = Bars
	}
	srv := httptest.NewServer(http.HandlerFunc(cfg.serve))
	tb.Cleanup(func() {
		srv.CloseClientConnections()
		srv.Close()
	})
	return srv.URL + "/stream.mjpg"
}

func (cfg MJPEGConfig) serve(rw http.ResponseWriter, r *http.Request) {
	const boundary = "frame"
	rw.Header().Set("Content-Type", "multipart/x-mixed-replace; boundary="+boundary)
	tick := time.NewTicker(time.Duration(float64(time.Second) / cfg.FPS))
	defer tick.Stop()
	for i := 0; cfg.Frames == 0 || i < cfg.Frames; i++ {
		select {
		case <-tick.C:
		case <-r.Context().Done():
			return
		}
		if cfg.StallAfter > 0 && i >= cfg.StallAfter {
			<-r.Context().Done()
			return
		}
		w, h := cfg.Size(i)
		f := ingest.NewFrame(w, h)
		cfg.Picture(f.Pix, w, h, i)
		StampClock(f.Pix, w, time.Now())
		var body bytes.Buffer
		if err := jpeg.Encode(&body, ingest.FrameImage(f), &jpeg.Options{Quality: 85}); err != nil {
			return
		}
		_, err := fmt.Fprintf(rw, "--%s\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%s\r\n",
			boundary, body.Len(), body.Bytes())
		if err != nil || http.NewResponseController(rw).Flush() != nil {
			return
		}
	}
}
