package preview_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/publish/preview"
	"github.com/oodcast/oodcast/publish/schema"
)

// Cameras come and go while the server runs: each is shown while it exists. Its removal ends its viewers and
// frees its frames and its metrics.
func TestCamerasComeAndGo(t *testing.T) {
	registry := prometheus.NewRegistry()
	s := start(t, testConfig(), []schema.Camera{newCamera("front")}, preview.WithRegistry(registry))
	if err := s.AddCamera(newCamera("front")); err == nil {
		t.Error("two cameras have the same name")
	}
	pool := ingest.NewPool(3)
	for range 3 {
		if err := s.AddCamera(newCamera("rear")); err != nil {
			t.Fatal(err)
		}
		resp, err := fresh().Get(s.URL() + "api/v1/cameras/rear/stream.mjpg")
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatal(err)
		}
		f := pool.TryGet(64, 48)
		if f == nil {
			t.Fatalf("%d frames are out", pool.InFlight())
		}
		f.Camera = "rear"
		s.Frame(f)
		wait(t, "a picture of the new camera", func() bool {
			return strings.Contains(send(t, "GET", s.URL()+"metrics", "", "", nil).body,
				`oodcast_preview_frames_total{camera="rear",result="sent"}`)
		})
		if err := s.RemoveCamera("rear"); err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil { // it ends without an error
			t.Error(err)
		}
		_ = resp.Body.Close()
		if pool.InFlight() != 0 {
			t.Errorf("%d frames are still out", pool.InFlight())
		}
		if r := send(t, "GET", s.URL()+"api/v1/cameras/rear", "", "", nil); r.code != http.StatusNotFound {
			t.Errorf("removed camera: %d", r.code)
		}
		if m := send(t, "GET", s.URL()+"metrics", "", "", nil).body; strings.Contains(m, `camera="rear"`) {
			t.Errorf("metrics of a removed camera:\n%s", m)
		}
	}
	if err := s.RemoveCamera("rear"); err == nil {
		t.Error("a camera removed twice")
	}
	if r := send(t, "GET", s.URL()+"api/v1/info", "", "", nil); !strings.Contains(r.body, `"cameras":["front"]`) {
		t.Errorf("info: %s", r.body)
	}
}
