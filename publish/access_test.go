package publish_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nats.go/micro"

	"github.com/oodcast/oodcast/publish"
	"github.com/oodcast/oodcast/publish/client"
	"github.com/oodcast/oodcast/publish/schema"
)

// as connects to an embedded server as viewer or controller.
func as(t *testing.T, p *publish.Publisher, cfg publish.Config, name string) *nats.Conn {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(cfg.StateDir, name+".password"))
	if err != nil {
		t.Fatal(err)
	}
	nc, err := nats.Connect(p.URL(), nats.UserInfo(name, strings.TrimSpace(string(b))), nats.Name("test"),
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// TestEmbeddedIsClosed has an embedded server without a login in the configuration: nobody connects without one of the
// generated passwords, which only the user of oodcast can read and which are in no log.
func TestEmbeddedIsClosed(t *testing.T) {
	cfg := embeddedConfig(t)
	var log syncBuffer
	p := start(t, cfg, []schema.Camera{newCamera("front")}, log.option())
	for range 3 {
		if nc, err := nats.Connect(p.URL()); err == nil {
			nc.Close()
			t.Error("connected without a login")
		}
	}
	for _, wrong := range []string{"", "viewer", "x"} {
		for _, name := range []string{"viewer", "oodcast", "nobody", ""} {
			if nc, err := nats.Connect(p.URL(), nats.UserInfo(name, wrong)); err == nil {
				nc.Close()
				t.Errorf("connected as %q with the password %q", name, wrong)
			}
		}
	}
	secrets := map[string]string{}
	for _, name := range []string{"viewer", "controller"} {
		file := filepath.Join(cfg.StateDir, name+".password")
		b, err := os.ReadFile(file)
		info, statErr := os.Stat(file)
		if err := errors.Join(err, statErr); err != nil || info.Mode().Perm() != 0o600 || len(b) < 24 {
			t.Fatalf("%s: %v, %v", file, info, err)
		}
		secrets[name] = strings.TrimSpace(string(b))
		if strings.Contains(log.String()+p.URL()+p.Login(), secrets[name]) {
			t.Error("a password is in the log or in the address")
		}
	}
	if secrets["viewer"] == secrets["controller"] {
		t.Error("one password for both users")
	}
	if n := strings.Count(log.String(), "authentication error"); n != 1 {
		t.Errorf("%d lines about refused clients, want 1:\n%s", n, log.String())
	}
	if login := p.Login(); !strings.Contains(login, filepath.Join(cfg.StateDir, "viewer.password")) {
		t.Errorf("Login() = %q", login)
	}
}

// TestViewerAndController checks what the users of the embedded server can do, and that they cannot do anything else: neither
// directly nor by naming a subject for the answer to a request.
func TestViewerAndController(t *testing.T) {
	cfg := embeddedConfig(t)
	cfg.MapStream = true
	reg, option := counted(t)
	cam := newCamera("front")
	p := start(t, cfg, []schema.Camera{cam}, option)
	admin, err := p.Dial()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(admin.Close)
	js, err := jetstream.New(admin)
	if err != nil {
		t.Fatal(err)
	}
	p.Event(event("e", 1))
	wait(t, "the event", func() bool { return metric(t, reg, "oodcast_nats_publish_total", "event", "sent") == 1 })
	wait(t, "the presence", present(t, admin, "default.front"))
	for name, mayControl := range map[string]bool{"viewer": false, "controller": true} {
		t.Run(name, func(t *testing.T) {
			nc := as(t, p, cfg, name)
			c := client.New(nc)
			sub := subscribe(t, nc, "oodcast.>")
			p.Map(testMap("front", 1, 8, 8))
			next(t, sub)
			if st, err := c.Get(t.Context(), "front"); err != nil || st.Camera != "front" {
				t.Errorf("get: %v", err)
			}
			if cams, err := c.Cameras(t.Context()); err != nil || len(cams) != 1 {
				t.Errorf("Cameras() = %d, %v", len(cams), err)
			}
			if err := c.TakeSnapshot(t.Context(), "front"); err != nil {
				t.Errorf("snapshot: %v", err)
			}
			wait(t, "a stored map", func() bool { _, err := c.LastMap(t.Context(), "front"); return err == nil })
			theirs, err := jetstream.New(nc)
			if err != nil {
				t.Fatal(err)
			}
			stream, err := theirs.Stream(t.Context(), "EVENTS")
			if err != nil {
				t.Fatal(err)
			}
			if m, err := stream.GetMsg(t.Context(), 1); err != nil || m.Header.Get("Nats-Msg-Id") != "e.1" {
				t.Errorf("reading an old event: %v", err)
			}
			if pings := askServices[micro.Ping](t, nc, "$SRV.PING.oodcast", 1); len(pings) != 1 {
				t.Errorf("discovery: %v", pings)
			}
			threshold := float32(6)
			short, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			if mayControl {
				if _, err := c.Set(t.Context(), "front", schema.Update{Threshold: &threshold}); err != nil {
					t.Errorf("set: %v", err)
				}
			} else if _, err := c.Set(short, "front", schema.Update{Threshold: &threshold}); err == nil {
				t.Error("the viewer changed a setting")
			}
			forge(t, nc)
		})
	}
	if err := admin.Flush(); err != nil {
		t.Fatal(err)
	}
	if st := cam.Status(); st.Paused {
		t.Error("detection was paused")
	}
	if n := stored(t.Context(), js, "EVENTS"); n != 1 {
		t.Errorf("%d events in the stream, want the one that oodcast sent", n)
	}
	if !present(t, admin, "default.front")() {
		t.Error("the presence was deleted")
	}
}

// forge tries to pause detection, to store, purge and delete events, and to delete presence. Each attempt asks for an answer
// that must not come.
func forge(t *testing.T, nc *nats.Conn) {
	t.Helper()
	const event = `{"id":"forged","type":"start","camera":"front","site":"default"}`
	for subject, body := range map[string]string{
		"oodcast.v1.default.front.event.start":             event,
		"oodcast.v1.default.front.status":                  "{}",
		"$JS.API.STREAM.PURGE.EVENTS":                      "",
		"$JS.API.STREAM.DELETE.EVENTS":                     "",
		"$JS.API.STREAM.DELETE.KV_oodcast_status":          "",
		"$JS.API.STREAM.MSG.DELETE.EVENTS":                 `{"seq":1}`,
		"$JS.API.STREAM.UPDATE.EVENTS":                     `{"name":"EVENTS","subjects":["x"]}`,
		"$JS.API.STREAM.CREATE.OTHER":                      `{"name":"OTHER","subjects":["other"]}`,
		"$JS.API.CONSUMER.CREATE.EVENTS":                   `{"stream_name":"EVENTS","config":{"deliver_subject":"oodcast.v1.default.front.ctl.pause"}}`,
		"$KV.oodcast_status.default.front":                 "{}",
		"$SYS.REQ.SERVER.PING":                             "",
		"$JS.API.ACCOUNT.PURGE.OODCAST":                    "",
		"oodcast.v1.default.front.ctl.explode":             "",
		"oodcast.v1.default.front.map":                     "junk",
		"$JS.API.CONSUMER.DURABLE.CREATE.EVENTS.mine":      "{}",
		"$JS.API.DIRECT.GET.OBJ_oodcast_archive":           `{"seq":1}`,
		"$JS.API.STREAM.SNAPSHOT.EVENTS":                   "{}",
		"$JS.API.STREAM.RESTORE.EVENTS":                    "{}",
		"$JS.API.STREAM.LEADER.STEPDOWN.EVENTS":            "",
		"$JS.API.CONSUMER.MSG.NEXT.EVENTS.mine":            "",
		"$JS.API.CONSUMER.CREATE.EVENTS.mine.oodcast.v1.>": "{}",
		"$JS.API.STREAM.MSG.DELETE.KV_oodcast_status":      `{"seq":1}`,
		"$JS.API.STREAM.PURGE.KV_oodcast_status":           "",
		"$JS.API.STREAM.PURGE.MAPS":                        "",
		"oodcast.v1.default.front.event.end":               event,
	} {
		if m, err := nc.Request(subject, []byte(body), 50*time.Millisecond); err == nil {
			t.Errorf("%s was answered with %s", subject, m.Data)
		}
	}
	// The answer to a permitted request goes where the request says.
	direct, err := json.Marshal(map[string]uint64{"seq": 1})
	if err != nil {
		t.Fatal(err)
	}
	for request, body := range map[string][]byte{
		"$JS.API.INFO": nil, "$JS.API.STREAM.INFO.EVENTS": nil, "$JS.API.DIRECT.GET.EVENTS": direct,
		"oodcast.v1.default.front.ctl.get": nil, "$SRV.PING.oodcast": nil,
	} {
		for _, reply := range []string{
			"oodcast.v1.default.front.ctl.pause", "oodcast.v1.default.front.event.start", "$KV.oodcast_status.default.front",
			"$JS.API.STREAM.PURGE.EVENTS",
		} {
			if err := nc.PublishRequest(request, reply, body); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := nc.Publish("oodcast.v1.default.front.ctl.pause", nil); err != nil { // no answer wanted: not done
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
}

// TestEmbeddedKeepsEvents starts an embedded server on the streams of a version without accounts: they are still there.
func TestEmbeddedKeepsEvents(t *testing.T) {
	cfg := embeddedConfig(t)
	run := func(name string, n uint64) {
		t.Run(name, func(t *testing.T) {
			reg, option := counted(t)
			p := start(t, cfg, nil, option)
			p.Event(event(name, 1))
			wait(t, "the event", func() bool { return metric(t, reg, "oodcast_nats_spool_bytes") == 0 })
			nc, err := p.Dial()
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(nc.Close)
			js, err := jetstream.New(nc)
			if err != nil {
				t.Fatal(err)
			}
			wait(t, "the events", func() bool { return stored(t.Context(), js, "EVENTS") == n })
		})
	}
	run("first", 1)
	streams := filepath.Join(cfg.StateDir, "nats", "jetstream")
	if err := os.Rename(filepath.Join(streams, "OODCAST"), filepath.Join(streams, "$G")); err != nil {
		t.Fatal(err)
	}
	run("second", 3) // and the end of the first
}

// TestDialFindsTheLogin connects like another program of the same user: with the state directory it needs no login, and
// without it the error says what to do. A password goes to no other server.
func TestDialFindsTheLogin(t *testing.T) {
	cfg := embeddedConfig(t)
	p := start(t, cfg, nil)
	for _, url := range []string{"embedded://127.0.0.1:0", p.URL(), strings.Replace(p.URL(), "127.0.0.1", "localhost", 1)} {
		c := cfg
		c.URL = url
		dial(t, c)
	}
	stranger := cfg
	stranger.URL, stranger.StateDir = p.URL(), t.TempDir()
	if _, err := publish.Dial(stranger); err == nil || !strings.Contains(err.Error(), "OODCAST_PUBLISH__STATE_DIR") ||
		strings.Contains(err.Error(), "\n") {
		t.Errorf("without the state directory: %v", err)
	}
	logins := make(chan string, 1)
	fake := runServerThatListens(t, logins)
	thief := cfg
	thief.URL = fake
	if nc, err := publish.Dial(thief); err == nil {
		nc.Close()
	}
	if got := <-logins; strings.Contains(got, "controller") || strings.Contains(got, "viewer") {
		t.Errorf("another server was sent %s", got)
	}
}

// runServerThatListens accepts one client, reports what it says to log in, and hangs up.
func runServerThatListens(t *testing.T, said chan<- string) (url string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	go func() {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = conn.Write([]byte("INFO {\"auth_required\":true,\"max_payload\":1048576}\r\n"))
		line, _ := bufio.NewReader(conn).ReadString('\n')
		said <- line
	}()
	return "nats://" + ln.Addr().String()
}

// TestEmbeddedNamesTheRequester checks that a change on the embedded server is audited with the user and the host that the
// server has seen, whatever the request says.
func TestEmbeddedNamesTheRequester(t *testing.T) {
	cfg := embeddedConfig(t)
	p := start(t, cfg, nil)
	addAudited(t, p, 4)
	nc := as(t, p, cfg, "controller")
	sub := subscribe(t, nc, "oodcast.v1.default.front.audit")
	_, err := nc.RequestMsg(&nats.Msg{
		Subject: "oodcast.v1.default.front.ctl.pause",
		Header:  nats.Header{"Nats-Request-Info": {`{"user":"somebody","host":"10.0.0.1"}`}, "Oodcast-Requester": {"me\x1b[2J"}},
	}, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	var a schema.Audit
	if err := json.Unmarshal(next(t, sub).Data, &a); err != nil || a.Name != "controller me[2J" || a.Address != "127.0.0.1" {
		t.Errorf("the requester is %+v, %v", a.Requester, err)
	}
}
