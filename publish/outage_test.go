package publish_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/publish"
	"github.com/oodcast/oodcast/publish/schema"
)

// runServer starts a nats-server of its own; port −1 takes any.
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

func event(id string, revision int) detector.Event {
	return detector.Event{ID: id, Revision: revision, Type: detector.EventUpdate, Camera: "front", Time: time.Now()}
}

// TestOutage takes the server away: maps are dropped and counted, events wait and arrive once and in order.
func TestOutage(t *testing.T) {
	dir := t.TempDir()
	opts := server.Options{Port: -1, JetStream: true, StoreDir: dir}
	first := runServer(t, opts)
	url, port := first.ClientURL(), first.Addr().(*net.TCPAddr).Port
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
	wait(t, "20 maps dropped", func() bool { return metric(t, reg, "oodcast_nats_publish_total", "map", "dropped") == 20 })
	opts.Port = port
	runServer(t, opts)
	for i := 40; i < n; i++ {
		p.Event(event("e", i))
	}
	wait(t, "all events", func() bool { return metric(t, reg, "oodcast_nats_publish_total", "event", "sent") == n })
	p.Event(event("e", n-1)) // sent twice: counts once
	wait(t, "the repetition", func() bool { return metric(t, reg, "oodcast_nats_publish_total", "event", "sent") == n+1 })

	js, err := jetstream.New(connect(t, url))
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(t.Context(), publish.EventStream)
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
	deadline := time.Now().Add(20 * time.Second)
	for tick := time.NewTicker(5 * time.Millisecond); !ok(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// TestServerComesLate starts the publisher first.
func TestServerComesLate(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := ln.Addr().(*net.TCPAddr).Port
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	url := fmt.Sprintf("nats://127.0.0.1:%d", port)
	p := start(t, remote(t, url), []publish.Camera{newCamera("front")})
	runServer(t, server.Options{Port: port}) // and has no JetStream
	nc := connect(t, url)
	events := subscribe(t, nc, "oodcast.v1.default.front.event.>")
	p.Event(event("late", 1))
	if m := next(t, events); m.Header.Get("Nats-Msg-Id") != "late.1" {
		t.Errorf("event headers %v", m.Header)
	}
	if _, err := nc.Request("oodcast.v1.default.front.ctl.get", nil, 5*time.Second); err != nil {
		t.Errorf("control: %v", err)
	}
}

func TestAuth(t *testing.T) {
	s := runServer(t, server.Options{Port: -1, Username: "me", Password: "secret"})
	good := remote(t, s.ClientURL())
	good.User, good.Password = "me", "secret"
	p := start(t, good, nil)
	sub := subscribe(t, connect(t, s.ClientURL(), nats.UserInfo("me", "secret")), "oodcast.>")
	p.Map(testMap("front", 0, 4, 4))
	next(t, sub)

	bad := good
	bad.Password = "wrong"
	q, err := publish.New(bad, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = q.Run(t.Context())
	if err == nil || !strings.Contains(err.Error(), "Authorization Violation") || strings.Contains(err.Error(), "wrong") {
		t.Errorf("Run() = %v, want an authorization error without the password", err)
	}
}

func TestEmbeddedAuth(t *testing.T) {
	cfg := embeddedConfig(t)
	cfg.Token = "sesame"
	p := start(t, cfg, nil)
	if _, err := nats.Connect(p.URL()); err == nil {
		t.Error("connected without the token")
	}
	sub := subscribe(t, connect(t, p.URL(), nats.Token("sesame")), "oodcast.>")
	p.Map(testMap("front", 0, 4, 4))
	next(t, sub)
}

// TestSmallPayloads has a server that takes less than a 16-bit map, then less than any.
func TestSmallPayloads(t *testing.T) {
	s := runServer(t, server.Options{Port: -1, MaxPayload: 12 << 10})
	reg := prometheus.NewRegistry()
	metrics, err := publish.NewMetrics(reg, nil)
	if err != nil {
		t.Fatal(err)
	}
	p := start(t, remote(t, s.ClientURL()), nil, publish.WithMetrics(metrics))
	sub := subscribe(t, connect(t, s.ClientURL()), "oodcast.v1.default.front.map")
	dec, err := schema.NewDecoder()
	if err != nil {
		t.Fatal(err)
	}
	defer dec.Close()
	in := testMap("front", 0, 128, 64)
	p.Map(in)
	checkMap(t, dec, next(t, sub), in)
	p.Map(testMap("front", 1, 256, 128))
	wait(
		t, "a map too large", func() bool { return metric(t, reg, "oodcast_nats_publish_total", "map", "too_large") == 1 },
	)
}

// TestSlowConsumer has a subscriber that never reads. The others must get every map, and no map may be lost.
func TestSlowConsumer(t *testing.T) {
	reg := prometheus.NewRegistry()
	metrics, err := publish.NewMetrics(reg, nil)
	if err != nil {
		t.Fatal(err)
	}
	p := start(t, embeddedConfig(t), nil, publish.WithMetrics(metrics))
	conn, err := net.Dial("tcp", strings.TrimPrefix(p.URL(), "nats://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := bufio.NewReader(conn).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprint(conn, "CONNECT {\"verbose\":false}\r\nSUB oodcast.> 1\r\n"); err != nil {
		t.Fatal(err)
	}
	sub := subscribe(t, connect(t, p.URL()), "oodcast.v1.default.front.map")
	const n = 2000 // 64 MB: more than the server keeps for one subscriber
	m := testMap("front", 0, 128, 128)
	for i := range n {
		c := *m
		c.Seq = uint64(i)
		p.Map(&c)
		if got := next(t, sub).Header.Get("X-Seq"); got != fmt.Sprint(i) {
			t.Fatalf("map %s, want %d", got, i)
		}
	}
	if got := metric(t, reg, "oodcast_nats_publish_total", "map", "sent"); got != n {
		t.Errorf("%v maps sent, want %d", got, n)
	}
}

// TestEventsSurvive ends the publisher while NATS is away: the events that wait go out when the next one starts.
func TestEventsSurvive(t *testing.T) {
	s := runServer(t, server.Options{Port: -1, JetStream: true, StoreDir: t.TempDir()})
	cfg := remote(t, "nats://127.0.0.1:1") // nobody
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
