package publish_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/detector/events"
	"github.com/oodcast/oodcast/publish"
	"github.com/oodcast/oodcast/publish/schema"
	"github.com/oodcast/oodcast/publish/schema/schematest"
)

func newCamera(name string) schematest.SnapshotCamera {
	return schematest.SnapshotCamera{
		Camera: schematest.NewCamera(name), JPEG: []byte("\xff\xd8 picture"), Captured: time.Unix(1700000000, 0),
	}
}

func testMap(camera string, seq uint64, w, h int) *detector.Map {
	rng := rand.New(rand.NewPCG(seq, 1))
	m := &detector.Map{
		Camera: camera, Seq: seq, FrameSeq: 2 * seq, Captured: time.Now(), Width: w, Height: h,
		ImageWidth: 1024, ImageHeight: 512, Values: make([]float32, w*h), Timesteps: []int{10, 3, 40, 7, 22},
		Threshold: 4, Bundle: "roadscene", Provider: "cpu",
		Latency: detector.Latency{
			Wait: time.Millisecond, Encode: 20 * time.Millisecond, Score: 5 * time.Millisecond, Total: 26 * time.Millisecond,
		},
	}
	for i := range m.Values {
		m.Values[i] = float32(rng.NormFloat64())
		m.Peak = max(m.Peak, m.Values[i])
		m.Mean += m.Values[i] / float32(len(m.Values))
	}
	return m
}

func embeddedConfig(t *testing.T) publish.Config {
	t.Helper()
	c := publish.DefaultConfig()
	c.URL, c.StateDir, c.StatusInterval = "embedded://127.0.0.1:0", t.TempDir(), time.Second
	return c
}

// start runs a publisher until the end of the test, and returns it when it is ready.
func start(t *testing.T, cfg publish.Config, cams []schema.Camera, opts ...publish.Option) *publish.Publisher {
	t.Helper()
	opts = append([]publish.Option{publish.WithLogger(slog.New(slog.DiscardHandler))}, opts...)
	p, err := publish.New(cfg, cams, opts...)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("Run() = %v", err)
			}
		case <-time.After(time.Minute):
			t.Error("Run does not return")
		}
	})
	select {
	case <-p.Ready():
	case err := <-done:
		t.Fatalf("Run() = %v", err)
	case <-time.After(time.Minute):
		t.Fatal("not ready")
	}
	if cfg.Embedded() {
		embeddedAt.Store(p.URL(), cfg)
	}
	return p
}

// embeddedAt has the configuration of each embedded server that was started, by its address.
var embeddedAt sync.Map

func connect(t *testing.T, url string, opts ...nats.Option) *nats.Conn {
	t.Helper()
	if cfg, ok := embeddedAt.Load(url); ok { // as another program of the same user
		cfg := cfg.(publish.Config)
		cfg.URL = url
		nc, err := publish.Dial(cfg, opts...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(nc.Close)
		return nc
	}
	nc, err := nats.Connect(url, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

func subscribe(t *testing.T, nc *nats.Conn, subject string) *nats.Subscription {
	t.Helper()
	sub, err := nc.SubscribeSync(subject)
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	return sub
}

func next(t *testing.T, sub *nats.Subscription) *nats.Msg {
	t.Helper()
	m, err := sub.NextMsg(time.Minute)
	if err != nil {
		t.Fatalf("%s: %v", sub.Subject, err)
	}
	return m
}

// TestSubscriberDecodesEveryMap publishes maps of two cameras and checks every map that a subscriber receives.
func TestSubscriberDecodesEveryMap(t *testing.T) {
	for _, encoding := range []string{"u8", "u16"} {
		t.Run(encoding, func(t *testing.T) {
			cfg := embeddedConfig(t)
			cfg.Encoding = encoding
			reg := prometheus.NewRegistry()
			cams := []schema.Camera{newCamera("front"), newCamera("rear")}
			metrics, err := publish.NewMetrics(reg, cams)
			if err != nil {
				t.Fatal(err)
			}
			p := start(t, cfg, cams, publish.WithMetrics(metrics))
			nc := connect(t, p.URL())
			sub, scores := subscribe(t, nc, "oodcast.v1.default.*.map"), subscribe(t, nc, "oodcast.v1.default.*.score")
			dec, err := schema.NewDecoder()
			if err != nil {
				t.Fatal(err)
			}
			defer dec.Close()
			const n = 100
			seqs := map[string]uint64{}
			for i := range uint64(n) {
				for j, name := range []string{"front", "rear"} {
					in := testMap(name, i, 64+32*j, 32)
					p.Map(in)
					msg := next(t, sub)
					checkMap(t, dec, msg, in)
					if seqs[name] != i {
						t.Fatalf("%s: sequence %d, want %d", name, i, seqs[name])
					}
					seqs[name]++
					var s schema.Score
					score := next(t, scores)
					if err := json.Unmarshal(score.Data, &s); err != nil {
						t.Fatal(err)
					}
					if trace := schema.TraceParent("default", name, in.Captured); msg.Header.Get("traceparent") != trace ||
						score.Header.Get("traceparent") != trace {
						t.Errorf("map and score of one frame have %v and %v, want traceparent %s", msg.Header, score.Header, trace)
					}
					if s.Camera != name || s.Seq != i || s.Peak != in.Peak || len(s.Timesteps) != 5 || s.LatencyMS.Encode != 20 {
						t.Errorf("score = %+v", s)
					}
				}
			}
			families, err := reg.Gather()
			if err != nil {
				t.Fatal(err)
			}
			if lint, err := promlint.NewWithMetricFamilies(families).Lint(); err != nil || len(lint) > 0 {
				t.Errorf("metrics lint: %v %v", lint, err)
			}
		})
	}
}

func checkMap(t *testing.T, dec *schema.Decoder, msg *nats.Msg, in *detector.Map) {
	t.Helper()
	m, values, err := dec.Decode(msg.Data)
	if err != nil {
		t.Fatal(err)
	}
	if want := "oodcast.v1.default." + in.Camera + ".map"; msg.Subject != want {
		t.Errorf("subject %q, want %q", msg.Subject, want)
	}
	for key, want := range map[string]string{
		"Content-Type": "application/x-protobuf; proto=oodcast.v1.AnomalyMap", "X-Schema": "oodcast.v1.AnomalyMap",
		"X-Seq": strconv.FormatUint(in.Seq, 10), "X-Capture-Time": in.Captured.UTC().Format(time.RFC3339Nano),
	} {
		if got := msg.Header.Get(key); got != want {
			t.Errorf("header %s = %q, want %q", key, got, want)
		}
	}
	if m.GetSeq() != in.Seq || m.GetFrameSeq() != in.FrameSeq || !m.GetStamp().AsTime().Equal(in.Captured) ||
		int(m.GetWidth()) != in.Width || int(m.GetHeight()) != in.Height || m.GetFrameId() != in.Camera+"_optical_frame" ||
		len(m.GetModel().GetTimesteps()) != 5 || m.GetModel().GetTimesteps()[2] != 40 ||
		m.GetLatency().GetTotalUs() != 26000 ||
		m.GetCellHeight() != 512/float32(in.Height) || m.GetPeak() != in.Peak || m.GetThreshold() != 4 {
		m.Data = nil
		t.Errorf("message differs: %v", m)
	}
	tol := float64(m.GetValueMax()-m.GetValueMin()) / 255 / 2 * 1.001
	for i, v := range values {
		if math.Abs(float64(v-in.Values[i])) > tol {
			t.Fatalf("value %d = %v, want %v ± %v", i, v, in.Values[i], tol)
		}
	}
}

func TestNotFiniteIsNotPublished(t *testing.T) {
	reg := prometheus.NewRegistry()
	metrics, err := publish.NewMetrics(reg, nil)
	if err != nil {
		t.Fatal(err)
	}
	p := start(t, embeddedConfig(t), nil, publish.WithMetrics(metrics))
	sub := subscribe(t, connect(t, p.URL()), "oodcast.v1.default.front.map")
	bad := testMap("front", 0, 8, 8)
	bad.Values[5] = float32(math.NaN())
	p.Map(bad)
	p.Map(testMap("front", 1, 8, 8))
	if got := next(t, sub).Header.Get("X-Seq"); got != "1" {
		t.Errorf("the first map that arrives is %s, want 1", got)
	}
	if got := metric(t, reg, "oodcast_nats_publish_total", "map", "not_finite"); got != 1 {
		t.Errorf("not_finite = %v, want 1", got)
	}
}

// metric returns the value of the counter or gauge with these label values.
func metric(t *testing.T, reg *prometheus.Registry, name string, labels ...string) float64 {
	t.Helper()
	all, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range all {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			match := len(m.GetLabel()) == len(labels)
			for i, l := range m.GetLabel() {
				match = match && l.GetValue() == labels[i]
			}
			if match {
				return m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return 0
}

// TestNeverBlocks hands over more values than any queue holds, without a server.
func TestNeverBlocks(t *testing.T) {
	p := start(t, remote(t, noServer), nil)
	m := testMap("front", 0, 8, 8)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 10000 {
			p.Map(m)
			p.StatusChanged()
			if i%50 == 0 {
				p.Event(events.Event{ID: strconv.Itoa(i), Type: events.Start, Camera: "front"})
			}
		}
	}()
	select {
	case <-done:
	case <-time.After(time.Minute): // waiting for NATS would never end
		t.Error("handing over blocks")
	}
}

func TestPortTaken(t *testing.T) {
	p := start(t, embeddedConfig(t), nil)
	second := embeddedConfig(t)
	addr := p.URL()[len("nats://"):]
	second.URL = "embedded://" + addr
	q, err := publish.New(second, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = q.Run(t.Context())
	want := "nats server on " + addr + ": the port is taken: choose another one with --nats embedded://127.0.0.1:PORT, " +
		"or use the server on that port with --nats nats://" + addr
	if !errors.Is(err, publish.ErrPortTaken) || err.Error() != want {
		t.Errorf("Run() = %v, want %q", err, want)
	}
}

func TestStateBusy(t *testing.T) {
	cfg := embeddedConfig(t)
	start(t, cfg, nil)
	q, err := publish.New(cfg, nil) // port 0: another port, the same folder
	if err != nil {
		t.Fatal(err)
	}
	if err := q.Run(t.Context()); !errors.Is(err, publish.ErrStateBusy) {
		t.Errorf("Run() = %v, want ErrStateBusy", err)
	}
}

func TestOff(t *testing.T) {
	cfg := publish.DefaultConfig()
	cfg.URL = "off"
	p := start(t, cfg, []schema.Camera{newCamera("front")})
	p.Map(testMap("front", 0, 4, 4))
	if p.URL() != "" {
		t.Errorf("URL() = %q", p.URL())
	}
}

func TestConfigValidate(t *testing.T) {
	for _, c := range []struct {
		name string
		edit func(*publish.Config)
		want string
	}{
		{"default", func(*publish.Config) {}, ""},
		{"nats", func(c *publish.Config) { c.URL = "nats://a:4222,nats://b:4222" }, ""},
		{"off", func(c *publish.Config) { c.URL = "off" }, ""},
		{
			"prefix", func(c *publish.Config) { c.Prefix = "Ood.cast" },
			`publish.prefix: name "Ood.cast": want a lower-case letter, then lower-case letters, digits or _ (63 at most)`,
		},
		{"encoding", func(c *publish.Config) { c.Encoding = "f32" }, `publish.encoding: got "f32", want u8 or u16`},
		{"interval", func(c *publish.Config) { c.StatusInterval = 0 }, `publish.status_interval: got "0s", want 1s to 1h`},
		{"user", func(c *publish.Config) { c.User = "me" }, `publish.user: got "me", want user and password together`},
		{
			"ca", func(c *publish.Config) { c.URL, c.CAFile = "tls://h:4222", "/nowhere.pem" },
			`publish.ca_file: got "/nowhere.pem", want a readable file`,
		},
		{
			"port", func(c *publish.Config) { c.URL = "embedded://127.0.0.1:99999" },
			`publish.url: got "embedded://127.0.0.1:99999", want embedded, embedded://127.0.0.1:PORT, nats://HOST:PORT or off`,
		},
		{
			"open", func(c *publish.Config) { c.URL = "embedded://0.0.0.0:4222" },
			`publish.url: "embedded://0.0.0.0:4222" is open to the network: set publish.token, or user and password`,
		},
		{
			"embedded tls", func(c *publish.Config) { c.CAFile = "publish_test.go" },
			"publish.url: the embedded server supports only user and password, or token: " +
				"nkey_file, creds_file, ca_file and cert_file are for an external server",
		},
		{
			"token and user", func(c *publish.Config) { c.Token, c.User, c.Password = "s3cret", "me", "s3cret" },
			"publish.token: set together with publish.user, want only one of them",
		},
		{
			"nkey and creds",
			func(c *publish.Config) {
				c.URL, c.NKeyFile, c.CredsFile = "nats://h:4222", "publish_test.go", "publish_test.go"
			},
			"publish.nkey_file: set together with publish.creds_file, want only one of them",
		},
		{
			"no url", func(c *publish.Config) { c.URL = "nats://me:s3 cret@h:1,nats://b:1" },
			"publish.url: not a URL, want embedded, embedded://127.0.0.1:PORT, nats://HOST:PORT or off",
		},
		{
			"scheme", func(c *publish.Config) { c.URL = "http://me:secret@h:1" },
			`publish.url: got "http://***@h:1", want embedded, embedded://127.0.0.1:PORT, nats://HOST:PORT or off`,
		},
		{
			"two", func(c *publish.Config) { c.Encoding, c.StatusInterval = "", 0 },
			"publish.encoding: got \"\", want u8 or u16\npublish.status_interval: got \"0s\", want 1s to 1h",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := publish.DefaultConfig()
			c.edit(&cfg)
			err := cfg.Validate()
			if got := fmt.Sprint(err); c.want == "" && err != nil || c.want != "" && got != c.want {
				t.Errorf("Validate() = %q, want %q", got, c.want)
			}
		})
	}
}

func TestNewRefusesCameras(t *testing.T) {
	for _, c := range []struct {
		names []string
		want  string
	}{
		{
			[]string{"Front"},
			`publish: camera name "Front": want a lower-case letter, then lower-case letters, digits or _ (63 at most)`,
		},
		{[]string{"a", "a"}, `publish: two cameras are named "a"`},
	} {
		var cams []schema.Camera
		for _, n := range c.names {
			cams = append(cams, newCamera(n))
		}
		if _, err := publish.New(publish.DefaultConfig(), cams); err == nil || err.Error() != c.want {
			t.Errorf("New(%v) = %v, want %q", c.names, err, c.want)
		}
	}
}
