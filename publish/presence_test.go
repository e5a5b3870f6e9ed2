package publish_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/oodcast/oodcast/publish"
	"github.com/oodcast/oodcast/publish/schema"
)

// present returns a function that reports whether a camera has an entry in the presence bucket.
func present(t *testing.T, nc *nats.Conn, key string) func() bool {
	t.Helper()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return func() bool {
		kv, err := js.KeyValue(t.Context(), "oodcast_status")
		if err != nil {
			return false
		}
		_, err = kv.Get(t.Context(), key)
		if err != nil && !errors.Is(err, jetstream.ErrKeyNotFound) && nc.IsConnected() {
			t.Logf("presence: %v", err)
		}
		return err == nil
	}
}

func absent(present func() bool) func() bool { return func() bool { return !present() } }

// TestPresenceExpires kills a publisher: the entry of its camera expires a few seconds later.
func TestPresenceExpires(t *testing.T) {
	s := runServer(t, server.Options{Port: -1, JetStream: true, StoreDir: t.TempDir()})
	p := launch(t, "publisher", s.ClientURL(), t.TempDir(), "e")
	inBucket := present(t, connect(t, s.ClientURL()), "default.front")
	wait(t, "the camera", inBucket)
	p.kill()
	if !inBucket() {
		t.Error("the entry disappeared with the process, want it to expire")
	}
	wait(t, "the entry to expire", absent(inBucket))
}

// TestPresenceAfterRestart restarts the server, which keeps presence in memory: the publisher restores state, entry and map
// stream.
func TestPresenceAfterRestart(t *testing.T) {
	opts := server.Options{Port: -1, JetStream: true, StoreDir: t.TempDir()}
	first := runServer(t, opts)
	cfg := remote(t, first.ClientURL())
	cfg.MapStream, cfg.StatusInterval = true, time.Hour
	p := start(t, cfg, []schema.Camera{newCamera("front")})
	nc := connect(t, cfg.URL, nats.MaxReconnects(-1), nats.ReconnectWait(20*time.Millisecond))
	inBucket := present(t, nc, "default.front")
	wait(t, "the camera", inBucket)
	opts.Port = port(first)
	stopServer(first)
	runServer(t, opts)
	wait(t, "the camera after the restart", inBucket)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	wait(t, "the map stream", func() bool { _, err := js.Stream(t.Context(), "MAPS"); return err == nil })
	p.Map(testMap("front", 7, 8, 8))
	wait(t, "the map in it", func() bool {
		stream, err := js.Stream(t.Context(), "MAPS")
		if err != nil {
			return false
		}
		m, err := stream.GetLastMsgForSubject(t.Context(), "oodcast.v1.default.front.map")
		return err == nil && m.Header.Get("X-Seq") == "7"
	})
}

// TestMapStream checks that the stream keeps the last maps of each camera, and no more, even before the first event.
func TestMapStream(t *testing.T) {
	cfg := embeddedConfig(t)
	cfg.MapStream = true
	reg, option := counted(t)
	p := start(t, cfg, nil, option)
	js, err := jetstream.New(connect(t, p.URL()))
	if err != nil {
		t.Fatal(err)
	}
	wait(t, "the stream", func() bool { _, err := js.Stream(t.Context(), "MAPS"); return err == nil })
	const n = 100
	for i := range uint64(n) {
		p.Map(testMap("front", i, 8, 8))
		wait(t, "a map", func() bool { return metric(t, reg, "oodcast_nats_publish_total", "map", "sent") == float64(i+1) })
	}
	stream, err := js.Stream(t.Context(), "MAPS")
	if err != nil {
		t.Fatal(err)
	}
	wait(t, "the last map", func() bool {
		m, err := stream.GetLastMsgForSubject(t.Context(), "oodcast.v1.default.front.map")
		return err == nil && m.Header.Get("X-Seq") == "99"
	})
	info, err := stream.Info(t.Context())
	if err != nil || info.State.Msgs != 30 || info.Config.Storage != jetstream.MemoryStorage || info.Config.MaxBytes <= 0 {
		t.Errorf("the stream has %d maps, %+v, %v, want 30 in memory", info.State.Msgs, info.Config, err)
	}
}

// TestForeignStream has a stream of the same name that was created for other subjects: the publisher does not change it, and
// logs once what to do.
func TestForeignStream(t *testing.T) {
	s := runServer(t, server.Options{Port: -1, JetStream: true, StoreDir: t.TempDir()})
	js, err := jetstream.New(connect(t, s.ClientURL()))
	if err != nil {
		t.Fatal(err)
	}
	foreign := jetstream.StreamConfig{Name: "EVENTS", Subjects: []string{"lab.v1.*.*.event.>"}}
	if _, err := js.CreateStream(t.Context(), foreign); err != nil {
		t.Fatal(err)
	}
	var log syncBuffer
	reg, option := counted(t)
	p := start(t, remote(t, s.ClientURL()), nil, option, log.option())
	p.Event(event("e", 1))
	const want = "stream EVENTS: it exists but does not accept oodcast.v1.*.*.event.>: add that subject to it, or delete it"
	wait(t, "the advice", func() bool { return strings.Contains(log.String(), "events are waiting for nats") })
	if !strings.Contains(log.String(), want) {
		t.Errorf("log:\n%s\nwant %q", log.String(), want)
	}
	foreign.Subjects = append(foreign.Subjects, "oodcast.v1.*.*.event.>")
	if _, err := js.UpdateStream(t.Context(), foreign); err != nil {
		t.Fatal(err)
	}
	wait(t, "the event", func() bool { return metric(t, reg, "oodcast_nats_publish_total", "event", "sent") == 1 })
}

// TestAddAndRemoveCamera adds a camera to a running publisher and removes it again, together with everything about it.
func TestAddAndRemoveCamera(t *testing.T) {
	reg := prometheus.NewRegistry()
	metrics, err := publish.NewMetrics(reg, nil)
	if err != nil {
		t.Fatal(err)
	}
	p := start(t, embeddedConfig(t), []schema.Camera{newCamera("front")}, publish.WithMetrics(metrics))
	nc := connect(t, p.URL())
	status := subscribe(t, nc, "oodcast.v1.default.rear.status")
	inBucket := present(t, nc, "default.rear")
	for range 3 {
		if err := p.AddCamera(newCamera("rear")); err != nil {
			t.Fatal(err)
		}
		if err := p.AddCamera(newCamera("rear")); err == nil || err.Error() != `publish: two cameras are named "rear"` {
			t.Errorf("AddCamera again = %v", err)
		}
		if err := p.AddCamera(newCamera("Rear")); err == nil {
			t.Error("AddCamera accepts an invalid name")
		}
		var st schema.Status
		if err := json.Unmarshal(next(t, status).Data, &st); err != nil || st.Camera != "rear" {
			t.Fatalf("status %+v, %v", st, err)
		}
		ask(t, nc, "rear", "get", "")
		wait(t, "its presence", inBucket)
		p.Map(testMap("rear", 0, 4, 4))
		wait(t, "the age of its map, which is observed last", func() bool {
			return series(t, reg, "rear", "oodcast_frame_age_seconds") == 1
		})
		if err := p.RemoveCamera("rear"); err != nil {
			t.Fatal(err)
		}
		wait(t, "its presence to be deleted", absent(inBucket))
		wait(t, "its control service to end", func() bool {
			_, err := nc.Request("oodcast.v1.default.rear.ctl.get", nil, time.Second)
			return errors.Is(err, nats.ErrNoResponders)
		})
		if n := series(t, reg, "rear", ""); n != 0 {
			t.Errorf("%d series of the removed camera are left", n)
		}
	}
	if err := p.RemoveCamera("rear"); err == nil || err.Error() != `publish: no camera is named "rear"` {
		t.Errorf("RemoveCamera again = %v", err)
	}
	ask(t, nc, "front", "get", "")
	askServices[struct{}](t, nc, "$SRV.PING.oodcast", 1)
}

// series counts the series of a camera, in one family or in all ("").
func series(t *testing.T, reg *prometheus.Registry, camera, family string) (n int) {
	t.Helper()
	all, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range all {
		if family != "" && f.GetName() != family {
			continue
		}
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if l.GetName() == "camera" && l.GetValue() == camera {
					n++
				}
			}
		}
	}
	return n
}

// TestPresence checks a camera's state on its subject and in the bucket, whose entries expire.
func TestPresence(t *testing.T) {
	cam := newCamera("front")
	p := start(t, embeddedConfig(t), []schema.Camera{cam})
	nc := connect(t, p.URL())
	status := subscribe(t, nc, "oodcast.v1.default.front.status")
	stats := subscribe(t, nc, "oodcast.v1.default.front.stats")
	cam.Edit(func(s *schema.Status) { s.State, s.Reason = schema.StateDown, "timed out" })
	p.StatusChanged()
	for {
		var s schema.Status
		if err := json.Unmarshal(next(t, status).Data, &s); err != nil {
			t.Fatal(err)
		}
		if s.State == schema.StateDown && s.Reason == "timed out" {
			break
		}
	}
	var st schema.Stats
	if err := json.Unmarshal(next(t, stats).Data, &st); err != nil {
		t.Fatal(err)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	kv, err := js.KeyValue(t.Context(), "oodcast_status")
	if err != nil {
		t.Fatal(err)
	}
	e, err := kv.Get(t.Context(), "default.front")
	if err != nil {
		t.Fatal(err)
	}
	var s schema.Status
	if err := json.Unmarshal(e.Value(), &s); err != nil || s.State != schema.StateDown {
		t.Errorf("presence %s", e.Value())
	}
	info, err := kv.Status(t.Context())
	if err != nil || info.TTL() != 3*time.Second {
		t.Errorf("TTL = %v, %v, want 3s", info.TTL(), err)
	}
}
