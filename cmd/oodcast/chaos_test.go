package main

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/oodcast/oodcast/ingest/ingesttest"
)

const (
	chaosDisk = 5 * time.Minute  // interval between times with a full disk
	chaosFull = 10 * time.Second // length of such a time
)

// TestChaos runs the cameras of TestSoak for OODCAST_CHAOS against a cluster of three NATS servers. A node is stopped every
// minute, the RTSP camera is killed every two, and the disk of the state folder is full for ten seconds every five. Memory,
// goroutines and descriptors must be flat, and the stream must hold every event exactly once.
func TestChaos(t *testing.T) {
	length, err := time.ParseDuration(os.Getenv("OODCAST_CHAOS"))
	if err != nil {
		t.Skip("takes an hour and mounts a file system, as root; make chaos runs it with OODCAST_CHAOS=1h")
	}
	nodes := natsCluster(t)
	state := smallDisk(t, 8<<20)
	camera := ingesttest.StartRTSP(t, ingesttest.RTSPConfig{
		Width: 384, Height: 288, FPS: 5, Picture: ingesttest.Clip(t, demoClip(t), 384, 288, 200),
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
	disturbances.Go(func() {
		every(ctx, soakCamera, func() { camera.Die(); pause(ctx, soakAway); camera.Revive(t) })
	})
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
