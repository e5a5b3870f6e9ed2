package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/oodcast/oodcast/ingest/ingesttest"
	"github.com/oodcast/oodcast/publish/schema"
)

// Soak settings: how often things are taken away, for how long, and how often the process is looked at.
const (
	soakNATS   = time.Minute // NATS is restarted this often
	soakCamera = 2 * time.Minute
	soakAway   = 8 * time.Second
	soakSample = 15 * time.Second
	soakWarm   = 5 * time.Minute // what comes before does not count
)

// TestSoak runs three cameras (RTSP, Motion JPEG, a file) with a viewer for OODCAST_SOAK, while the NATS server is
// restarted every minute and the RTSP camera is killed every two. It prints a table. Memory after the fifth minute varies by
// less than 5 %, goroutines and descriptors are flat, and the stream holds every event exactly once.
func TestSoak(t *testing.T) {
	length, err := time.ParseDuration(os.Getenv("OODCAST_SOAK"))
	if err != nil {
		t.Skip("make soak runs this: OODCAST_SOAK=30m")
	}
	nc := &restarted{t: t, opts: server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: t.TempDir(), NoSigs: true, NoLog: true,
	}}
	nc.start()
	t.Cleanup(nc.stop)
	camera := ingesttest.StartRTSP(t, ingesttest.RTSPConfig{
		Width: 384, Height: 288, FPS: 5, Picture: ingesttest.Clip(t, demoClip(t), 384, 288, 200),
	})
	mjpeg := ingesttest.StartMJPEG(t, ingesttest.MJPEGConfig{
		FPS: 5, Size: func(int) (int, int) { return 384, 288 }, Picture: ingesttest.Clip(t, demoClip(t), 384, 288, 200),
	})
	config := write(t, filepath.Join(t.TempDir(), "soak.yaml"), fmt.Sprintf(`
publish: {url: %q, state_dir: %q, status_interval: 5s}
preview: {listen: "127.0.0.1:0"}
events: {update_every: 5s}
cameras:
- {name: rtsp, uri: %q, reconnect: {min: 1s, max: 5s}}
- {name: mjpeg, uri: %q}
- {name: file, uri: %q, realtime: true, loop: true, max_fps: 5, width: 384, height: 288}
`, nc.url(), t.TempDir(), camera.URL(), mjpeg, demoClip(t)))
	p := start(t, "run", "--config", config)
	page := p.find(t, "page ")
	ctx, stop := context.WithCancel(t.Context())
	var others sync.WaitGroup
	others.Go(func() { look(ctx, page+"api/v1/cameras/file/stream.mjpg") })
	others.Go(func() {
		every(ctx, soakNATS, func() { nc.stop(); pause(ctx, soakAway); nc.start() })
	})
	others.Go(func() {
		every(ctx, soakCamera, func() { camera.Die(); pause(ctx, soakAway); camera.Revive(t) })
	})
	samples := soak(t, page, length)
	stop()
	others.Wait()
	// The service must have found NATS again, or its last events would wait on disk for the next start.
	waitConnected(t, page)
	if code, _ := p.stop(t, syscall.SIGTERM); code != exitDone {
		t.Errorf("exit code %d", code)
	}
	judgeSamples(t, samples)
	judgeEvents(t, nc.url(), p)
}

// every calls do in intervals until ctx is done.
func every(ctx context.Context, interval time.Duration, do func()) {
	for tick := time.NewTicker(interval); ; {
		select {
		case <-tick.C:
			do()
		case <-ctx.Done():
			tick.Stop()
			return
		}
	}
}

// pause waits; a soak that ends in the middle waits less.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// look reads a stream as a viewer does.
func look(ctx context.Context, url string) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return
	}
	if resp, err := http.DefaultClient.Do(req); err == nil {
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
	}
}

// restarted is a NATS server that goes away and comes back on its port with its streams.
type restarted struct {
	t    *testing.T
	opts server.Options
	srv  *server.Server
}

func (r *restarted) start() {
	opts := r.opts
	srv, err := server.NewServer(&opts)
	if err != nil {
		r.t.Errorf("nats: %v", err)
		return
	}
	srv.Start()
	if !srv.ReadyForConnections(30 * time.Second) {
		r.t.Error("nats is not ready")
	}
	r.opts.Port = srv.Addr().(*net.TCPAddr).Port
	r.srv = srv
}

func (r *restarted) stop() {
	r.srv.Shutdown()
	r.srv.WaitForShutdown()
}

func (r *restarted) url() string { return "nats://127.0.0.1:" + strconv.Itoa(r.opts.Port) }

// sample is one look at the process.
type sample struct {
	at                        time.Duration
	rss                       float64 // MB
	goroutines, fds           float64
	maps, dropped, connection float64
}

// scrape sums up the metrics of the process by name.
func scrape(t *testing.T, page string) map[string]float64 {
	t.Helper()
	r, err := http.Get(page + "metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	sum := map[string]float64{}
	for line := range strings.Lines(string(b)) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), " ")
		if i := strings.LastIndexByte(line, '}'); i > 0 {
			name, value = line[:strings.IndexByte(line, '{')], strings.TrimSpace(line[i+1:])
		}
		if v, err := strconv.ParseFloat(value, 64); ok && err == nil {
			sum[name] += v
		}
	}
	return sum
}

// soak prints a line every soakSample.
func soak(t *testing.T, page string, length time.Duration) []sample {
	t.Helper()
	var list []sample
	fmt.Println("minute  resident MB  goroutines  descriptors    maps  dropped  nats")
	begin := time.Now()
	for tick := time.NewTicker(soakSample); time.Since(begin) < length; <-tick.C {
		m := scrape(t, page)
		s := sample{
			at: time.Since(begin), rss: m["process_resident_memory_bytes"] / 1e6, goroutines: m["go_goroutines"],
			fds: m["process_open_fds"], maps: m["oodcast_frames_processed_total"], dropped: m["oodcast_frames_dropped_total"],
			connection: m["oodcast_nats_connected"],
		}
		list = append(list, s)
		fmt.Printf("%6.2f  %11.1f  %10.0f  %11.0f  %6.0f  %7.0f  %4.0f\n",
			s.at.Minutes(), s.rss, s.goroutines, s.fds, s.maps, s.dropped, s.connection)
	}
	return list
}

func waitConnected(t *testing.T, page string) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); scrape(t, page)["oodcast_nats_connected"] != 1; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("not connected to NATS again")
		}
	}
}

// judgeSamples compares the first third of what counts with the last: a leak grows.
func judgeSamples(t *testing.T, list []sample) {
	t.Helper()
	warm := slices.IndexFunc(list, func(s sample) bool { return s.at >= soakWarm })
	if warm < 0 {
		fmt.Println("too short to judge memory")
		return
	}
	list = list[warm:]
	for _, c := range []struct {
		name string
		of   func(sample) float64
		band float64 // largest difference from the median, as a share of it
	}{
		{"resident MB", func(s sample) float64 { return s.rss }, 0.05},
		{"goroutines", func(s sample) float64 { return s.goroutines }, 0.2},
		{"descriptors", func(s sample) float64 { return s.fds }, 0.2},
	} {
		var all []float64
		for _, s := range list {
			all = append(all, c.of(s))
		}
		third := len(all) / 3
		first, last := median(all[:third+1]), median(all[len(all)-third-1:])
		lo, mid, hi := slices.Min(all), median(all), slices.Max(all)
		fmt.Printf("%-12s after minute %.0f: %.1f … %.1f, median %.1f, first third %.1f, last third %.1f\n",
			c.name, list[0].at.Minutes(), lo, hi, mid, first, last)
		if hi-mid > c.band*mid || mid-lo > c.band*mid || last > first*1.03 {
			t.Errorf("%s: %.1f … %.1f around %.1f, from %.1f to %.1f: not flat", c.name, lo, hi, mid, first, last)
		}
	}
}

func median(v []float64) float64 {
	s := slices.Sorted(slices.Values(v))
	return s[len(s)/2]
}

// judgeEvents reads the whole stream: every event that the terminal was told of is there, from its start to its end, with
// every revision once.
func judgeEvents(t *testing.T, url string, p *process) {
	t.Helper()
	js, err := jetstream.New(dial(t, url))
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(t.Context(), schema.EventStream)
	if err != nil {
		t.Fatal(err)
	}
	info, err := stream.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	revisions, ends := map[string][]int{}, 0
	for seq := info.State.FirstSeq; seq <= info.State.LastSeq; seq++ {
		msg, err := stream.GetMsg(t.Context(), seq)
		if err != nil {
			t.Fatalf("message %d: %v", seq, err)
		}
		var e schema.Event
		if err := json.Unmarshal(msg.Data, &e); err != nil {
			t.Fatal(err)
		}
		revisions[e.ID] = append(revisions[e.ID], e.Revision)
		if e.Type == "end" {
			ends++
		}
	}
	for id, list := range revisions {
		for i, r := range list {
			if r != i+1 {
				t.Errorf("event %s has revisions %v", id, list)
				break
			}
		}
	}
	told := 0
	p.mu.Lock()
	for _, line := range p.lines {
		if strings.Contains(line, "event start") {
			told++
		}
	}
	p.mu.Unlock()
	fmt.Printf("events: %d told, %d in the stream with %d ends, %d messages\n", told, len(revisions), ends, info.State.Msgs)
	if told == 0 || told != len(revisions) || ends != told {
		t.Errorf("%d events started, the stream has %d, of which %d ended", told, len(revisions), ends)
	}
}
