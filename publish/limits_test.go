package publish_test

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/oodcast/oodcast/detector/events"
	"github.com/oodcast/oodcast/publish"
	"github.com/oodcast/oodcast/publish/schema"
)

// counted returns a registry, and an option that registers the metrics of a publisher there.
func counted(t *testing.T) (*prometheus.Registry, publish.Option) {
	t.Helper()
	reg := prometheus.NewRegistry()
	m, err := publish.NewMetrics(reg, nil)
	if err != nil {
		t.Fatal(err)
	}
	return reg, publish.WithMetrics(m)
}

// TestConnectionsAreBounded lets a stranger connect to the embedded server as often as it can: descriptors are left, and events
// are published.
func TestConnectionsAreBounded(t *testing.T) {
	var was syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &was); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: min(256, was.Max), Max: was.Max}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &was) })
	cfg := embeddedConfig(t)
	p := start(t, cfg, nil)
	viewer := as(t, p, cfg, "viewer")
	sub := subscribe(t, viewer, "oodcast.v1.default.front.event.*")
	var lines []*bufio.Reader
	for range 60 {
		conn, err := net.Dial("tcp", strings.TrimPrefix(p.URL(), "nats://"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		lines = append(lines, bufio.NewReader(conn))
	}
	refused := 0
	for _, l := range lines { // INFO, and why the connection ends: without a login after two seconds
		_, _ = l.ReadString('\n')
		if line, _ := l.ReadString('\n'); strings.Contains(line, "maximum connections") {
			refused++
		}
	}
	if refused < 20 { // of 60, with 32 places
		t.Errorf("only %d of 60 connections are refused", refused)
	}
	p.Event(events.Event{ID: "front-1-00000001", Camera: "front", Type: events.Start, Revision: 1, Start: time.Now(), Time: time.Now()})
	next(t, sub)
}

// TestSmallPayloads has servers with smaller and smaller limits: a map is reduced as little as possible, and every new cell is
// at least as anomalous as those it replaces. The log has one line, however many maps are reduced.
func TestSmallPayloads(t *testing.T) {
	for _, c := range []struct {
		name     string
		limit    int32 // of the server
		w, h     int
		compress bool
		flat     bool // the map compresses well
		gotW     uint32
		encoding schema.AnomalyMap_Encoding
		reduced  string
	}{
		{"fits", 64 << 10, 128, 64, true, false, 128, schema.AnomalyMap_ENCODING_U16, ""},
		{"8 bits", 12 << 10, 128, 64, true, false, 128, schema.AnomalyMap_ENCODING_U8, "u8"},
		{"compressed", 2 << 10, 128, 64, false, true, 128, schema.AnomalyMap_ENCODING_U8, "zstd"},
		{"fewer cells", 3 << 10, 127, 63, true, false, 63, schema.AnomalyMap_ENCODING_U8, "downsampled"},
		{"128 KB at most", 1 << 20, 512, 257, false, false, 256, schema.AnomalyMap_ENCODING_U8, "downsampled"},
		{"too large", 600, 128, 64, true, false, 0, 0, "too_large"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := runServer(t, server.Options{Port: -1, MaxPayload: c.limit})
			reg, option := counted(t)
			cfg := remote(t, s.ClientURL())
			cfg.Compress = c.compress
			var log syncBuffer
			p := start(t, cfg, nil, option, log.option())
			sub := subscribe(t, connect(t, s.ClientURL()), "oodcast.v1.default.front.map")
			const n = 5
			for i := range uint64(n) {
				in := testMap("front", i, c.w, c.h)
				if c.flat {
					clear(in.Values)
					in.Values[c.w+1], in.Peak = 9, 9
				}
				p.Map(in)
				if c.gotW == 0 {
					wait(t, "a map that is too large", func() bool {
						return metric(t, reg, "oodcast_nats_publish_total", "map", "too_large") == float64(i+1)
					})
					continue
				}
				msg := next(t, sub)
				if len(msg.Data) > int(c.limit) || len(msg.Data) > 128<<10 {
					t.Errorf("payload has %d bytes, too many", len(msg.Data))
				}
				checkReduced(t, msg.Data, in.Values, c.w, c.h, c.gotW, c.encoding)
			}
			if c.reduced != "" && c.gotW != 0 {
				if got := metric(t, reg, "oodcast_nats_maps_reduced_total", c.reduced); got != n {
					t.Errorf("%v maps reduced by %s, want %d", got, c.reduced, n)
				}
			}
			if got := strings.Count(log.String(), "front"); c.reduced != "" && got != 1 {
				t.Errorf("%d log lines about the reduction, want 1:\n%s", got, log.String())
			}
		})
	}
}

// checkReduced decodes a payload and compares every cell with the original cells that it covers.
func checkReduced(t *testing.T, payload []byte, in []float32, w, h int, wantW uint32, enc schema.AnomalyMap_Encoding) {
	t.Helper()
	dec, err := schema.NewDecoder()
	if err != nil {
		t.Fatal(err)
	}
	defer dec.Close()
	m, values, err := dec.Decode(payload)
	if err != nil {
		t.Fatal(err)
	}
	if m.GetWidth() != wantW || m.GetEncoding() != enc {
		t.Fatalf("%dx%d cells as %v, want %d wide as %v", m.GetWidth(), m.GetHeight(), m.GetEncoding(), wantW, enc)
	}
	if got, want := m.GetCellWidth()*float32(m.GetWidth()), float32(m.GetImageWidth()); got-want > 0.01 || want-got > 0.01 {
		t.Errorf("cells cover %v pixels of %v", got, want)
	}
	tol := (m.GetValueMax() - m.GetValueMin()) / 255 / 2 * 1.001
	gw, gh := int(m.GetWidth()), int(m.GetHeight())
	for y := range h {
		for x := range w {
			// The cell of the reduced grid that covers the centre of this cell.
			cell := values[(2*y+1)*gh/(2*h)*gw+(2*x+1)*gw/(2*w)]
			if cell < in[y*w+x]-tol {
				t.Fatalf("cell (%d, %d) was %v, its reduced cell is %v", x, y, in[y*w+x], cell)
			}
		}
	}
	if hi, want := m.GetValueMax(), m.GetPeak(); hi > want+tol {
		t.Errorf("largest value %v, the peak is %v", hi, want)
	}
}

// subscribeWithoutReading subscribes to everything and never reads.
func subscribeWithoutReading(t *testing.T, url string) {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "nats://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if _, err := bufio.NewReader(conn).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	login := ""
	if cfg, ok := embeddedAt.Load(url); ok {
		b, err := os.ReadFile(filepath.Join(cfg.(publish.Config).StateDir, "viewer.password"))
		if err != nil {
			t.Fatal(err)
		}
		login = fmt.Sprintf(`,"user":"viewer","pass":%q`, strings.TrimSpace(string(b)))
	}
	if _, err := fmt.Fprintf(conn, "CONNECT {\"verbose\":false%s}\r\nSUB oodcast.> 1\r\n", login); err != nil {
		t.Fatal(err)
	}
}

// TestSlowConsumer has a subscriber that never reads. The other one receives every map, and the embedded server disconnects and
// counts the slow one.
func TestSlowConsumer(t *testing.T) {
	reg, option := counted(t)
	p := start(t, embeddedConfig(t), nil, option)
	subscribeWithoutReading(t, p.URL())
	receiveAll(t, p, p.URL(), 2000) // 64 MB: more than the server buffers for one subscriber
	// The last map may be received before it is counted.
	wait(t, "2000 maps sent", func() bool { return metric(t, reg, "oodcast_nats_publish_total", "map", "sent") == 2000 })
	wait(t, "the slow subscriber to be disconnected", func() bool { return metric(t, reg, "oodcast_nats_slow_consumers_total") == 1 })
}

// TestSlowConsumerExternal has a subscriber that never reads on an external server with default settings.
func TestSlowConsumerExternal(t *testing.T) {
	_, url := launchServer(t, -1, t.TempDir())
	p := start(t, remote(t, url), nil)
	subscribeWithoutReading(t, url)
	receiveAll(t, p, url, 1000)
}

// receiveAll hands over n maps of 32 KB and checks that each of them arrives at a subscriber that reads.
func receiveAll(t *testing.T, p *publish.Publisher, url string, n int) {
	t.Helper()
	sub := subscribe(t, connect(t, url), "oodcast.v1.default.front.map")
	m := testMap("front", 0, 128, 128)
	for i := range n {
		c := *m
		c.Seq = uint64(i)
		p.Map(&c)
		if got := next(t, sub).Header.Get("X-Seq"); got != fmt.Sprint(i) {
			t.Fatalf("map %s, want %d", got, i)
		}
	}
}

// TestQueuedMapsAreBounded hands over maps to a publisher that does not run: their number and their size are bounded.
func TestQueuedMapsAreBounded(t *testing.T) {
	for _, c := range []struct {
		name     string
		w, h, n  int
		overflow float64
	}{
		{"by number", 8, 8, 100, 36},
		{"by bytes", 1024, 1024, 20, 16}, // 4 MB each
	} {
		t.Run(c.name, func(t *testing.T) {
			reg, option := counted(t)
			p, err := publish.New(embeddedConfig(t), nil, option)
			if err != nil {
				t.Fatal(err)
			}
			m := testMap("front", 0, c.w, c.h)
			for range c.n {
				p.Map(m)
			}
			if got := metric(t, reg, "oodcast_nats_publish_total", "map", "overflow"); got != c.overflow {
				t.Errorf("%v of %d maps dropped, want %v", got, c.n, c.overflow)
			}
		})
	}
}
