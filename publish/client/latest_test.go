package client_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/oodcast/oodcast/publish/client"
	"github.com/oodcast/oodcast/publish/schema/schematest"
)

// TestLastMap reads a map that was sent before.
func TestLastMap(t *testing.T) {
	p, nc := connect(t)
	c := client.New(nc)
	if _, err := c.LastMap(t.Context(), "front"); !errors.Is(err, client.ErrNoMap) {
		t.Errorf("LastMap() before the first = %v, want ErrNoMap", err)
	}
	var last client.Map
	for seq, deadline := uint64(0), time.Now().Add(time.Minute); ; seq++ { // the stream may be created after the first map
		p.Map(hill(seq))
		var err error
		if last, err = c.LastMap(t.Context(), "front"); err == nil {
			break
		}
		if !errors.Is(err, client.ErrNoMap) || time.Now().After(deadline) {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Millisecond)
	}
	if last.At(550, 250) != 10 || last.GetCamera() != "front" || len(last.Values) != 32 {
		t.Errorf("last map %v", last)
	}
	if _, err := c.LastMap(t.Context(), "rear"); !errors.Is(err, client.ErrNoMap) {
		t.Errorf("LastMap(rear) = %v, want ErrNoMap", err)
	}
}

// TestSnapshots requests pictures from a camera that cannot take any and from one that can.
func TestSnapshots(t *testing.T) {
	p, nc := connect(t)
	faults := make(chan error, 1)
	c := client.New(nc, client.OnFault(func(err error) { faults <- err }))
	pictures := make(chan client.Snapshot, 1)
	stop, err := c.Snapshots(func(s client.Snapshot) { pictures <- s })
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	const want = "snapshot front: camera front cannot take snapshots"
	if err := c.TakeSnapshot(t.Context(), "front"); err == nil || err.Error() != want {
		t.Errorf("TakeSnapshot() = %v, want %q", err, want)
	}
	own, err := p.Dial()
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	if err := own.Publish("oodcast.v1.default.front.snapshot", []byte("no capture time")); err != nil {
		t.Fatal(err)
	}
	if err := <-faults; !strings.HasPrefix(err.Error(), "oodcast.v1.default.front.snapshot: ") {
		t.Errorf("fault %v, want the subject in front", err)
	}
	captured := time.Unix(1700000000, 5)
	rear := schematest.SnapshotCamera{Camera: schematest.NewCamera("rear"), JPEG: []byte("jpeg"), Captured: captured}
	if err := p.AddCamera(rear); err != nil {
		t.Fatal(err)
	}
	for errors.Is(c.TakeSnapshot(t.Context(), "rear"), nats.ErrNoResponders) { // the server does not know the new camera yet
		time.Sleep(10 * time.Millisecond)
	}
	s := <-pictures
	if s.Camera != "rear" || string(s.JPEG) != "jpeg" || !s.Captured.Equal(captured) {
		t.Errorf("snapshot %+v", s)
	}
}
