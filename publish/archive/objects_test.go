package archive_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/oodcast/oodcast/publish/archive"
)

// startNATS starts a real server with JetStream; port -1 takes a free one.
func startNATS(t *testing.T, store string, port int, edit ...func(*server.Options)) *server.Server {
	t.Helper()
	opts := &server.Options{Host: "127.0.0.1", Port: port, JetStream: true, StoreDir: store, NoLog: true, NoSigs: true}
	for _, e := range edit {
		e(opts)
	}
	s, err := server.NewServer(opts)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	if !s.ReadyForConnections(patience) {
		t.Fatal("nats-server is not ready")
	}
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	return s
}

func dial(t *testing.T, url string) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect(url, nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond), nats.RetryOnFailedConnect(true))
	if err != nil {
		t.Fatal(err)
	}
	closed := make(chan struct{})
	nc.SetClosedHandler(func(*nats.Conn) { close(closed) })
	t.Cleanup(func() { nc.Close(); <-closed })
	return nc
}

func TestObjectStore(t *testing.T) {
	srv := startNATS(t, t.TempDir(), -1)
	nc := dial(t, srv.ClientURL())
	cfg := config(t)
	cfg.Dir, cfg.ObjectStore = "", true
	y := newYard(t, cfg, archive.WithObjectStore(given(nc), "oodcast_archive", t.TempDir()))
	start, end := y.event()
	eventually(t, "the film in the object store", func() bool {
		_, err := y.a.File(t.Context(), start.ID, "clip.webm")
		return err == nil
	})
	// A subscriber finds the name in the message.
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	store, err := js.ObjectStore(t.Context(), "oodcast_archive")
	if err != nil {
		t.Fatal(err)
	}
	var picture []byte
	eventually(t, "the picture that the end refers to", func() bool {
		picture, err = store.GetBytes(t.Context(), end.Snapshot)
		return err == nil
	})
	served, err := y.a.File(t.Context(), start.ID, "snapshot.jpg")
	if err != nil || !bytes.Equal(picture, served) {
		t.Errorf("File(snapshot.jpg) = %d bytes, %v, want the %d of the object", len(served), err, len(picture))
	}
	if _, err := y.a.File(t.Context(), "front-1-00000000", "snapshot.jpg"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("File() of an unknown event = %v, want fs.ErrNotExist", err)
	}
}

// holds reports whether the store has every file of an event that the directory has, unchanged.
func holds(t *testing.T, nc *nats.Conn, dir, id string) bool {
	t.Helper()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	store, err := js.ObjectStore(ctx, "oodcast_archive")
	if err != nil {
		return false
	}
	files, err := filepath.Glob(filepath.Join(dir, "home", "front", "*", id, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, full := range files {
		name, err := filepath.Rel(dir, full)
		if err != nil {
			t.Fatal(err)
		}
		object, err := store.GetBytes(ctx, filepath.ToSlash(name))
		file, readErr := os.ReadFile(full)
		if err != nil || readErr != nil || !bytes.Equal(object, file) {
			return false
		}
	}
	return len(files) > 0
}

func (y *yard) waiting() float64 { return y.metric("oodcast_archive_waiting_events", "") }

// Evidence from a NATS outage arrives when NATS is back. Evidence of a process that ended meanwhile arrives with the next
// process.
func TestObjectStoreAway(t *testing.T) {
	dir := t.TempDir()
	srv := startNATS(t, dir, -1)
	addr, url := srv.Addr(), srv.ClientURL()
	nc := dial(t, url)
	cfg := config(t)
	cfg.ObjectStore = true
	y := newYard(t, cfg, archive.WithObjectStore(given(nc), "oodcast_archive", ""))
	first, _ := y.event()
	eventually(t, "evidence", func() bool { return y.waiting() == 0 && holds(t, nc, cfg.Dir, first.ID) })
	srv.Shutdown()
	srv.WaitForShutdown()
	eventually(t, "the loss of the connection", func() bool { return !nc.IsConnected() })
	second, end := y.event()
	eventually(t, "the film on disk", func() bool { return exists(filepath.Join(cfg.Dir, filepath.FromSlash(end.Clip))) })
	eventually(t, "an error in the metrics", func() bool { return y.metric("oodcast_archive_errors_total", "objects") > 0 })
	eventually(t, "an event in the queue", func() bool { return y.waiting() == 1 })

	srv = startNATS(t, dir, port(t, addr))
	eventually(t, "the evidence of the outage", func() bool { return y.waiting() == 0 && holds(t, nc, cfg.Dir, second.ID) })
	srv.Shutdown()
	srv.WaitForShutdown()
	third, _ := y.event()
	y.stop()
	startNATS(t, dir, port(t, addr))
	y = newYard(t, cfg, archive.WithObjectStore(given(nc), "oodcast_archive", ""))
	eventually(t, "the evidence of an earlier process", func() bool { return holds(t, nc, cfg.Dir, third.ID) })
	eventually(t, "an empty queue", func() bool { return y.waiting() == 0 })
	if n := y.metric("oodcast_archive_dropped_total", "upload"); n != 0 {
		t.Errorf("%v events are lost", n)
	}
}

// A server that goes away again and again, in the middle of objects, leaves no incomplete object and no goroutine behind
// (see TestMain).
func TestObjectStoreComesAndGoes(t *testing.T) {
	dir := t.TempDir()
	srv := startNATS(t, dir, -1)
	addr, url := srv.Addr(), srv.ClientURL()
	nc := dial(t, url)
	cfg := config(t)
	cfg.ObjectStore, cfg.MaxMB = true, 0
	var ids []string
	for i := range 3 { // an earlier process has left 3 films of 6 MB
		at := time.Now().Add(time.Duration(i-10) * time.Second).UTC()
		id := fmt.Sprintf("front-%d-0000000%d", at.UnixMilli(), i)
		in := filepath.Join(cfg.Dir, "home", "front", at.Format("2006-01-02"), id)
		write(t, filepath.Join(in, "event.json"), []byte(`{"format": "oodcast.event.v1"}`))
		write(t, filepath.Join(in, "clip.webm"), bytes.Repeat([]byte{byte(i), 1, 2}, 2_000_000))
		write(t, filepath.Join(cfg.Dir, ".objects", id), nil)
		ids = append(ids, id)
	}
	y := newYard(t, cfg, archive.WithObjectStore(given(nc), "oodcast_archive", ""))
	for range 2 {
		pieces := received(t, nc)
		eventually(t, "more pieces", func() bool { return received(t, nc) > pieces || y.waiting() == 0 })
		srv.Shutdown()
		srv.WaitForShutdown()
		srv = startNATS(t, dir, port(t, addr))
		eventually(t, "the connection", nc.IsConnected)
	}
	for _, id := range ids {
		eventually(t, "a complete event", func() bool { return holds(t, nc, cfg.Dir, id) })
	}
	eventually(t, "an empty queue", func() bool { return y.waiting() == 0 })
	// Nothing is left of interrupted attempts: 46 pieces of each film, one of each document, and a description of each.
	if n := received(t, nc); n != 3*(46+1+2) {
		t.Errorf("the bucket has %d messages, want %d", n, 3*(46+1+2))
	}
}

// received returns the number of messages in the bucket; 0 when there is no bucket.
func received(t *testing.T, nc *nats.Conn) uint64 {
	t.Helper()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	stream, err := js.Stream(ctx, "OBJ_oodcast_archive")
	if err != nil {
		return 0
	}
	return stream.CachedInfo().State.Msgs
}

// The store can be switched on and off while events arrive. Without a directory nothing stays on disk.
func TestObjectStoreSwitched(t *testing.T) {
	nc := dial(t, startNATS(t, t.TempDir(), -1).ClientURL())
	cfg := config(t)
	cfg.Dir = ""
	spool := t.TempDir()
	y := newYard(t, cfg, archive.WithObjectStore(given(nc), "oodcast_archive", spool))
	if start, _ := y.event(); start.Snapshot != "" {
		t.Errorf("an archive that is off refers to %q", start.Snapshot)
	}
	cfg.ObjectStore, cfg.MaxAge, cfg.MaxMB = true, 24*time.Hour, 100
	configure := func() {
		t.Helper()
		if err := y.a.Configure(cfg); err != nil {
			t.Fatal(err)
		}
	}
	configure()
	start, _ := y.event()
	eventually(t, "the spool empty", func() bool {
		left, err := filepath.Glob(filepath.Join(spool, "home", "front", "*"))
		return err == nil && len(left) == 0 && y.metric("oodcast_archive_files_total", "objects") >= 9
	})
	if film, err := y.a.File(t.Context(), start.ID, "clip.webm"); err != nil || len(film) == 0 {
		t.Errorf("the film in the store: %d bytes, %v", len(film), err)
	}
	if age, most := kept(t, nc); age != 24*time.Hour || most < 100e6 || most > 120e6 {
		t.Errorf("the bucket keeps %d bytes for %v, want a little more than 100 MB for a day", most, age)
	}
	cfg.MaxAge, cfg.MaxMB = time.Hour, 0
	configure()
	eventually(t, "other limits", func() bool { age, most := kept(t, nc); return age == time.Hour && most == -1 })
	cfg.ObjectStore = false
	configure()
	if start, _ = y.event(); start.Snapshot != "" {
		t.Errorf("an archive that is off again refers to %q", start.Snapshot)
	}
}

// kept returns the limits of the bucket.
func kept(t *testing.T, nc *nats.Conn) (age time.Duration, bytes int64) {
	t.Helper()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(t.Context(), "OBJ_oodcast_archive")
	if err != nil {
		t.Fatal(err)
	}
	cfg := stream.CachedInfo().Config
	return cfg.MaxAge, cfg.MaxBytes
}

// A server with less room than the settings allow keeps the newest evidence.
func TestObjectStoreSmallServer(t *testing.T) {
	srv := startNATS(t, t.TempDir(), -1, func(o *server.Options) { o.JetStreamMaxStore = 36 << 20 })
	nc := dial(t, srv.ClientURL())
	cfg := config(t)
	cfg.ObjectStore, cfg.MaxMB = true, 100
	var ids []string
	for i := range 5 { // 35 MB
		at := time.Now().Add(time.Duration(i-10) * time.Second).UTC()
		id := fmt.Sprintf("front-%d-0000000%d", at.UnixMilli(), i)
		in := filepath.Join(cfg.Dir, "home", "front", at.Format("2006-01-02"), id)
		write(t, filepath.Join(in, "event.json"), []byte(`{"format": "oodcast.event.v1"}`))
		write(t, filepath.Join(in, "clip.webm"), make([]byte, 7_000_000))
		write(t, filepath.Join(cfg.Dir, ".objects", id), nil)
		ids = append(ids, id)
	}
	y := newYard(t, cfg, archive.WithObjectStore(given(nc), "oodcast_archive", ""))
	eventually(t, "the newest event", func() bool { return y.waiting() == 0 && holds(t, nc, cfg.Dir, ids[4]) })
	if holds(t, nc, cfg.Dir, ids[0]) {
		t.Error("the store still has the oldest")
	}
	for _, id := range ids {
		if n, err := filepath.Glob(filepath.Join(cfg.Dir, "home", "front", "*", id, "clip.webm")); err != nil || len(n) != 1 {
			t.Errorf("the directory has lost %s", id)
		}
	}
}

// The object store is bounded too: the oldest events are removed.
func TestObjectStoreRetention(t *testing.T) {
	nc := dial(t, startNATS(t, t.TempDir(), -1).ClientURL())
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	store, err := js.CreateObjectStore(t.Context(), jetstream.ObjectStoreConfig{Bucket: "oodcast_archive"})
	if err != nil {
		t.Fatal(err)
	}
	names := []string{
		"home/front/1970-01-01/front-1000-00000001/clip.webm", "home/front/1970-01-01/front-2000-00000002/clip.webm", "mine",
	}
	for _, name := range names {
		if _, err := store.PutBytes(t.Context(), name, make([]byte, 600_000)); err != nil {
			t.Fatal(err)
		}
	}
	cfg := config(t)
	cfg.Dir, cfg.ObjectStore, cfg.MaxAge, cfg.MaxMB = "", true, 0, 1
	y := newYard(t, cfg, archive.WithObjectStore(given(nc), "oodcast_archive", t.TempDir()))
	eventually(t, "the removal of the oldest", func() bool { return y.metric("oodcast_archive_removed_total", "") == 1 })
	for i, name := range names {
		_, err := store.GetInfo(t.Context(), name)
		if gone := errors.Is(err, jetstream.ErrObjectNotFound); gone != (i == 0) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func port(t *testing.T, addr net.Addr) int {
	t.Helper()
	tcp, ok := addr.(*net.TCPAddr)
	if !ok {
		t.Fatalf("address %v", addr)
	}
	return tcp.Port
}

func given(nc *nats.Conn) func() (*nats.Conn, error) {
	return func() (*nats.Conn, error) { return nc, nil }
}
