package client_test

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/detector/events"
	"github.com/oodcast/oodcast/publish"
	"github.com/oodcast/oodcast/publish/client"
	"github.com/oodcast/oodcast/publish/schema"
)

// TestPython runs the example that reads maps without a NATS or protobuf library, with uncompressed and compressed maps.
func TestPython(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Fatal("python3 is missing: apt-get install python3")
	}
	for _, c := range []struct {
		name, encoding string
		w, h           int
		noise          bool
		want           string
	}{
		{"uncompressed", "", 64, 32, true, "64x32 T=5 peak 10.00 at (5, 2), 0.0% above threshold"},
		{"compressed", "zstd", 128, 64, false, "128x64 T=5 peak 10.00 at (5, 2), 0.0% above threshold"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, nc := connect(t)
			sub, err := nc.SubscribeSync("oodcast.v1.*.*.map")
			if err != nil {
				t.Fatal(err)
			}
			if err := nc.Flush(); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			cmd := exec.CommandContext(ctx, python, filepath.Join("examples", "subscribe.py"),
				"--url", p.URL(), "--camera", "front", "--maps", "3")
			var out strings.Builder
			cmd.Stdout, cmd.Stderr = &out, &out
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			stop := feed(p.Map, func(seq uint64) *detector.Map { return field(seq, c.w, c.h, c.noise) })
			err = cmd.Wait()
			stop()
			if err != nil {
				t.Fatalf("%v\n%s", err, out.String())
			}
			lines := strings.Split(strings.TrimSpace(out.String()), "\n")
			if len(lines) != 3 {
				t.Fatalf("%d lines:\n%s", len(lines), out.String())
			}
			for _, l := range lines {
				if !strings.Contains(l, " front #") || !strings.HasSuffix(l, c.want) {
					t.Errorf("line %q, want … %s", l, c.want)
				}
			}
			if m, err := sub.NextMsg(time.Second); err != nil || m.Header.Get("Content-Encoding") != c.encoding {
				t.Errorf("map %v, %v, want encoding %q", m, err, c.encoding)
			}
		})
	}
}

// TestPythonHearsAllSites runs the example without --site next to an oodcast of another site, and finds the login in a
// configuration file.
func TestPythonHearsAllSites(t *testing.T) {
	dir := t.TempDir()
	p, stop, err := serve(dir, func(c *publish.Config) { c.Site = "lab" })
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	config := filepath.Join(dir, "oodcast.yaml")
	if err := os.WriteFile(config, []byte("bundle: roadscene\npublish:\n  site: lab\n  state_dir: "+dir+" # ours\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	stopFeed := feed(p.Map, func(seq uint64) *detector.Map { return field(seq, 8, 4, true) })
	defer stopFeed()
	example := func(args ...string) (string, error) {
		cmd := exec.CommandContext(t.Context(), "python3", append([]string{
			filepath.Join("examples", "subscribe.py"), "--url", p.URL(), "--maps", "1",
		}, args...)...)
		cmd.Env = append(os.Environ(), "OODCAST_PUBLISH__STATE_DIR=/nowhere")
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := example("--config", config); err != nil || !strings.Contains(out, " front #") {
		t.Errorf("%v: %s", err, out)
	}
	if out, err := example(); err == nil || !strings.Contains(out, "--state-dir") || strings.Count(out, "\n") != 1 {
		t.Errorf("without a login: %v: %s", err, out)
	}
	if out, err := example("--config", config, "--set", `{"timesteps": 3}`); err != nil || !strings.Contains(out, `"timesteps": 3`) {
		t.Errorf("control of the only camera: %v: %s", err, out)
	}
}

// TestPythonControl changes settings from Python: the answer is the settings in force, or one line about what is wrong.
func TestPythonControl(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Fatal("python3 is missing: apt-get install python3")
	}
	p, _ := connect(t)
	set := func(camera, change string, args ...string) (schema.Status, string) {
		t.Helper()
		var out, errs strings.Builder
		cmd := exec.CommandContext(t.Context(), python, append([]string{
			filepath.Join("examples", "subscribe.py"), "--url", p.URL(), "--camera", camera, "--set", change,
		}, args...)...)
		cmd.Stdout, cmd.Stderr = &out, &errs
		var st schema.Status
		if cmd.Run() == nil {
			if err := json.Unmarshal([]byte(out.String()), &st); err != nil {
				t.Fatalf("%s: %v", out.String(), err)
			}
		}
		return st, strings.TrimSpace(errs.String())
	}
	if st, _ := set("front", `{"timesteps": 7}`); st.Timesteps.N != 7 {
		t.Errorf("settings in force: %+v", st)
	}
	if _, message := set("front", `{"timestep": 7}`); message != `unknown field "timestep"` {
		t.Errorf("a request with an unknown field: %q", message)
	}
	if _, message := set("rear", `{"timesteps": 7}`); message != "no answer on oodcast.v1.*.rear.ctl.set" {
		t.Errorf("an unknown camera: %q", message)
	}
	if _, message := set("front", "{}", "--site", "b"); message != "no answer on oodcast.v1.b.front.ctl.set" {
		t.Errorf("another site: %q", message)
	}
	if _, message := set("front", "{}", "--prefix", "a", "--site", "b"); !strings.HasPrefix(message, "nats: -ERR 'Permissions Violation") {
		t.Errorf("another prefix: %q", message)
	}
}

// field is a map with its peak at (5, 2) on a background of zeros or of noise.
func field(seq uint64, w, h int, noise bool) *detector.Map {
	m := hill(seq)
	m.Width, m.Height, m.ROI, m.Values = w, h, nil, make([]float32, w*h)
	if rng := rand.New(rand.NewPCG(seq, 1)); noise {
		for i := range m.Values {
			m.Values[i] = rng.Float32()
		}
	}
	m.Values[2*w+5] = 10
	return m
}

// feed hands over a map every 20 ms until stop is called.
func feed(send func(*detector.Map), next func(seq uint64) *detector.Map) (stop func()) {
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for i := uint64(0); ; i++ {
			select {
			case <-tick.C:
				send(next(i))
			case <-quit:
				return
			}
		}
	}()
	return func() {
		close(quit)
		<-done
	}
}

// rosMessage is a line printed by ros2_bridge.py.
type rosMessage struct {
	Topic, Type string
	Message     struct {
		Header struct {
			Stamp struct{ Sec, Nanosec int64 }
			Frame string `json:"frame_id"`
		}
		Width, Height, Step int
		Encoding            string
		Data                json.RawMessage
		Info                struct {
			Width, Height int
			Resolution    float64
		}
		Detections []struct {
			ID   string
			Bbox struct {
				Center struct{ Position struct{ X, Y float64 } }
				SizeX  float64 `json:"size_x"`
				SizeY  float64 `json:"size_y"`
			}
			Results []struct {
				Hypothesis struct {
					Class string `json:"class_id"`
					Score float64
				}
			}
		}
		Status []struct {
			Level         int
			Name, Message string
		}
	}
}

// TestROS2 compares the ROS 2 messages of the bridge with the maps, events and states that were sent. Here the bridge runs without
// ROS and prints the fields of the messages that it would publish.
func TestROS2(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Fatal("python3 is missing: apt-get install python3")
	}
	p, nc := connect(t)
	c := client.New(nc)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, python, filepath.Join("examples", "ros2_bridge.py"), "--url", p.URL(), "--print",
		"--count", "40")
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	captured := time.Unix(1700000000, 123456789)
	stop := feed(func(m *detector.Map) {
		m.Captured = captured
		p.Map(m)
		kind := [...]events.Type{events.Start, events.Update, events.End}[m.Seq%3]
		p.Event(events.Event{
			ID: "a", Revision: int(m.Seq) + 1, Type: kind, Camera: "front", Time: captured, Peak: 6, Threshold: 4,
			Box: events.Box{X: 0.5, Y: 0.25, Width: 0.25, Height: 0.5},
		})
		if _, err := c.Set(ctx, "front", schema.Update{Timesteps: &schema.Timesteps{N: int(m.Seq)%20 + 1}}); err != nil {
			t.Error(err)
		}
	}, hill)
	err = cmd.Wait()
	stop()
	if err != nil {
		t.Fatalf("%v\n%s", err, errs.String())
	}
	seen := map[string]int{}
	for line := range strings.Lines(out.String()) {
		var m rosMessage
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		seen[m.Topic+" "+m.Type]++
		if s := m.Message.Header.Stamp; m.Topic != "/diagnostics" && !time.Unix(s.Sec, s.Nanosec).Equal(captured) {
			t.Fatalf("%s has the stamp %+v, want the capture time", m.Topic, s)
		}
		checkROS(t, m)
	}
	for _, topic := range []string{
		"/front/anomaly/image sensor_msgs/Image", "/front/anomaly/grid nav_msgs/OccupancyGrid",
		"/front/anomaly/events vision_msgs/Detection2DArray", "/diagnostics diagnostic_msgs/DiagnosticArray",
	} {
		if seen[topic] == 0 {
			t.Errorf("no message on %s, only %v", topic, seen)
		}
	}
}

// checkROS checks for the hill: 10 in cell (5, 2) and 0 elsewhere, with only the right half judged.
func checkROS(t *testing.T, m rosMessage) {
	t.Helper()
	switch m.Type {
	case "sensor_msgs/Image":
		var text string
		if err := json.Unmarshal(m.Message.Data, &text); err != nil {
			t.Fatal(err)
		}
		data, err := hex.DecodeString(text)
		if err != nil || m.Message.Width != 8 || m.Message.Height != 4 || m.Message.Step != 32 || len(data) != 128 ||
			m.Message.Encoding != "32FC1" || m.Message.Header.Frame != "front_optical_frame" {
			t.Fatalf("image %+v", m)
		}
		for i := range 32 {
			got := math.Float32frombits(binary.LittleEndian.Uint32(data[4*i:]))
			if i%8 < 4 && !math.IsNaN(float64(got)) || i%8 >= 4 && got != map[bool]float32{true: 10}[i == 2*8+5] {
				t.Fatalf("pixel %d is %v", i, got)
			}
		}
	case "nav_msgs/OccupancyGrid":
		var cells []int
		if err := json.Unmarshal(m.Message.Data, &cells); err != nil || len(cells) != 32 || m.Message.Info.Width != 8 ||
			m.Message.Info.Height != 4 || m.Message.Info.Resolution != 0.125 || m.Message.Header.Frame != "front_anomaly_plane" {
			t.Fatalf("grid %+v, %v", m, err)
		}
		for i, got := range cells {
			want := 0
			switch {
			case i%8 < 4:
				want = -1 // outside the region of interest
			case i == (4-1-2)*8+5: // row 2 from the top is row 1 from the bottom
				want = 100
			}
			if got != want {
				t.Fatalf("cell %d is %d, want %d", i, got, want)
			}
		}
	case "vision_msgs/Detection2DArray":
		if len(m.Message.Detections) == 0 {
			return // the end of the event
		}
		d := m.Message.Detections[0]
		if d.ID != "a" || d.Bbox.Center.Position.X != 500 || d.Bbox.Center.Position.Y != 200 || d.Bbox.SizeX != 200 ||
			d.Bbox.SizeY != 200 || d.Results[0].Hypothesis.Class != "anomaly" || d.Results[0].Hypothesis.Score != 0.75 {
			t.Fatalf("detection %+v", d)
		}
	case "diagnostic_msgs/DiagnosticArray":
		if s := m.Message.Status[0]; s.Level != 0 || s.Name != "oodcast: front" || s.Message != "live" {
			t.Fatalf("diagnostics %+v", s)
		}
	default:
		t.Fatalf("type %s", m.Type)
	}
}
