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

// Settings of the soak test.
const (
	soakNATS   = time.Minute      // interval between restarts of NATS
	soakCamera = 2 * time.Minute  // interval between failures of the camera
	soakAway   = 8 * time.Second  // length of an outage
	soakSample = 15 * time.Second // interval between samples
	soakWarm   = 5 * time.Minute  // samples before this are not judged
)

// TestSoak runs three cameras (RTSP, Motion JPEG, a file) with a viewer for OODCAST_SOAK, while the NATS server is
// restarted every minute and the RTSP camera is killed every two minutes. It prints a table. After the fifth minute, memory
// must vary by less than 5 % and goroutines and descriptors must be flat. The stream must hold every event exactly once.
func TestSoak(t *testing.T) {
	length, err := time.ParseDuration(os.Getenv("OODCAST_SOAK"))
	if err != nil {
		t.Skip("takes half an hour; make soak runs it with OODCAST_SOAK=30m")
	}
	nc := &restartableNATS{t: t, opts: natsOptions(t)}
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
	var disturbances sync.WaitGroup
	disturbances.Go(func() { view(ctx, page+"api/v1/cameras/file/stream.mjpg") })
	disturbances.Go(func() {
		every(ctx, soakNATS, func() { nc.stop(); pause(ctx, soakAway); nc.start() })
	})
	disturbances.Go(func() {
		every(ctx, soakCamera, func() { camera.Die(); pause(ctx, soakAway); camera.Revive(t) })
	})
	samples := soak(t, page, length)
	stop()
	disturbances.Wait()
	// Wait until the service has reconnected to NATS, or its last events would stay on disk until the next start.
	waitConnected(t, page)
	if code, _ := p.stop(t, syscall.SIGTERM); code != exitDone {
		t.Errorf("exit code %d", code)
	}
	judgeSamples(t, samples)
	judgeEvents(t, nc.url(), p)
}

// every calls do once per interval until ctx is done.
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

// pause waits for d, or until ctx is done.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// view reads a stream like a viewer.
func view(ctx context.Context, url string) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return
	}
	if resp, err := http.DefaultClient.Do(req); err == nil {
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
	}
}

// restartableNATS is a NATS server that can stop, and start again on the same port with the same streams.
type restartableNATS struct {
	t    *testing.T
	opts server.Options
	srv  *server.Server
}

func (r *restartableNATS) start() {
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

func (r *restartableNATS) stop() {
	r.srv.Shutdown()
	r.srv.WaitForShutdown()
}

func (r *restartableNATS) url() string { return "nats://127.0.0.1:" + strconv.Itoa(r.opts.Port) }

// sample is a set of measurements of the process.
type sample struct {
	at                       time.Duration
	rss                      float64 // MB
	goroutines, fds          float64
	maps, dropped, connected float64
}

// scrape returns the metrics of the process, summed by name.
func scrape(t *testing.T, page string) map[string]float64 {
	t.Helper()
	sum := map[string]float64{}
	for line := range strings.Lines(string(get(t, page+"metrics"))) {
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

// soak samples the process every soakSample and prints a line for each sample.
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
			connected: m["oodcast_nats_connected"],
		}
		list = append(list, s)
		fmt.Printf("%6.2f  %11.1f  %10.0f  %11.0f  %6.0f  %7.0f  %4.0f\n",
			s.at.Minutes(), s.rss, s.goroutines, s.fds, s.maps, s.dropped, s.connected)
	}
	return list
}

func waitConnected(t *testing.T, page string) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); scrape(t, page)["oodcast_nats_connected"] != 1; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the service has not reconnected to NATS")
		}
	}
}

// judgeSamples checks the spread of the samples after soakWarm. It also compares the first third with the last third,
// because a leak grows.
func judgeSamples(t *testing.T, list []sample) {
	t.Helper()
	warm := slices.IndexFunc(list, func(s sample) bool { return s.at >= soakWarm })
	if warm < 0 {
		fmt.Println("the run is too short to judge memory")
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

// judgeEvents reads the whole stream and checks that it contains every event that the terminal has shown, from its start to
// its end, with every revision exactly once.
func judgeEvents(t *testing.T, url string, p *process) {
	t.Helper()
	js, err := jetstream.New(dial(t, url))
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(t.Context(), "EVENTS")
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
	shown := 0
	p.mu.Lock()
	for _, line := range p.lines {
		if strings.Contains(line, "event start") {
			shown++
		}
	}
	p.mu.Unlock()
	fmt.Printf("events: %d shown, %d in the stream with %d ends, %d messages\n", shown, len(revisions), ends, info.State.Msgs)
	if shown == 0 || shown != len(revisions) || ends != shown {
		t.Errorf("%d events started, the stream has %d, of which %d ended", shown, len(revisions), ends)
	}
}
