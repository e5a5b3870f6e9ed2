package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/oodcast/oodcast/ingest/ingesttest"
)

const (
	chaosDisk  = 5 * time.Minute  // interval between times with a full disk
	chaosFull  = 10 * time.Second // length of such a time
	chaosQuirk = time.Minute      // interval between quirks of the camera
	chaosOdd   = 20 * time.Second // length of a quirk
	chaosBack  = 20 * time.Second // time after its end until pictures must have come
)

// TestChaos runs an RTSP camera and a file for OODCAST_CHAOS against a cluster of three NATS servers. A node is stopped every
// minute, the camera has another quirk every minute, and the disk of the state folder is full for ten seconds every five.
// Pictures must come again after each quirk, memory, goroutines and descriptors must be flat, and the stream must hold every
// event exactly once.
func TestChaos(t *testing.T) {
	length, err := time.ParseDuration(os.Getenv("OODCAST_CHAOS"))
	if err != nil {
		t.Skip("takes an hour and mounts a file system, as root; make chaos runs it with OODCAST_CHAOS=1h")
	}
	nodes := natsCluster(t)
	state := smallDisk(t, 8<<20)
	camera := ingesttest.StartRTSP(t, ingesttest.RTSPConfig{
		Width: 384, Height: 288, FPS: 5, Picture: ingesttest.Clip(t, demoClip(t), 384, 288, 200),
		User: "admin", Password: "hunter2", Digest: true,
	})
	config := write(t, filepath.Join(t.TempDir(), "chaos.yaml"), fmt.Sprintf(`
publish: {url: %q, replicas: 3, state_dir: %q, status_interval: 5s}
preview: {listen: "127.0.0.1:0"}
events: {update_every: 5s}
cameras:
- {name: rtsp, uri: %q, reconnect: {min: 1s, max: 5s}}
- {name: file, uri: %q, realtime: true, loop: true, max_fps: 5, width: 384, height: 288}
`, clusterURL(nodes), state, camera.URL(), demoClip(t)))
	p := start(t, "run", "--config", config)
	page := p.find(t, "page ")
	ctx, stop := context.WithCancel(t.Context())
	var disturbances sync.WaitGroup
	disturbances.Go(func() {
		next := 0
		every(ctx, soakNATS, func() {
			node := nodes[next%len(nodes)]
			next++
			node.stop()
			pause(ctx, soakAway)
			node.start()
		})
	})
	disturbances.Go(func() { haveQuirks(ctx, t, camera, page) })
	disturbances.Go(func() {
		every(ctx, chaosDisk, func() {
			ballast := filepath.Join(state, "ballast")
			_ = os.WriteFile(ballast, make([]byte, 16<<20), 0o600) // fails when the disk is full, as it should be
			pause(ctx, chaosFull)
			_ = os.Remove(ballast)
		})
	})
	samples := soak(t, page, length)
	stop()
	disturbances.Wait()
	waitConnected(t, page)
	for deadline := time.Now().Add(time.Minute); scrape(t, page)["oodcast_nats_spool_bytes"] > 0 && time.Now().Before(deadline); {
		time.Sleep(time.Second) // the cluster may be electing a leader
	}
	if code, _ := p.stop(t, syscall.SIGTERM); code != exitDone {
		t.Errorf("exit code %d", code)
	}
	judgeSamples(t, samples)
	judgeEvents(t, clusterURL(nodes), p)
}

// haveQuirks lets the camera have one quirk after the other and checks that pictures come again after each of them.
func haveQuirks(ctx context.Context, t *testing.T, camera *ingesttest.RTSPServer, page string) {
	quirks := append(camera.Quirks(), ingesttest.Quirk{
		Name: "without power", Begin: camera.Die, End: func() { camera.Revive(t) },
	})
	next := 0
	every(ctx, chaosQuirk, func() {
		quirk := quirks[next%len(quirks)]
		next++
		quirk.Begin()
		pause(ctx, chaosOdd)
		quirk.End()
		before, begin := framesOf(ctx, page, "rtsp"), time.Now()
		for framesOf(ctx, page, "rtsp") <= before {
			if ctx.Err() != nil {
				return
			}
			if time.Since(begin) > chaosBack {
				t.Errorf("%s: no picture within %v of its end", quirk.Name, chaosBack)
				return
			}
			pause(ctx, 100*time.Millisecond)
		}
		fmt.Printf("quirk %d: %s: pictures %.1f s after its end\n", next, quirk.Name, time.Since(begin).Seconds())
	})
}

// framesOf is how many frames of the camera have been scored, -1 if the page does not answer.
func framesOf(ctx context.Context, page, camera string) float64 {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, page+"metrics", nil)
	if err != nil {
		return -1
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return -1
	}
	defer func() { _ = resp.Body.Close() }()
	for scan := bufio.NewScanner(resp.Body); scan.Scan(); {
		name, value, _ := strings.Cut(scan.Text(), "} ")
		if strings.HasPrefix(name, "oodcast_frames_processed_total{") && strings.Contains(name, fmt.Sprintf("camera=%q", camera)) {
			if v, err := strconv.ParseFloat(value, 64); err == nil {
				return v
			}
		}
	}
	return -1
}

// natsCluster starts three servers with JetStream that know each other.
func natsCluster(t *testing.T) []*restartableNATS {
	t.Helper()
	var routes []*url.URL
	for range 3 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		routes = append(routes, &url.URL{Scheme: "nats", Host: l.Addr().String()})
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	var nodes []*restartableNATS
	for i, route := range routes {
		opts := natsOptions(t)
		opts.ServerName, opts.Routes = fmt.Sprintf("n%d", i), routes
		opts.Cluster = server.ClusterOpts{Name: "chaos", Host: "127.0.0.1"}
		if _, err := fmt.Sscanf(route.Port(), "%d", &opts.Cluster.Port); err != nil {
			t.Fatal(err)
		}
		node := &restartableNATS{t: t, opts: opts}
		node.start()
		t.Cleanup(node.stop)
		nodes = append(nodes, node)
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		for _, node := range nodes {
			if node.srv.JetStreamIsLeader() {
				return nodes
			}
		}
		if time.Now().After(deadline) {
			t.Fatal("the cluster elects no leader")
		}
	}
}

func clusterURL(nodes []*restartableNATS) string {
	var urls []string
	for _, node := range nodes {
		urls = append(urls, node.url())
	}
	return strings.Join(urls, ",")
}

// smallDisk mounts a file system of so many bytes, which needs root.
func smallDisk(t *testing.T, bytes int) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", bytes)); err != nil {
		t.Fatalf("mount: %v (run as root)", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}
