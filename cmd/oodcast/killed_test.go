package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/oodcast/oodcast/publish"
	"github.com/oodcast/oodcast/publish/client"
	"github.com/oodcast/oodcast/publish/schema"
)

// After kill -9, the next run ends the events that were open, in the archive, on the page and in the lines of outputs.jsonl,
// and the settings that a request has made are in force again.
func TestKilled(t *testing.T) {
	dir := t.TempDir()
	state, lines := filepath.Join(dir, "state"), filepath.Join(dir, "events.jsonl")
	config := write(t, filepath.Join(dir, "run.yaml"), fmt.Sprintf(`
publish: {url: "embedded://127.0.0.1:0", state_dir: %q}
preview: {listen: "127.0.0.1:0"}
archive: {dir: %q}
outputs: {jsonl: %q}
detector: {timesteps: 1, width: 256, height: 128, threshold: 0.5}
events: {min_duration: 0s, hold: 1h}
cameras: [{name: yard, uri: %q, realtime: true, loop: true}]
`, state, filepath.Join(dir, "archive"), lines, demoClip(t)))
	var address string
	run := func() (*process, string, *client.Client) {
		p := start(t, "run", "--config", config)
		page := p.find(t, "page ")
		address = p.find(t, "nats ")
		nc, err := publish.Dial(publish.Config{URL: strings.Fields(address)[0], StateDir: state})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(nc.Close)
		return p, page, client.New(nc)
	}
	p, _, c := run()
	line := p.find(t, "event start")
	id := line[strings.LastIndex(line, " ")+1:]
	threshold := float32(40)
	if _, err := c.Set(t.Context(), "yard", schema.Update{Threshold: &threshold}); err != nil {
		t.Fatal(err)
	}
	document := func() (doc struct{ Event schema.Event }) {
		found, err := filepath.Glob(filepath.Join(dir, "archive", "default", "yard", "*", id, "event.json"))
		if err != nil || len(found) != 1 {
			return doc
		}
		if raw, err := os.ReadFile(found[0]); err == nil {
			_ = json.Unmarshal(raw, &doc)
		}
		return doc
	}
	for deadline := time.Now().Add(60 * time.Second); document().Event.ID != id; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("no evidence of %q", id)
		}
	}
	p.stop(t, syscall.SIGKILL)

	p, page, c := run()
	for deadline := time.Now().Add(60 * time.Second); document().Event.Type != "end"; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("event.json still has %+v", document().Event)
		}
	}
	if e := document().Event; e.Reason != "interrupted" || e.ID != id {
		t.Errorf("event.json has %+v", e)
	}
	if list := string(get(t, page+"api/v1/events?camera=yard")); !strings.Contains(list, `"reason":"interrupted"`) ||
		!strings.Contains(list, id) {
		t.Errorf("the page has %s", list)
	}
	st, err := c.Get(t.Context(), "yard")
	if err != nil || st.Threshold != threshold {
		t.Errorf("after the restart the threshold is %g, %v, want %g", st.Threshold, err, threshold)
	}
	t.Setenv("OODCAST_PUBLISH__STATE_DIR", t.TempDir()) // a stranger's
	if code, _, stderr := oodcast(t, "watch", "--nats", strings.Fields(address)[0]); code != exitFailed ||
		!strings.Contains(stderr, "OODCAST_PUBLISH__STATE_DIR") || strings.Count(stderr, "\n") != 1 {
		t.Errorf("watch without the login: exit code %d, %s", code, stderr)
	}
	if code, _ := p.stop(t, syscall.SIGTERM); code != exitDone {
		t.Errorf("exit code %d", code)
	}
	raw, err := os.ReadFile(lines)
	if err != nil || !strings.Contains(string(raw), `"reason":"interrupted"`) {
		t.Errorf("outputs.jsonl does not have the end, %v", err)
	}
}
