package preview_test

import (
	"bytes"
	"context"
	"image/jpeg"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/oodcast/oodcast/detector/events"
	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/publish/archive"
	"github.com/oodcast/oodcast/publish/preview"
	"github.com/oodcast/oodcast/publish/schema"
)

// keepOne runs a real archive that holds the evidence of one event, and returns the event's id.
func keepOne(t *testing.T) (*archive.Archive, string) {
	t.Helper()
	cfg := archive.DefaultConfig()
	cfg.Dir, cfg.Clip.FPS = t.TempDir(), 0
	a, err := archive.New(cfg, "default")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	m := peakMap("front", 7)
	m.Captured = time.Now()
	f := ingest.NewFrame(640, 480)
	f.Camera, f.Captured = "front", m.Captured
	e := events.Event{
		ID: "front-1795440000000-0a1b2c3d", Type: events.Start, Revision: 1, Camera: "front", Start: m.Captured,
		Time: m.Captured, Box: events.Box{X: 0.4, Y: 0.4, Width: 0.1, Height: 0.1}, Peak: 9,
	}
	told := a.Observe(f, m, []events.Event{e}, nil)
	if want := "default/front/2026-11-23/" + e.ID + "/overlay.jpg"; told[0].Snapshot != want {
		t.Fatalf("the event refers to %q, want %q", told[0].Snapshot, want)
	}
	return a, e.ID
}

func TestEvidence(t *testing.T) {
	a, id := keepOne(t)
	s := start(t, testConfig(), []schema.Camera{newCamera("front")}, preview.WithEvidence(a.File))
	client := fresh()
	get := func(path, part string) (code int, kind string, body []byte) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL()+"api/v1/events/"+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		if part != "" {
			req.Header.Set("Range", part)
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if body, err = io.ReadAll(resp.Body); err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, resp.Header.Get("Content-Type"), body
	}
	var picture []byte
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		code, kind, body := get(id+"/snapshot.jpg", "")
		if code == http.StatusOK && kind == "image/jpeg" {
			picture = body
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("no snapshot: %d: %s", code, body)
		}
	}
	if img, err := jpeg.Decode(bytes.NewReader(picture)); err != nil || img.Bounds().Dx() != 640 {
		t.Errorf("snapshot: %v, %v", img, err)
	}
	code, _, body := get(id+"/snapshot.jpg", "bytes=10-19")
	if code != http.StatusPartialContent || !bytes.Equal(body, picture[10:20]) {
		t.Errorf("a part: %d, %d bytes", code, len(body))
	}
	for _, bad := range []string{
		id + "/clip.webm", id + "/passwd", "front-1795440000000-ffffffff/snapshot.jpg", "..%2f..%2fx/snapshot.jpg",
		id + "/..%2fevent.json", "x/snapshot.jpg",
	} {
		if code, _, body := get(bad, ""); code != http.StatusNotFound {
			t.Errorf("%s: %d: %s", bad, code, body)
		}
	}
}
