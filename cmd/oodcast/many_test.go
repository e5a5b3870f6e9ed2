package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/oodcast/oodcast/publish/schema"
)

const manyCameras = 16

// TestManyCameras runs sixteen file cameras at 2 frames per second for OODCAST_MANY and prints two tables: memory, goroutines
// and descriptors over time, and the scored frames of each camera. Memory must be flat after the fifth minute, and no camera
// may get much less than another.
func TestManyCameras(t *testing.T) {
	length, err := time.ParseDuration(os.Getenv("OODCAST_MANY"))
	if err != nil {
		t.Skip("takes ten minutes; OODCAST_MANY=10m go test -run ManyCameras -timeout 30m ./cmd/oodcast runs it")
	}
	clip := filepath.Join(t.TempDir(), "clip.avi")
	out, err := exec.CommandContext(t.Context(), "ffmpeg", "-v", "error", "-i", demoClip(t),
		"-r", "2", "-vf", "scale=512:384", "-c:v", "mpeg4", "-q:v", "3", clip).CombinedOutput()
	if err != nil {
		t.Fatalf("ffmpeg: %v: %s", err, out)
	}
	var config strings.Builder
	fmt.Fprintf(&config, `
publish: {url: "embedded://127.0.0.1:0", state_dir: %q}
preview: {listen: "127.0.0.1:0"}
detector: {timesteps: 1, width: 512, height: 256}
cameras:
`, t.TempDir())
	for i := range manyCameras {
		fmt.Fprintf(&config, "- {name: c%02d, uri: %q, realtime: true, loop: true, memory_mb: 16}\n", i, clip)
	}
	p := start(t, "run", "--config", write(t, filepath.Join(t.TempDir(), "many.yaml"), config.String()))
	page := p.find(t, "page ")
	begin := time.Now()
	samples := soak(t, page, length)
	list := cameraList(t, page)
	took := time.Since(begin)
	if code, _ := p.stop(t, syscall.SIGTERM); code != exitDone {
		t.Errorf("exit code %d", code)
	}
	judgeSamples(t, samples)
	if len(list) != manyCameras {
		t.Fatalf("%d cameras, want %d", len(list), manyCameras)
	}
	fmt.Println("camera  state  captured  scored  share  dropped     scored/s")
	least, most := list[0].Stats.Scored, list[0].Stats.Scored
	for _, c := range list {
		s := c.Stats
		least, most = min(least, s.Scored), max(most, s.Scored)
		fmt.Printf("%-6s  %-5s  %8d  %6d  %4.0f%%  %-10v  %.2f\n", c.Camera, c.State, s.Captured, s.Scored,
			100*float64(s.Scored)/float64(max(s.Captured, 1)), s.Dropped, float64(s.Scored)/took.Seconds())
	}
	if float64(least) < 0.8*float64(most) {
		t.Errorf("between %d and %d maps per camera: some cameras starve", least, most)
	}
}

// cameraList returns the status of all cameras from the HTTP API.
func cameraList(t *testing.T, page string) []schema.Status {
	t.Helper()
	raw := get(t, page+"api/v1/cameras")
	var list struct{ Cameras []schema.Status }
	if err := json.Unmarshal(raw, &list); err != nil {
		t.Fatalf("%s: %v", raw, err)
	}
	return list.Cameras
}

// get returns the body of a resource.
func get(t *testing.T, url string) []byte {
	t.Helper()
	r, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	raw, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// patch changes settings of a camera.
func patch(t *testing.T, url, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPatch, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if r.StatusCode != http.StatusOK {
		t.Fatalf("PATCH %s: %s", url, r.Status)
	}
}
