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

// The same with nothing published: the next run ends the events on the page, in the archive and in the lines, once.
func TestKilledOffline(t *testing.T) {
	dir := t.TempDir()
	state, lines := filepath.Join(dir, "state"), filepath.Join(dir, "events.jsonl")
	config := write(t, filepath.Join(dir, "run.yaml"), fmt.Sprintf(`
publish: {url: "off", state_dir: %q}
preview: {listen: "127.0.0.1:0"}
archive: {dir: %q}
outputs: {jsonl: %q}
detector: {timesteps: 1, width: 256, height: 128, threshold: 0.5}
events: {min_duration: 0s, hold: 1h}
cameras: [{name: yard, uri: %q, realtime: true, loop: true}]
`, state, filepath.Join(dir, "archive"), lines, demoClip(t)))
	p := start(t, "run", "--config", config)
	line := p.find(t, "event start")
	id := line[strings.LastIndex(line, " ")+1:]
	document := func() string {
		found, err := filepath.Glob(filepath.Join(dir, "archive", "default", "yard", "*", id, "event.json"))
		if err != nil || len(found) != 1 {
			return ""
		}
		raw, _ := os.ReadFile(found[0])
		return string(raw)
	}
	waitFor := func(what string, is func() bool) {
		t.Helper()
		for deadline := time.Now().Add(60 * time.Second); !is(); time.Sleep(20 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("no %s: %s", what, document())
			}
		}
	}
	waitFor("evidence", func() bool { return strings.Contains(document(), id) })
	p.stop(t, syscall.SIGKILL)
	for i := range 2 { // the second run has nothing to end: the first one ended its own
		p = start(t, "run", "--config", config)
		page := p.find(t, "page ")
		waitFor("end in the archive", func() bool { return strings.Contains(document(), `"reason": "interrupted"`) })
		list := string(get(t, page+"api/v1/events?camera=yard"))
		if first := i == 0; strings.Contains(list, id) != first || first && !strings.Contains(list, `"reason":"interrupted"`) {
			t.Errorf("run %d: the page has %s", i+1, list)
		}
		p.find(t, "event start")
		if code, _ := p.stop(t, syscall.SIGTERM); code != exitDone {
			t.Errorf("exit code %d", code)
		}
	}
	raw, err := os.ReadFile(lines)
	if n := strings.Count(string(raw), `"reason":"interrupted"`); err != nil || n == 0 {
		t.Errorf("outputs.jsonl has %d interrupted events, %v", n, err)
	}
	ends := map[string]int{}
	for l := range strings.Lines(string(raw)) {
		var e schema.Event
		if json.Unmarshal([]byte(l), &e) == nil && e.Type == "end" {
			ends[e.ID]++
		}
	}
	for id, n := range ends {
		if n != 1 {
			t.Errorf("%s has ended %d times", id, n)
		}
	}
}
