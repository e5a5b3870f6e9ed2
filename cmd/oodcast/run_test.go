package main

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/oodcast/oodcast/ingest/ingesttest"
	"github.com/oodcast/oodcast/publish"
	"github.com/oodcast/oodcast/publish/schema"
)

// broker connects to a real NATS server outside oodcast, so that a subscriber exists before the first map.
func broker(t *testing.T) *nats.Conn {
	t.Helper()
	return dial(t, startNATS(t, natsOptions(t)).ClientURL())
}

// natsOptions returns options of a server with JetStream on a free port.
func natsOptions(t *testing.T) server.Options {
	t.Helper()
	return server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: t.TempDir(), NoSigs: true, NoLog: true,
	}
}

// startNATS starts a server that stops at the end of the test.
func startNATS(t *testing.T, opts server.Options) *server.Server {
	t.Helper()
	s, err := server.NewServer(&opts)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(30 * time.Second) {
		t.Fatal("the NATS server does not start")
	}
	return s
}

func dial(t *testing.T, url string) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// maps subscribes to the maps of all cameras.
func maps(t *testing.T, nc *nats.Conn) *nats.Subscription {
	t.Helper()
	sub, err := nc.SubscribeSync(schema.Subjects{Prefix: "oodcast", Site: "default"}.Of("*", schema.KindMap))
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	return sub
}

// next decodes the next map and checks its headers.
func next(t *testing.T, sub *nats.Subscription, wait time.Duration) (*schema.AnomalyMap, []float32) {
	t.Helper()
	msg, err := sub.NextMsg(wait)
	if err != nil {
		t.Fatalf("no map: %v", err)
	}
	dec, err := schema.NewDecoder()
	if err != nil {
		t.Fatal(err)
	}
	defer dec.Close()
	m, values, err := dec.Decode(msg.Data)
	if err != nil {
		t.Fatalf("map of %d bytes: %v", len(msg.Data), err)
	}
	if got := msg.Header.Get(schema.HeaderSchema); got != schema.MapSchema {
		t.Errorf("%s: %q, want %q", schema.HeaderSchema, got, schema.MapSchema)
	}
	if got := msg.Header.Get(schema.HeaderSeq); got != strconv.FormatUint(m.GetSeq(), 10) {
		t.Errorf("%s: %q, want %d", schema.HeaderSeq, got, m.GetSeq())
	}
	if _, err := time.Parse(time.RFC3339Nano, msg.Header.Get(schema.HeaderCaptureTime)); err != nil {
		t.Error(err)
	}
	if len(msg.Data) > 128<<10 {
		t.Errorf("a map of %d bytes, want at most %d", len(msg.Data), 128<<10)
	}
	return m, values
}

// Every frame of a file becomes a map, in order and without gaps, and the metadata of each map matches its values.
func TestRunPublishesEveryMap(t *testing.T) {
	nc := broker(t)
	sub := maps(t, nc)
	const frames = 25
	clip := filepath.Join(t.TempDir(), "clip.avi")
	ingesttest.WriteLabelled(t, clip, demoClip(t), 0, frames, nil)
	p := start(t, "run", "--source", clip, "--nats", nc.ConnectedUrl(), "--http", "off", "--exit-on-end", "--timesteps", "3",
		"--provider", "cuda") // without a GPU it falls back to the CPU and reports the provider in use
	provider := p.find(t, "provider ")
	for i := range uint64(frames) {
		m, values := next(t, sub, 60*time.Second)
		if m.GetSeq() != i || m.GetFrameSeq() != i {
			t.Fatalf("map %d of frame %d, want %d", m.GetSeq(), m.GetFrameSeq(), i)
		}
		if n := int(m.GetWidth() * m.GetHeight()); n != len(values) || n < 1000 {
			t.Fatalf("%d×%d cells, %d values", m.GetWidth(), m.GetHeight(), len(values))
		}
		if m.GetImageWidth() != 768 || m.GetImageHeight() != 576 || len(m.GetModel().GetTimesteps()) != 3 {
			t.Errorf("image %d×%d, timesteps %v", m.GetImageWidth(), m.GetImageHeight(), m.GetModel().GetTimesteps())
		}
		if got := m.GetModel().GetProvider(); got != provider || got != "cpu" && got != "cuda" {
			t.Errorf("the map names provider %q, the terminal %q", got, provider)
		}
		checkRange(t, m, values)
	}
	<-p.done
	if code := p.cmd.ProcessState.ExitCode(); code != exitDone {
		t.Errorf("exit code %d", code)
	}
	if msg, err := sub.NextMsg(100 * time.Millisecond); err == nil {
		t.Errorf("an additional map of %d bytes after the last frame", len(msg.Data))
	}
}

// checkRange compares the values of a map with the range, peak and mean in its message. Values have 16 bits, so the
// tolerance is one step.
func checkRange(t *testing.T, m *schema.AnomalyMap, values []float32) {
	t.Helper()
	lo, hi, sum := values[0], values[0], 0.0
	for _, v := range values {
		lo, hi, sum = min(lo, v), max(hi, v), sum+float64(v)
	}
	step := float64(m.GetValueMax()-m.GetValueMin())/65535 + 1e-6
	for name, pair := range map[string][2]float64{
		"smallest": {float64(lo), float64(m.GetValueMin())}, "largest": {float64(hi), float64(m.GetValueMax())},
		"peak": {float64(hi), float64(m.GetPeak())}, "mean": {sum / float64(len(values)), float64(m.GetMean())},
	} {
		if math.Abs(pair[0]-pair[1]) > step {
			t.Errorf("%s value %g, the message has %g", name, pair[0], pair[1])
		}
	}
	if hi-lo < 0.5 || math.Abs(float64(hi)) > 1000 {
		t.Errorf("values from %g to %g are not plausible scores of a picture", lo, hi)
	}
}

// yard runs the demo clip as the camera "yard", with an embedded NATS server and a page.
func yard(t *testing.T) (*process, *nats.Conn) {
	t.Helper()
	state := t.TempDir()
	config := write(t, filepath.Join(t.TempDir(), "run.yaml"), fmt.Sprintf(`
publish: {url: "embedded://127.0.0.1:0", state_dir: %q}
preview: {listen: "127.0.0.1:0"}
cameras: [{name: yard, uri: %q, realtime: true, loop: true}]
`, state, demoClip(t)))
	p := start(t, "run", "--config", config)
	var url string
	if _, err := fmt.Sscan(p.find(t, "nats "), &url); err != nil {
		t.Fatal(err)
	}
	t.Setenv("OODCAST_PUBLISH__STATE_DIR", state) // where other verbs find the login
	nc, err := publish.Dial(publish.Config{URL: url, StateDir: state})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return p, nc
}

// Requests on NATS change |T| and threshold from the next frame on, invalid requests change nothing, and a signal ends the
// service.
func TestControlAndStop(t *testing.T) {
	p, nc := yard(t)
	sub := maps(t, nc)
	subjects := schema.Subjects{Prefix: "oodcast", Site: "default"}
	ask := func(verb, body string) (st schema.Status, fault string) {
		msg, err := nc.Request(subjects.Control("yard", verb), []byte(body), 60*time.Second)
		if err != nil {
			t.Fatalf("%s: %v", verb, err)
		}
		var f schema.Fault
		if err := json.Unmarshal(msg.Data, &f); err != nil {
			t.Fatalf("%s: %v", msg.Data, err)
		}
		if f.Error == "" {
			err = json.Unmarshal(msg.Data, &st)
		}
		if err != nil {
			t.Fatal(err)
		}
		return st, f.Error
	}
	until := func(what string, ok func(*schema.Model) bool) *schema.AnomalyMap {
		for range 20 {
			if m, _ := next(t, sub, 30*time.Second); ok(m.GetModel()) {
				return m
			}
		}
		t.Fatalf("no map with %s", what)
		return nil
	}
	reach := func(want int) *schema.AnomalyMap {
		return until(fmt.Sprintf("|T|=%d", want), func(m *schema.Model) bool { return len(m.GetTimesteps()) == want })
	}
	reach(5)
	if st, fault := ask("set", `{"timesteps": 2, "threshold": 7.5}`); fault != "" || st.Timesteps.N != 2 {
		t.Errorf("set: %+v %s", st.Timesteps, fault)
	}
	if m := reach(2); m.GetThreshold() != 7.5 {
		t.Errorf("threshold %g, want 7.5", m.GetThreshold())
	}
	for _, bad := range []string{`{"timesteps": 0}`, `{"timesteps": 26}`, `{"timesteps": "auto"}`, `{"speed": 1}`, `[`, ``} {
		if _, fault := ask("set", bad); fault == "" {
			t.Errorf("set %s was accepted", bad)
		}
	}
	if st, _ := ask("get", ""); st.Timesteps.N != 2 || st.Threshold != 7.5 || st.State != schema.StateLive {
		t.Errorf("get: %+v", st)
	}
	if st, fault := ask("set", `{"timesteps": "auto", "latency_budget": "1h"}`); fault != "" || !st.Timesteps.Auto {
		t.Errorf("auto: %+v %s", st.Timesteps, fault)
	}
	// A budget of an hour allows all 25 timesteps, but the camera's rate does not on every machine.
	until("an automatically chosen |T|", func(m *schema.Model) bool { return m.GetTimestepsReason() != "" })
	code, took := p.stop(t, syscall.SIGTERM)
	if code != exitDone || took > 30*time.Second {
		t.Errorf("exit code %d after %v, want 0 within 30 s", code, took)
	}
}

// outputs.jsonl writes a JSON line for each event and score. The lines for people are never mixed with it: if the JSON goes
// to standard output, they go to standard error.
func TestRunWritesJSONLines(t *testing.T) {
	runWith := func(t *testing.T, path string) (stdout, stderr string) {
		t.Helper()
		config := write(t, filepath.Join(t.TempDir(), "run.yaml"), fmt.Sprintf(`
publish: {url: "off"}
preview: {listen: "off"}
detector: {timesteps: 1, width: 256, height: 128, threshold: -100} # the whole picture is one event
events: {min_duration: 0s}
outputs: {jsonl: %q}
cameras: [{name: yard, uri: %q}]
`, path, demoClip(t)))
		code, stdout, stderr := oodcast(t, "run", "--config", config, "--exit-on-end", "--max-frames", "5")
		if code != exitDone {
			t.Fatalf("exit code %d\n%s%s", code, stdout, stderr)
		}
		return stdout, stderr
	}
	t.Run("stdout", func(t *testing.T) {
		stdout, stderr := runWith(t, "-")
		checkJSONLines(t, stdout)
		checkConsole(t, stderr)
	})
	t.Run("file", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "yard.jsonl")
		stdout, _ := runWith(t, path)
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		checkJSONLines(t, string(raw))
		checkConsole(t, stdout)
		for line := range strings.Lines(stdout) {
			if json.Valid([]byte(line)) {
				t.Errorf("standard output contains the JSON line %s", line)
			}
		}
	})
}

// checkJSONLines checks that text consists of five scores and one event from its start to its end, one per line.
func checkJSONLines(t *testing.T, text string) {
	t.Helper()
	scores, types := 0, []string{}
	for line := range strings.Lines(text) {
		var kind struct{ Kind string }
		if err := json.Unmarshal([]byte(line), &kind); err != nil {
			t.Fatalf("line %q: %v", line, err)
		}
		switch kind.Kind {
		case "score":
			var s schema.Score
			if err := json.Unmarshal([]byte(line), &s); err != nil || s.Camera != "yard" || s.Seq != uint64(scores) {
				t.Errorf("score %d: error %v in %s", scores, err, line)
			}
			scores++
		case "event":
			var e schema.Event
			if err := json.Unmarshal([]byte(line), &e); err != nil || e.Camera != "yard" || e.Revision != len(types)+1 {
				t.Errorf("message %d of the event: error %v in %s", len(types)+1, err, line)
			}
			types = append(types, e.Type)
		default:
			t.Errorf("kind %q in %s", kind.Kind, line)
		}
	}
	if scores != 5 || len(types) < 2 || types[0] != "start" || types[len(types)-1] != "end" {
		t.Errorf("%d scores and event messages %v, want 5 scores and an event from start to end", scores, types)
	}
}

// checkConsole checks for the lines that people read.
func checkConsole(t *testing.T, text string) {
	t.Helper()
	for _, want := range []string{"bundle roadscene", "event start", "event end"} {
		if !strings.Contains(text, want) {
			t.Errorf("no line with %q in\n%s", want, text)
		}
	}
}

// A camera over RTSP and TCP, served by the test.
func TestRunReadsRTSP(t *testing.T) {
	camera := ingesttest.StartRTSP(t, ingesttest.RTSPConfig{
		Width: 384, Height: 288, FPS: 5, Picture: ingesttest.Clip(t, demoClip(t), 384, 288, 20),
		User: "operator", Password: "hunter2",
	})
	nc := broker(t)
	sub := maps(t, nc)
	p := start(t, "run", "--source", camera.URL(), "--nats", nc.ConnectedUrl(), "--http", "off", "--timesteps", "1")
	var last uint64
	for i := range 10 {
		m, _ := next(t, sub, 60*time.Second)
		if i > 0 && m.GetSeq() != last+1 {
			t.Errorf("map %d after %d", m.GetSeq(), last)
		}
		if m.GetImageWidth() != 384 || m.GetImageHeight() != 288 {
			t.Errorf("image %d×%d", m.GetImageWidth(), m.GetImageHeight())
		}
		last = m.GetSeq()
	}
	if code, took := p.stop(t, os.Interrupt); code != exitDone || took > 30*time.Second {
		t.Errorf("exit code %d after %v, want 0 within 30 s", code, took)
	}
}
