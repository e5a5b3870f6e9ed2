package publish_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"github.com/oodcast/oodcast/publish"
	"github.com/oodcast/oodcast/publish/schema"
	"github.com/oodcast/oodcast/publish/schema/schematest"
)

// ask sends a control request to a camera.
func ask(t *testing.T, nc *nats.Conn, camera, verb, body string) *nats.Msg {
	t.Helper()
	r, err := nc.Request("oodcast.v1.default."+camera+".ctl."+verb, []byte(body), 30*time.Second)
	if err != nil {
		t.Fatalf("%s: %v", verb, err)
	}
	if got := r.Header.Get("Content-Type"); got != "application/json" {
		t.Errorf("%s: content type %q", verb, got)
	}
	return r
}

// checkFault checks that an answer is a refusal, both in its headers and in its body.
func checkFault(t *testing.T, r *nats.Msg, code, want string) {
	t.Helper()
	var f schema.Fault
	if err := json.Unmarshal(r.Data, &f); err != nil || f.Error != want {
		t.Errorf("answer %s, want fault %q", r.Data, want)
	}
	if r.Header.Get(micro.ErrorCodeHeader) != code || r.Header.Get(micro.ErrorHeader) != want {
		t.Errorf("headers %v, want %s %q", r.Header, code, want)
	}
}

// TestControl uses every verb. An answer is the state in force, and a refused request changes nothing.
func TestControl(t *testing.T) {
	p := start(t, embeddedConfig(t), []schema.Camera{newCamera("front")})
	nc := connect(t, p.URL())
	const form = `, want a whole number, a list of timesteps or "auto"`
	for _, c := range []struct {
		verb, in string
		want     string // timesteps, threshold and pause in force
		fault    string
	}{
		{"get", "", "5 4 false", ""},
		{"get", "ignored", "5 4 false", ""},
		{"set", `{"timesteps":12}`, "12 4 false", ""},
		{"set", `{"threshold":6.5}`, "12 6.5 false", ""},
		{"set", `{"timesteps":[0,4,9],"threshold":-1}`, "[0,4,9] -1 false", ""},
		{"set", `{"timesteps":"auto","latency_budget":"120ms"}`, `"auto" -1 false`, ""},
		{"set", `{"paused":true}`, `"auto" -1 true`, ""},
		{"set", `{"paused":false,"timesteps":3}`, "3 -1 false", ""},
		{"set", `{"timesteps":99}`, "", "timesteps: got 99, want 1..25"},
		{"set", `{"timesteps":-1}`, "", "timesteps: got -1, want 1..25"},
		{"set", `{"timesteps":2.5}`, "", "timesteps: got 2.5" + form},
		{"set", `{"timesteps":"many"}`, "", `timesteps: got "many"` + form},
		{
			"set", `{"timesteps":null,"threshold":null}`, "",
			"request sets nothing: want one or more of timesteps, latency_budget, timesteps_min, timesteps_max, threshold, paused",
		},
		{"set", `{"threshold":"high"}`, "", "threshold: got a string, want a number"},
		{"set", `{"threshold":1e39}`, "", "threshold: got a number 1e39, want a number"},
		{"set", `{"latency_budget":"soon"}`, "", `duration: got "soon", want a string such as "120ms"`},
		{"set", `{"timesteps_min":2.5}`, "", "timesteps_min: got a number 2.5, want a whole number"},
		{"set", `{"steps":3}`, "", `unknown field "steps"`},
		{"set", `{"timesteps":3}{"timesteps":4}`, "", "request has data after its JSON object"},
		{"set", `[3]`, "", "request is a JSON array, want an object"},
		{"set", `nonsense`, "", `request is not JSON: want an object such as {"timesteps": 5}`},
		{"set", "\x00\xff\n", "", `request is not JSON: want an object such as {"timesteps": 5}`},
		{"set", `{"timesteps"`, "", `request is not JSON: want an object such as {"timesteps": 5}`},
		{"set", "", "", `request is not JSON: want an object such as {"timesteps": 5}`},
		{"set", strings.Repeat("[", 20000), "", "request has 20000 bytes, more than 16384"},
		{"get", "", "3 -1 false", ""},
		{"pause", "", "3 -1 true", ""},
		{"pause", "", "3 -1 true", ""},
		{"resume", "", "3 -1 false", ""},
	} {
		t.Run(fmt.Sprintf("%s%.30s", c.verb, c.in), func(t *testing.T) {
			r := ask(t, nc, "front", c.verb, c.in)
			if c.fault != "" {
				checkFault(t, r, "400", c.fault)
				return
			}
			var s schema.Status
			if err := json.Unmarshal(r.Data, &s); err != nil || s.Camera != "front" || s.TimestepsMax != 25 {
				t.Fatalf("answer %s, %v", r.Data, err)
			}
			steps, err := json.Marshal(s.Timesteps)
			if err != nil {
				t.Fatal(err)
			}
			if got := fmt.Sprintf("%s %v %v", steps, s.Threshold, s.Paused); got != c.want {
				t.Errorf("settings in force: %s, want %s", got, c.want)
			}
		})
	}
	own, err := p.Dial() // the controller may not send other verbs
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	if _, err := own.Request("oodcast.v1.default.front.ctl.explode", nil, time.Second); !errors.Is(err, nats.ErrNoResponders) {
		t.Errorf("request with an unknown verb: %v, want ErrNoResponders", err)
	}
	if _, err := nc.Request("oodcast.v1.default.rear.ctl.get", nil, time.Second); !errors.Is(err, nats.ErrNoResponders) {
		t.Errorf("request to an unknown camera: %v, want ErrNoResponders", err)
	}
}

// TestDiscovery finds the service of each camera as NATS tools do.
func TestDiscovery(t *testing.T) {
	p := start(t, embeddedConfig(t), []schema.Camera{newCamera("front"), newCamera("rear")}, publish.WithVersion("v1.2.3"))
	nc := connect(t, p.URL())
	ask(t, nc, "front", "get", "")
	ask(t, nc, "front", "set", "junk")
	for range 2 {
		for _, subject := range []string{"$SRV.PING", "$SRV.PING.oodcast"} {
			pings := askServices[micro.Ping](t, nc, subject, 2)
			if front := pings["front"]; front.Name != "oodcast" || front.Version != "1.2.3" || pings["rear"].Name != "oodcast" {
				t.Errorf("%s: %+v", subject, pings)
			}
		}
	}
	info := askServices[micro.Info](t, nc, "$SRV.INFO.oodcast", 2)["front"]
	verbs := map[string]string{}
	for _, e := range info.Endpoints {
		verbs[e.Metadata["verb"]] = e.Subject
	}
	for _, verb := range []string{"get", "set", "snapshot", "pause", "resume", "normal", "lessons", "forget"} {
		if verbs[verb] != "oodcast.v1.default.front.ctl."+verb {
			t.Errorf("%s has the subject %q", verb, verbs[verb])
		}
	}
	if len(info.Endpoints) != 8 || info.Metadata["site"] != "default" || info.Metadata["prefix"] != "oodcast" {
		t.Errorf("info %+v", info)
	}
	for _, e := range askServices[micro.Stats](t, nc, "$SRV.STATS.oodcast", 2)["front"].Endpoints {
		want := map[string][2]int{"front_get": {1, 0}, "front_set": {1, 1}}[e.Name]
		if e.NumRequests != want[0] || e.NumErrors != want[1] {
			t.Errorf("%s: %d requests, %d errors, want %v", e.Name, e.NumRequests, e.NumErrors, want)
		}
	}
}

// askServices sends a request that n services answer, and returns the answers by camera.
func askServices[T any](t *testing.T, nc *nats.Conn, subject string, n int) map[string]T {
	t.Helper()
	sub := subscribe(t, nc, nats.NewInbox())
	if err := nc.PublishRequest(subject, sub.Subject, nil); err != nil {
		t.Fatal(err)
	}
	answers := map[string]T{}
	for range n {
		data := next(t, sub).Data
		var service struct {
			Metadata map[string]string `json:"metadata"`
		}
		var v T
		if err := errors.Join(json.Unmarshal(data, &service), json.Unmarshal(data, &v)); err != nil {
			t.Fatalf("%s: %v", data, err)
		}
		answers[service.Metadata["camera"]] = v
	}
	return answers
}

func TestSnapshotRefused(t *testing.T) {
	s := runServer(t, server.Options{Port: -1, MaxPayload: 4 << 10})
	start(t, remote(t, s.ClientURL()), []schema.Camera{
		schematest.NewCamera("none"),
		schematest.SnapshotCamera{Camera: schematest.NewCamera("failing"), Err: errors.New("no frame yet")},
		schematest.SnapshotCamera{Camera: schematest.NewCamera("large"), JPEG: make([]byte, 8<<10)},
	})
	nc := connect(t, s.ClientURL())
	checkFault(t, ask(t, nc, "none", "snapshot", ""), "501", "camera none cannot take snapshots")
	checkFault(t, ask(t, nc, "failing", "snapshot", ""), "503", "no frame yet")
	checkFault(t, ask(t, nc, "large", "snapshot", ""), "503", "publish snapshot: nats: maximum payload exceeded")
}

func TestSnapshot(t *testing.T) {
	p := start(t, embeddedConfig(t), []schema.Camera{newCamera("front")})
	nc := connect(t, p.URL())
	sub := subscribe(t, nc, "oodcast.v1.default.front.snapshot")
	r, err := nc.Request("oodcast.v1.default.front.ctl.snapshot", nil, 60*time.Second)
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
