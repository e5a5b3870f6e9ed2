package publish_test

import (
	"encoding/json"
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/oodcast/oodcast/detector/events"
	"github.com/oodcast/oodcast/publish"
	"github.com/oodcast/oodcast/publish/schema"
)

// runServer starts a nats-server; port −1 means any free port.
func runServer(t *testing.T, o server.Options) *server.Server {
	t.Helper()
	o.Host, o.NoSigs, o.NoLog = "127.0.0.1", true, true
	s, err := server.NewServer(&o)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	if !s.ReadyForConnections(10 * time.Second) {
		t.Fatal("nats-server is not ready")
	}
	t.Cleanup(func() { stopServer(s) })
	return s
}

// port returns the port of a running server, for another server in its place.
func port(s *server.Server) int {
	_, p, err := net.SplitHostPort(strings.TrimPrefix(s.ClientURL(), "nats://"))
	if err != nil {
		panic(err)
	}
	n, err := strconv.Atoi(p)
	if err != nil {
		panic(err)
	}
	return n
}

func stopServer(s *server.Server) {
	s.Shutdown()
	s.WaitForShutdown()
}

func remote(t *testing.T, url string) publish.Config {
	t.Helper()
	c := publish.DefaultConfig()
	c.URL, c.StateDir = url, t.TempDir()
	return c
}

func event(id string, revision int) events.Event {
	return events.Event{ID: id, Revision: revision, Type: events.Update, Camera: "front", Time: time.Now()}
}

// TestOutage stops the server for a while: maps are dropped and counted, and events wait and arrive once and in order.
func TestOutage(t *testing.T) {
	dir := t.TempDir()
	opts := server.Options{Port: -1, JetStream: true, StoreDir: dir}
	first := runServer(t, opts)
	url := first.ClientURL()
	reg := prometheus.NewRegistry()
	metrics, err := publish.NewMetrics(reg, nil)
	if err != nil {
		t.Fatal(err)
	}
	p := start(t, remote(t, url), nil, publish.WithMetrics(metrics))
	const n = 60
	for i := range 20 {
		p.Event(event("e", i))
	}
	wait(t, "20 events", func() bool { return metric(t, reg, "oodcast_nats_publish_total", "event", "sent") == 20 })
	stopServer(first)
	wait(t, "the outage to be noticed", func() bool { return metric(t, reg, "oodcast_nats_connected") == 0 })
	for i := 20; i < 40; i++ {
		p.Event(event("e", i))
		p.Map(testMap("front", uint64(i), 16, 8))
	}
	wait(t, "20 maps dropped", func() bool { return metric(t, reg, "oodcast_nats_publish_total", "map", "away") == 20 })
	opts.Port = port(first)
	runServer(t, opts)
	for i := 40; i < n; i++ {
		p.Event(event("e", i))
	}
	wait(t, "all events", func() bool { return metric(t, reg, "oodcast_nats_publish_total", "event", "sent") == n })
	p.Event(event("e", n-1)) // a duplicate, which the stream drops
	wait(t, "the duplicate", func() bool { return metric(t, reg, "oodcast_nats_publish_total", "event", "sent") == n+1 })

	js, err := jetstream.New(connect(t, url))
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(t.Context(), "EVENTS")
	if err != nil {
		t.Fatal(err)
	}
	info, err := stream.Info(t.Context())
	if err != nil || info.State.Msgs != n {
		t.Fatalf("stream has %d events, %v, want %d", info.State.Msgs, err, n)
	}
	for i := range n {
		raw, err := stream.GetMsg(t.Context(), uint64(i+1))
		if err != nil {
			t.Fatal(err)
		}
		var e schema.Event
		if err := json.Unmarshal(raw.Data, &e); err != nil || e.Revision != i || e.Site != "default" {
			t.Fatalf("event %d is %s", i, raw.Data)
		}
		if got, want := raw.Header.Get("Nats-Msg-Id"), fmt.Sprintf("e.%d", i); got != want {
			t.Errorf("Nats-Msg-Id %q, want %q", got, want)
		}
	}
	p.Map(testMap("front", 99, 16, 8))
	wait(
		t, "a map after the outage",
		func() bool { return metric(t, reg, "oodcast_nats_publish_total", "map", "sent") == 1 },
	)
}

func wait(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for tick := time.NewTicker(5 * time.Millisecond); !ok(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("timed out waiting for %s", what)
		}
	}
}

// TestRestartedServer restarts the server: the number of the publisher's subscriptions does not grow, and presence is restored
// long before it would be refreshed.
func TestRestartedServer(t *testing.T) {
	opts := server.Options{Port: -1, JetStream: true, StoreDir: t.TempDir()}
	s := runServer(t, opts)
	opts.Port = port(s)
	cfg := remote(t, s.ClientURL())
	cfg.StatusInterval = 2 * time.Minute
	start(t, cfg, []schema.Camera{newCamera("front")})
	var counts []int
	for range 4 {
		js, err := jetstream.New(connect(t, s.ClientURL()))
		if err != nil {
			t.Fatal(err)
		}
		wait(t, "the camera's presence", func() bool {
			kv, err := js.KeyValue(t.Context(), "oodcast_status")
			if err != nil {
				return false
			}
			_, err = kv.Get(t.Context(), "default.front") // the previous server took the bucket with it
			return err == nil
		})
		conns, err := s.Connz(nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range conns.Conns {
			if c.Name == "oodcast" {
				counts = append(counts, int(c.NumSubs))
			}
		}
		stopServer(s)
		s = runServer(t, opts)
	}
	if len(counts) != 4 || counts[1] != counts[3] {
		t.Errorf("%v subscriptions after the starts of the server, want no growth", counts)
	}
}

// TestLateServer starts the publisher before the server.
func TestLateServer(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := ln.Addr().(*net.TCPAddr).Port
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	url := fmt.Sprintf("nats://127.0.0.1:%d", port)
	p := start(t, remote(t, url), []schema.Camera{newCamera("front")})
	runServer(t, server.Options{Port: port}) // without JetStream
	nc := connect(t, url)
	events := subscribe(t, nc, "oodcast.v1.default.front.event.>")
	p.Event(event("late", 1))
	if m := next(t, events); m.Header.Get("Nats-Msg-Id") != "late.1" {
		t.Errorf("event headers %v", m.Header)
	}
	if _, err := nc.Request("oodcast.v1.default.front.ctl.get", nil, 60*time.Second); err != nil {
		t.Errorf("control: %v", err)
	}
}

// TestEventsSurvive ends the publisher while NATS is away: the next publisher sends the events.
func TestEventsSurvive(t *testing.T) {
	s := runServer(t, server.Options{Port: -1, JetStream: true, StoreDir: t.TempDir()})
	cfg := remote(t, noServer)
	t.Run("away", func(t *testing.T) {
		p := start(t, cfg, nil)
		for i := range 50 {
			p.Event(event("e", i))
		}
	})
	cfg.URL = s.ClientURL()
	nc := connect(t, cfg.URL)
	sub := subscribe(t, nc, "oodcast.v1.default.front.event.>")
	p := start(t, cfg, nil)
	p.Event(event("e", 50))
	for i := range 51 {
		if got, want := next(t, sub).Header.Get("Nats-Msg-Id"), fmt.Sprintf("e.%d", i); got != want {
			t.Fatalf("event %q, want %q", got, want)
		}
	}
}
