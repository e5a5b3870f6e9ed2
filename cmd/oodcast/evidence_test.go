package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"image/jpeg"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/oodcast/oodcast/publish/schema"
)

// When the service has ended, the files of an event are in the directory and in the object store: pictures, and the film of
// an event that was still open.
func TestRunKeepsEvidence(t *testing.T) {
	nc, dir := broker(t), t.TempDir()
	events, err := nc.SubscribeSync(schema.Subjects{Prefix: "oodcast", Site: "default"}.Event("*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(dir, "config.yaml")
	text := fmt.Sprintf("detector: {threshold: 4, timesteps: 1}\nevents: {min_duration: 100ms}\n"+
		"archive: {dir: %q, object_store: true, clip: {fps: 2, width: 160}}\n"+ // small films, because the shutdown is limited to ten seconds
		"publish: {url: %q, state_dir: %q}\npreview: {listen: \"off\"}\n"+
		"cameras:\n- {name: yard, uri: %q}\n", filepath.Join(dir, "archive"), nc.ConnectedUrl(), dir, demoClip(t))
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	must(t, "run", "--config", config, "--max-frames", "30")

	var end schema.Event
	for end.Reason != "stream_end" {
		msg, err := events.NextMsg(time.Minute)
		if err != nil {
			t.Fatalf("no end of the stream: %v", err)
		}
		end = schema.Event{}
		if err := json.Unmarshal(msg.Data, &end); err != nil {
			t.Fatal(err)
		}
	}
	if end.Type != "end" || end.Snapshot == "" || len(end.Polygon) < 3 || end.PeakTime.Before(end.Start) {
		t.Errorf("end %+v", end)
	}
	picture, err := os.ReadFile(filepath.Join(dir, "archive", filepath.FromSlash(end.Snapshot)))
	if err != nil {
		t.Fatal(err)
	}
	if img, err := jpeg.Decode(bytes.NewReader(picture)); err != nil || img.Bounds().Dx() != 768 {
		t.Errorf("snapshot: %v, %v", img, err)
	}
	if left, err := os.ReadDir(filepath.Join(dir, "archive", ".objects")); err != nil {
		t.Fatal(err)
	} else if len(left) > 0 { // the machine was too busy to finish during the shutdown: the next process continues
		must(t, "run", "--config", config, "--max-frames", "1")
	}
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	store, err := js.ObjectStore(t.Context(), "oodcast_archive")
	if err != nil {
		t.Fatal(err)
	}
	film, err := os.ReadFile(filepath.Join(dir, "archive", filepath.FromSlash(end.Clip)))
	if err != nil {
		t.Fatal(err)
	}
	for name, file := range map[string][]byte{end.Snapshot: picture, end.Clip: film} {
		if object, err := store.GetBytes(t.Context(), name); err != nil || !bytes.Equal(object, file) {
			t.Errorf("object %q: %d bytes, error %v, want the %d bytes of the file", name, len(object), err, len(file))
		}
	}
}
