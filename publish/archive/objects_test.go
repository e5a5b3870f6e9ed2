package archive_test

import (
	"bytes"
	"errors"
	"io/fs"
	"net"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/oodcast/oodcast/publish/archive"
)

// startNATS starts a real server with JetStream; port -1 takes a free one.
func startNATS(t *testing.T, store string, port int) *server.Server {
	t.Helper()
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: port, JetStream: true, StoreDir: store, NoLog: true, NoSigs: true,
	})
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
	y := newYard(t, cfg, archive.WithObjectStore(given(nc), "oodcast_archive"))
	start, end := y.event()
	eventually(t, "the film in the object store", func() bool {
		_, err := y.a.File(t.Context(), start.ID, "clip.webm")
		return err == nil
	})
	// A subscriber takes the name from the message.
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

// NATS that goes away costs the evidence of that time and nothing else.
func TestObjectStoreAway(t *testing.T) {
	dir := t.TempDir()
	srv := startNATS(t, dir, -1)
	addr, url := srv.Addr(), srv.ClientURL()
	nc := dial(t, url)
	cfg := config(t)
	cfg.Dir, cfg.ObjectStore, cfg.Clip.FPS = "", true, 0
	y := newYard(t, cfg, archive.WithObjectStore(given(nc), "oodcast_archive"))
	start, _ := y.event()
	eventually(t, "evidence", func() bool { _, err := y.a.File(t.Context(), start.ID, "snapshot.jpg"); return err == nil })
	srv.Shutdown()
	srv.WaitForShutdown()
	eventually(t, "the connection gone", func() bool { return !nc.IsConnected() })
	y.event()
	eventually(t, "an error in the metrics", func() bool { return y.metric("oodcast_archive_errors_total", "objects") > 0 })
	startNATS(t, dir, port(t, addr))
	eventually(t, "the connection back", nc.IsConnected)
	start, _ = y.event()
	eventually(t, "evidence again", func() bool { _, err := y.a.File(t.Context(), start.ID, "snapshot.jpg"); return err == nil })
}

// The object store is bounded too: the oldest events go.
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
	y := newYard(t, cfg, archive.WithObjectStore(given(nc), "oodcast_archive"))
	eventually(t, "the oldest removed", func() bool { return y.metric("oodcast_archive_removed_total", "") == 1 })
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
