package archive_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/oodcast/oodcast/publish/archive"
	"github.com/oodcast/oodcast/publish/schema"
)

// TestInterrupted leaves an event open as a killed process does: the next archive writes its end into event.json and keeps the
// rest of the document. An event that has ended stays as it is.
func TestInterrupted(t *testing.T) {
	cfg := archive.DefaultConfig()
	cfg.Dir = t.TempDir()
	folder := func(id string) string {
		return filepath.Join(cfg.Dir, "home", "yard", time.UnixMilli(1795826007577).UTC().Format("2006-01-02"), id)
	}
	const open, ended, unknown = "yard-1795826007577-0000000a", "yard-1795826007577-0000000b", "yard-1795826007577-0000000c"
	write := func(e schema.Event) {
		t.Helper()
		doc, err := json.Marshal(map[string]any{
			"format": "oodcast.event.v1", "event": e, "maps": []archive.MapScale{{File: "map.png"}},
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(folder(e.ID), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder(e.ID), "event.json"), doc, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(schema.Event{ID: open, Revision: 4, Type: "update", Camera: "yard", Site: "home", Peak: 7, Snapshot: "picture"})
	write(schema.Event{ID: ended, Revision: 5, Type: "end", Camera: "yard", Site: "home", Reason: "gone"})
	read := func(id string) (doc struct {
		Event schema.Event
		Maps  []archive.MapScale
	},
	) {
		raw, err := os.ReadFile(filepath.Join(folder(id), "event.json"))
		if err != nil {
			return doc
		}
		if err := json.Unmarshal(raw, &doc); err != nil {
			t.Fatal(err)
		}
		return doc
	}
	y := newYard(t, cfg)
	var ends []schema.Event
	for _, id := range []string{ended, unknown, open} {
		ends = append(ends, schema.Event{
			ID: id, Revision: 5, Type: "end", Reason: "interrupted", Camera: "yard", Site: "home", Peak: 7,
		})
	}
	y.a.Interrupted(ends)
	deadline := time.Now().Add(patience)
	for read(open).Event.Type != "end" {
		if time.Now().After(deadline) {
			t.Fatalf("event.json is %+v", read(open))
		}
		time.Sleep(5 * time.Millisecond)
	}
	got := read(open)
	if e := got.Event; e.Reason != "interrupted" || e.Revision != 5 || e.Snapshot != "picture" || e.Peak != 7 || len(got.Maps) != 1 {
		t.Errorf("event.json is %+v", got)
	}
	if e := read(ended).Event; e.Reason != "gone" {
		t.Errorf("an event that has ended: %+v", e)
	}
	if _, err := os.Stat(folder(unknown)); err == nil {
		t.Error("a folder for an event without evidence")
	}
}
