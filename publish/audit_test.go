package publish_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/oodcast/oodcast/publish"
	"github.com/oodcast/oodcast/publish/client"
	"github.com/oodcast/oodcast/publish/schema"
	"github.com/oodcast/oodcast/publish/schema/schematest"
)

// auditedCamera tells an outlet about changes of its settings, as cameras of the pipeline do.
type auditedCamera struct {
	*schematest.Camera
	outlet *publish.Publisher
}

func (c *auditedCamera) Apply(who schema.Requester, u schema.Update) (schema.Status, error) {
	before := c.Status().Settings()
	st, err := c.Camera.Apply(who, u)
	if err == nil {
		c.outlet.Audit(schema.Audit{
			Site: "default", Camera: c.Name(), Time: time.Now(), Requester: who, Action: u.Action(),
			Before: before.Only(u), After: st.Settings().Only(u),
		})
	}
	return st, err
}

// addAudited adds a camera with five timesteps and the given threshold in its configuration.
func addAudited(t *testing.T, p *publish.Publisher, threshold float32) *auditedCamera {
	t.Helper()
	cam := &auditedCamera{schematest.NewCamera("front"), p}
	cam.Edit(func(st *schema.Status) { st.Threshold = threshold })
	if err := p.AddCamera(cam); err != nil {
		t.Fatal(err)
	}
	return cam
}

// TestAudit changes settings over the bus: each change is sent with its requester and the settings before and after it, also
// when the server was away meanwhile. A refused request is no change.
func TestAudit(t *testing.T) {
	opts := server.Options{Port: -1, JetStream: true, StoreDir: t.TempDir()}
	s := runServer(t, opts)
	p := start(t, remote(t, s.ClientURL()), nil)
	cam := addAudited(t, p, 4)
	nc := connect(t, s.ClientURL(), nats.Name("console\x1b[2J"), nats.MaxReconnects(-1), nats.ReconnectWait(20*time.Millisecond))
	sub := subscribe(t, nc, "oodcast.v1.default.front.audit")
	c := client.New(nc)
	threshold := float32(6)
	if _, err := c.Set(t.Context(), "front", schema.Update{Threshold: &threshold}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Set(t.Context(), "front", schema.Update{Timesteps: &schema.Timesteps{N: 99}}); err == nil {
		t.Error("99 timesteps accepted")
	}
	if _, err := c.Pause(t.Context(), "front"); err != nil {
		t.Fatal(err)
	}
	read := func() (a schema.Audit, text string) {
		t.Helper()
		m := next(t, sub)
		if err := json.Unmarshal(m.Data, &a); err != nil {
			t.Fatal(err)
		}
		before, _ := json.Marshal(a.Before)
		after, _ := json.Marshal(a.After)
		return a, a.Action + " " + string(before) + " " + string(after)
	}
	a, text := read()
	if text != `set {"threshold":4} {"threshold":6}` || a.Via != schema.ViaNATS || !strings.HasPrefix(a.Name, "console[2J") ||
		a.Camera != "front" {
		t.Errorf("%s by %+v", text, a.Requester)
	}
	if _, text := read(); text != `pause {"paused":false} {"paused":true}` {
		t.Error(text)
	}
	opts.Port = port(s)
	stopServer(s)
	wait(t, "the outage", func() bool { return !p.Connected() })
	paused := false
	if _, err := cam.Apply(schema.Requester{Via: schema.ViaHTTP, Address: "10.0.0.7:1234"}, schema.Update{Paused: &paused}); err != nil {
		t.Fatal(err)
	}
	wait(t, "the subscriber to notice", func() bool { return !nc.IsConnected() })
	runServer(t, opts)
	deadline := time.Now().Add(20 * time.Second)
	for time.Now().Before(deadline) {
		if m, err := sub.NextMsg(20 * time.Second); err == nil {
			var a schema.Audit
			if err := json.Unmarshal(m.Data, &a); err != nil || a.Action != schema.ActionResume || a.Address != "10.0.0.7:1234" {
				t.Errorf("%s, %v", m.Data, err)
			}
			return
		}
	}
	t.Error("the change during the outage was not sent")
}

// TestSettingsSurvive restarts the publisher: settings made by requests are in force again, unless the configuration of the
// camera has changed. When they cannot be kept, the answer says so.
func TestSettingsSurvive(t *testing.T) {
	s := runServer(t, server.Options{Port: -1})
	cfg := remote(t, s.ClientURL())
	nc := connect(t, s.ClientURL())
	run := func(name string, threshold float32, check func(*testing.T, *auditedCamera)) {
		t.Run(name, func(t *testing.T) {
			cam := addAudited(t, start(t, cfg, nil), threshold)
			wait(t, "the control service", func() bool {
				_, err := nc.Request("oodcast.v1.default.front.ctl.get", nil, time.Second)
				return err == nil
			})
			check(t, cam)
		})
	}
	run("changed", 4, func(t *testing.T, _ *auditedCamera) {
		ask(t, nc, "front", "set", `{"threshold":6}`)
		if got := string(ask(t, nc, "front", "set", `{"timesteps":9}`).Data); strings.Contains(got, "settings_volatile") {
			t.Errorf("answer %s", got)
		}
	})
	run("restored", 4, func(t *testing.T, cam *auditedCamera) {
		if st := cam.Status(); st.Threshold != 6 || st.Timesteps.N != 9 {
			t.Errorf("after a restart: %+v", st)
		}
	})
	run("another configuration", 5, func(t *testing.T, cam *auditedCamera) {
		if st := cam.Status(); st.Threshold != 5 || st.Timesteps.N != 5 {
			t.Errorf("with another configuration: %+v", st)
		}
		info, err := os.Stat(filepath.Join(cfg.StateDir, "settings", "default.front.json"))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("the file is %v, %v", info, err)
		}
	})
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	cfg.StateDir = file // no folder can be made in it
	run("volatile", 4, func(t *testing.T, _ *auditedCamera) {
		if got := string(ask(t, nc, "front", "set", `{"timesteps":9}`).Data); !strings.Contains(got, `"settings_volatile":"the settings end with this run: `) {
			t.Errorf("answer %s", got)
		}
	})
}

// TestRequestsWithoutReply sends many requests that want no answer, as MQTT clients do: they are done, and the log has one
// line.
func TestRequestsWithoutReply(t *testing.T) {
	s := runServer(t, server.Options{Port: -1})
	var log syncBuffer
	cam := newCamera("front")
	start(t, remote(t, s.ClientURL()), []schema.Camera{cam}, log.option())
	nc := connect(t, s.ClientURL())
	for _, verb := range []string{"get", "set", "snapshot"} {
		for range 200 {
			if err := nc.Publish("oodcast.v1.default.front.ctl."+verb, []byte("junk")); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := nc.Publish("oodcast.v1.default.front.ctl.set", []byte(`{"threshold":9}`)); err != nil {
		t.Fatal(err)
	}
	wait(t, "the setting", func() bool { return cam.Status().Threshold == 9 })
	if n := strings.Count(log.String(), "reply"); n != 1 {
		t.Errorf("%d lines about replies, want 1:\n%s", n, log.String())
	}
}

// TestOrigin checks that every message has the run and the process that made it.
func TestOrigin(t *testing.T) {
	s := runServer(t, server.Options{Port: -1, JetStream: true, StoreDir: t.TempDir()})
	cfg := remote(t, s.ClientURL())
	cfg.StatusInterval = time.Second
	sub := subscribe(t, connect(t, s.ClientURL()), "oodcast.v1.default.front.>")
	p := start(t, cfg, nil)
	cam := addAudited(t, p, 4)
	p.Map(testMap("front", 0, 8, 8))
	p.Event(event("e", 1))
	threshold := float32(8)
	if _, err := cam.Apply(schema.Requester{Via: schema.ViaHTTP}, schema.Update{Threshold: &threshold}); err != nil {
		t.Fatal(err)
	}
	want := schema.ThisProcess()
	missing := []string{"map", "score", "event.update", "status", "stats", "audit"}
	for len(missing) > 0 {
		m := next(t, sub)
		kind := strings.TrimPrefix(m.Subject, "oodcast.v1.default.front.")
		if m.Header.Get("Oodcast-Run") != want.Run || m.Header.Get("Oodcast-Process") != want.Process {
			t.Errorf("%s has the headers %v, want %+v", kind, m.Header, want)
		}
		var got schema.Origin
		if kind == "map" {
			dec, err := schema.NewDecoder()
			if err != nil {
				t.Fatal(err)
			}
			decoded, _, err := dec.Decode(m.Data)
			if err != nil {
				t.Fatal(err)
			}
			_ = dec.Close()
			got = schema.Origin{Run: decoded.GetRun(), Process: decoded.GetProcess()}
		} else if err := json.Unmarshal(m.Data, &got); err != nil {
			t.Fatal(err)
		}
		if got != want && kind != "audit" { // the test's camera does not set it
			t.Errorf("%s has %+v, want %+v", kind, got, want)
		}
		missing = slices.DeleteFunc(missing, func(k string) bool { return k == kind })
	}
	if want.Run == "" || !strings.Contains(want.Process, ":") {
		t.Errorf("origin %+v", want)
	}
}

// TestTwins runs two publishers of one camera: when one of them ends, the camera stays present, in whatever order they have
// written. When the other ends too, it expires or is deleted.
func TestTwins(t *testing.T) {
	s := runServer(t, server.Options{Port: -1, JetStream: true, StoreDir: t.TempDir()})
	nc := connect(t, s.ClientURL())
	inBucket := present(t, nc, "default.front")
	cfg := func() publish.Config {
		c := remote(t, s.ClientURL())
		c.StatusInterval = time.Second
		return c
	}
	for _, first := range []bool{true, false} {
		older, younger := newCamera("front"), newCamera("front")
		endOlder := run(t, cfg(), older)
		wait(t, "the camera", inBucket)
		stats := subscribe(t, nc, "oodcast.v1.default.front.stats")
		endYounger := run(t, cfg(), younger)
		for range 4 {
			next(t, stats)
		}
		one, other := endOlder, endYounger
		if !first {
			one, other = endYounger, endOlder
		}
		one()
		if !inBucket() {
			t.Errorf("older ends first: %v: the camera is absent though its twin runs", first)
		}
		other()
		wait(t, "the camera to be absent", absent(inBucket))
	}
	end := run(t, cfg(), newCamera("front"))
	wait(t, "the camera", inBucket)
	end()
	if inBucket() {
		t.Error("the camera is present after the regular end of the only publisher")
	}
}
