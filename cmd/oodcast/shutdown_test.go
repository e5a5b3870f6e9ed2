package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/oodcast/oodcast/ingest/ingesttest"
)

// An ordinary end is no reason for a warning, whenever it comes and whatever is connected.
func TestShutdownWithoutAWarning(t *testing.T) {
	server := ingesttest.StartRTSP(t, ingesttest.RTSPConfig{FPS: 20})
	for _, wait := range []string{"oodcast dev", "page", "event start"} {
		dir := t.TempDir()
		site := write(t, filepath.Join(dir, "site.yaml"), fmt.Sprintf(`
publish: {url: "embedded://127.0.0.1:0", state_dir: %q, map_stream: true}
preview: {listen: "127.0.0.1:0"}
archive: {dir: %q, object_store: true}
outputs: {jsonl: %q}
detector: {timesteps: 1, threshold: 0.5, width: 128, height: 96}
events: {min_duration: 0s}
cameras:
- {name: film, uri: %s, realtime: true, loop: true}
- {name: stream, uri: %q}
- {name: ended, uri: %s}
`, filepath.Join(dir, "state"), filepath.Join(dir, "evidence"), filepath.Join(dir, "out.jsonl"), demoClip(t), server.URL(), demoClip(t)))
		p := start(t, "run", "--config", site)
		p.find(t, wait)
		if code, took := p.stop(t, syscall.SIGTERM); code != exitDone || took > 20*time.Second {
			t.Errorf("exit code %d after %v", code, took)
		}
		for line := range strings.Lines(p.stderr.String()) {
			if !strings.Contains(line, "level=INFO") {
				t.Errorf("stopped after %q: %s", wait, line)
			}
		}
	}
	_, _, stderr := oodcast(t, "run", "--source", t.TempDir()+"/none.mp4", "--http", "127.0.0.1:0", "--nats", "embedded://127.0.0.1:0")
	if strings.Contains(stderr, "level=WARN") || strings.Contains(stderr, "context canceled") {
		t.Errorf("a source that is not there: %s", stderr)
	}
}
