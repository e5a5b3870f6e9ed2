package main

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"

	"github.com/oodcast/oodcast/ingest/ingesttest"
)

// TestRunPassesThrough has a camera of H.264 whose pictures are scored, and viewers who would take VP8 and H.264: one gets what the
// camera sends, the other asks for the overlay.
func TestRunPassesThrough(t *testing.T) {
	camera := ingesttest.StartRTSP(t, ingesttest.RTSPConfig{
		Width: 384, Height: 288, FPS: 5, Picture: ingesttest.Clip(t, demoClip(t), 384, 288, 20), Codec: "H264", KeyInterval: 5,
	})
	p := start(t, "run", "--source", camera.URL(), "--nats", "off", "--http", "127.0.0.1:0", "--timesteps", "1", "--log-level", "debug")
	page := p.find(t, "page ")
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(time.Minute); !strings.Contains(p.stderr.String(), "H.264 is passed on"); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatal("the camera's H.264 is not passed on after a minute")
		}
	}
	if codec := watchWHEP(t, page+"whep/camera", ""); codec != webrtc.MimeTypeH264 {
		t.Errorf("got %s", codec)
	}
	if codec := watchWHEP(t, page+"whep/camera?overlay=1", ""); codec != webrtc.MimeTypeVP8 {
		t.Errorf("with the overlay: got %s", codec)
	}
	if known := scrape(t, page); known["oodcast_webrtc_viewers"] != 2 || known["oodcast_webrtc_passthrough_viewers"] != 1 {
		t.Errorf("%v viewers, %v passed through", known["oodcast_webrtc_viewers"], known["oodcast_webrtc_passthrough_viewers"])
	}
	if code, took := p.stop(t, os.Interrupt); code != exitDone || took > 30*time.Second {
		t.Errorf("exit code %d after %v, want 0 within 30 s", code, took)
	}
}
