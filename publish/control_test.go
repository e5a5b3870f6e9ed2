package publish_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nats.go/micro"

	"github.com/oodcast/oodcast/publish"
	"github.com/oodcast/oodcast/publish/schema"
)

func TestControl(t *testing.T) {
	p := start(t, embeddedConfig(t), []publish.Camera{newCamera("front")}, publish.WithVersion("1.2.3"))
	nc := connect(t, p.URL())
	for _, c := range []struct {
		verb, in string
		check    func(schema.Status) bool
		fault    string
	}{
		{"get", "", func(s schema.Status) bool { return s.Timesteps.N == 5 && s.Threshold == 4 && s.State == "live" }, ""},
		{"set", `{"timesteps":12}`, func(s schema.Status) bool { return s.Timesteps.N == 12 && s.Threshold == 4 }, ""},
		{"set", `{"threshold":6.5}`, func(s schema.Status) bool { return s.Timesteps.N == 12 && s.Threshold == 6.5 }, ""},
		{"set", `{"timesteps":"auto"}`, func(s schema.Status) bool { return s.Timesteps.Auto }, ""},
		{"set", `{"timesteps":99}`, nil, "timesteps: got 99, want 1..25"},
		{"set", `{"steps":3}`, nil, `unknown field "steps"`},
		{"set", `nonsense`, nil, `request is not JSON: want an object such as {"timesteps": 5}`},
		{"pause", "", func(s schema.Status) bool { return s.Paused }, ""},
		{"resume", "", func(s schema.Status) bool { return !s.Paused && s.Timesteps.Auto }, ""},
	} {
		t.Run(c.verb+c.in, func(t *testing.T) {
			r, err := nc.Request("oodcast.v1.default.front.ctl."+c.verb, []byte(c.in), 5*time.Second)
			if err != nil {
				t.Fatal(err)
			}
			if got := r.Header.Get("Content-Type"); got != "application/json" {
				t.Errorf("content type %q", got)
			}
			if c.fault != "" {
				var f schema.Fault
				if err := json.Unmarshal(r.Data, &f); err != nil || f.Error != c.fault {
					t.Errorf("answer %s, want fault %q", r.Data, c.fault)
				}
				if r.Header.Get(micro.ErrorCodeHeader) != "400" || r.Header.Get(micro.ErrorHeader) != c.fault {
					t.Errorf("headers %v", r.Header)
				}
				return
			}
			var s schema.Status
			if err := json.Unmarshal(r.Data, &s); err != nil || !c.check(s) {
				t.Errorf("answer %s, %v", r.Data, err)
			}
		})
	}
	info, err := nc.Request("$SRV.INFO.oodcast", nil, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	var found micro.Info
	if err := json.Unmarshal(info.Data, &found); err != nil || found.Version != "1.2.3" || len(found.Endpoints) != 5 {
		t.Errorf("service info %s", info.Data)
	}
}

func TestSnapshot(t *testing.T) {
	p := start(t, embeddedConfig(t), []publish.Camera{newCamera("front")})
	nc := connect(t, p.URL())
	sub := subscribe(t, nc, "oodcast.v1.default.front.snapshot")
	r, err := nc.Request("oodcast.v1.default.front.ctl.snapshot", nil, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	var s publish.Snapshot
	if err := json.Unmarshal(r.Data, &s); err != nil || s.Subject != sub.Subject || s.Bytes != 10 {
		t.Errorf("answer %s, %v", r.Data, err)
	}
	if m := next(t, sub); m.Header.Get("Content-Type") != "image/jpeg" || len(m.Data) != 10 {
		t.Errorf("snapshot %v, %d bytes", m.Header, len(m.Data))
	}
}

// TestPresence watches a camera's state on the subject and in the bucket, where it expires with the publisher.
func TestPresence(t *testing.T) {
	cam := newCamera("front")
	p := start(t, embeddedConfig(t), []publish.Camera{cam})
	nc := connect(t, p.URL())
	status := subscribe(t, nc, "oodcast.v1.default.front.status")
	stats := subscribe(t, nc, "oodcast.v1.default.front.stats")
	cam.mu.Lock()
	cam.st.State, cam.st.Reason = schema.StateDown, "timed out"
	cam.mu.Unlock()
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
