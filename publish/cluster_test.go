package publish_test

import (
	"fmt"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/oodcast/oodcast/publish"
	"github.com/oodcast/oodcast/publish/schema"
)

// freePorts returns ports that are free now.
func freePorts(t *testing.T, n int) (ports []int) {
	t.Helper()
	for range n {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		ports = append(ports, ln.Addr().(*net.TCPAddr).Port)
	}
	return ports
}

// cluster is three servers with JetStream in this process.
type cluster struct {
	options []server.Options
	nodes   []*server.Server
}

func runCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{}
	clients, routes := freePorts(t, 3), freePorts(t, 3)
	for i := range 3 {
		o := server.Options{
			ServerName: fmt.Sprintf("n%d", i), Port: clients[i], JetStream: true, StoreDir: t.TempDir(),
			Cluster: server.ClusterOpts{Name: "c", Host: "127.0.0.1", Port: routes[i]},
		}
		for _, p := range routes {
			o.Routes = append(o.Routes, &url.URL{Scheme: "nats", Host: fmt.Sprintf("127.0.0.1:%d", p)})
		}
		c.options = append(c.options, o)
		c.nodes = append(c.nodes, runServer(t, o))
	}
	wait(t, "a leader", func() bool {
		for _, n := range c.nodes {
			if n.JetStreamIsLeader() {
				return true
			}
		}
		return false
	})
	return c
}

func (c *cluster) url() string {
	var urls []string
	for _, n := range c.nodes {
		urls = append(urls, n.ClientURL())
	}
	return strings.Join(urls, ",")
}

// checkAll checks that the stream has the revisions 0…n−1 of event "e", each once and in order, and nothing else.
func checkAll(t *testing.T, js jetstream.JetStream, name string, n int) {
	t.Helper()
	stream, err := js.Stream(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	info, err := stream.Info(t.Context())
	if err != nil || info.State.Msgs != uint64(n) {
		t.Fatalf("%s has %d events, %v, want %d", name, info.State.Msgs, err, n)
	}
	for i := range n {
		m, err := stream.GetMsg(t.Context(), uint64(i+1))
		if err != nil || m.Header.Get("Nats-Msg-Id") != fmt.Sprintf("e.%d", i) {
			t.Fatalf("event %d of %s is %v, %v", i, name, m.Header, err)
		}
	}
}

// TestCluster publishes to a cluster of three servers with publish.replicas 3, while the server that leads the stream is
// stopped and brought back: no event is lost or doubled, and the camera stays present.
func TestCluster(t *testing.T) {
	c := runCluster(t)
	cfg := remote(t, c.url())
	cfg.Replicas, cfg.StatusInterval = 3, time.Second
	reg, option := counted(t)
	p := start(t, cfg, []schema.Camera{newCamera("front")}, option)
	sent := func() float64 { return metric(t, reg, "oodcast_nats_publish_total", "event", "sent") }
	n := 0
	feed := func(more int) {
		for range more {
			p.Event(event("e", n))
			n++
		}
	}
	feed(40)
	wait(t, "the first events", func() bool { return sent() == 40 })
	nc := connect(t, c.url(), nats.MaxReconnects(-1), nats.ReconnectWait(20*time.Millisecond))
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	wait(t, "the camera", present(t, nc, "default.front"))
	stream, err := js.Stream(t.Context(), "EVENTS")
	if err != nil {
		t.Fatal(err)
	}
	if info := stream.CachedInfo(); info.Config.Replicas != 3 || len(info.Cluster.Replicas) != 2 {
		t.Fatalf("the stream has %d replicas: %+v", info.Config.Replicas, info.Cluster)
	}
	leader := 0
	for i, o := range c.options {
		if o.ServerName == stream.CachedInfo().Cluster.Leader {
			leader = i
		}
	}
	stopServer(c.nodes[leader])
	feed(40)
	wait(t, "the events without that server", func() bool { return sent() == 80 })
	wait(t, "the camera without that server", present(t, nc, "default.front"))
	c.nodes[leader] = runServer(t, c.options[leader])
	feed(40)
	wait(t, "all events", func() bool { return sent() == 120 })
	if err := p.Check(); err != nil {
		t.Errorf("Check() = %v", err)
	}
	wait(t, "an answer of the stream", func() bool { return stored(t.Context(), js, "EVENTS") == 120 })
	checkAll(t, js, "EVENTS", 120)
	for _, name := range []string{"EVENTS", "KV_oodcast_status"} { // a server that stops while it catches up leaves goroutines
		wait(t, "all replicas of "+name, func() bool {
			stream, err := js.Stream(t.Context(), name)
			if err != nil || stream.CachedInfo().Cluster == nil {
				return false
			}
			current := 0
			for _, r := range stream.CachedInfo().Cluster.Replicas {
				if r.Current && !r.Offline {
					current++
				}
			}
			return current == 2
		})
	}
}

// TestLeaf publishes to a leaf node with a JetStream domain of its own, next to a publisher at the hub. Each stream has the
// events of its own site, a stream at the hub collects both, and nothing is lost while the hub is away.
func TestLeaf(t *testing.T) {
	ports := freePorts(t, 2)
	hubOptions := server.Options{
		ServerName: "hub", Port: ports[0], JetStream: true, JetStreamDomain: "hub", StoreDir: t.TempDir(),
		LeafNode: server.LeafNodeOpts{Host: "127.0.0.1", Port: ports[1]},
	}
	hub := runServer(t, hubOptions)
	leaf := runServer(t, server.Options{
		ServerName: "leaf", Port: -1, JetStream: true, JetStreamDomain: "lab", StoreDir: t.TempDir(),
		LeafNode: server.LeafNodeOpts{
			ReconnectInterval: 50 * time.Millisecond,
			Remotes:           []*server.RemoteLeafOpts{{URLs: []*url.URL{{Scheme: "nats", Host: fmt.Sprintf("127.0.0.1:%d", ports[1])}}}},
		},
	})
	wait(t, "the leaf node", func() bool { return hub.NumLeafNodes() == 1 })
	at := func(site, url string) (publish.Config, func() float64, *publish.Publisher) {
		cfg := remote(t, url)
		cfg.Site, cfg.JSDomain = site, site
		if site == "hq" {
			cfg.JSDomain = "hub"
		}
		reg, option := counted(t)
		p := start(t, cfg, []schema.Camera{newCamera("front")}, option)
		return cfg, func() float64 { return metric(t, reg, "oodcast_nats_publish_total", "event", "sent") }, p
	}
	_, sentLab, lab := at("lab", leaf.ClientURL())
	_, sentHQ, hq := at("hq", hub.ClientURL())
	nc := connect(t, hub.ClientURL(), nats.MaxReconnects(-1), nats.ReconnectWait(20*time.Millisecond))
	atHub, err := jetstream.NewWithDomain(nc, "hub")
	if err != nil {
		t.Fatal(err)
	}
	atLeaf, err := jetstream.NewWithDomain(connect(t, leaf.ClientURL()), "lab")
	if err != nil {
		t.Fatal(err)
	}
	hq.Event(event("e", 0))
	lab.Event(event("e", 0))
	wait(t, "the first events", func() bool { return sentLab() == 1 && sentHQ() == 1 })
	_, err = atHub.CreateStream(t.Context(), jetstream.StreamConfig{Name: "ALL_EVENTS", Sources: []*jetstream.StreamSource{
		{Name: "EVENTS"}, {Name: "EVENTS", External: &jetstream.ExternalStream{APIPrefix: "$JS.lab.API"}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	wait(t, "both at the hub", func() bool { return stored(t.Context(), atHub, "ALL_EVENTS") == 2 })
	stopServer(hub)
	for i := 1; i < 30; i++ {
		lab.Event(event("e", i))
	}
	wait(t, "the events of the lab without the hub", func() bool { return sentLab() == 30 })
	runServer(t, hubOptions)
	for i := 30; i < 50; i++ {
		lab.Event(event("e", i))
	}
	hq.Event(event("e", 1))
	wait(t, "all events", func() bool { return sentLab() == 50 && sentHQ() == 2 })
	wait(t, "all events at the hub", func() bool { return stored(t.Context(), atHub, "ALL_EVENTS") == 52 })
	checkAll(t, atLeaf, "EVENTS", 50)
	checkAll(t, atHub, "EVENTS", 2)
}

// TestForeignAnswer has another stream on the same server connections that takes our events too, and whose answer may come
// first: an event counts as sent only when our stream has it.
func TestForeignAnswer(t *testing.T) {
	ports := freePorts(t, 1)
	hub := runServer(t, server.Options{
		ServerName: "hub", Port: -1, JetStream: true, JetStreamDomain: "hub", StoreDir: t.TempDir(),
		LeafNode: server.LeafNodeOpts{Host: "127.0.0.1", Port: ports[0]},
	})
	leaf := runServer(t, server.Options{
		ServerName: "leaf", Port: -1, JetStream: true, JetStreamDomain: "lab", StoreDir: t.TempDir(),
		LeafNode: server.LeafNodeOpts{
			Remotes: []*server.RemoteLeafOpts{{URLs: []*url.URL{{Scheme: "nats", Host: fmt.Sprintf("127.0.0.1:%d", ports[0])}}}},
		},
	})
	wait(t, "the leaf node", func() bool { return hub.NumLeafNodes() == 1 })
	atHub, err := jetstream.NewWithDomain(connect(t, hub.ClientURL()), "hub")
	if err != nil {
		t.Fatal(err)
	}
	// It refuses everything as too large, which about our own stream would be final.
	greedy := jetstream.StreamConfig{Name: "EVENTS", Subjects: []string{"oodcast.>"}, MaxMsgSize: 10}
	if _, err := atHub.CreateStream(t.Context(), greedy); err != nil {
		t.Fatal(err)
	}
	cfg := remote(t, leaf.ClientURL())
	cfg.Site, cfg.JSDomain = "lab", "lab"
	reg, option := counted(t)
	p := start(t, cfg, nil, option)
	for i := range 50 {
		p.Event(event("e", i))
	}
	wait(t, "all events", func() bool {
		return metric(t, reg, "oodcast_nats_publish_total", "event", "sent") == 50
	})
	if got := metric(t, reg, "oodcast_nats_publish_total", "event", "refused"); got != 0 {
		t.Errorf("%v events thrown away for what another stream said", got)
	}
	atLeaf, err := jetstream.NewWithDomain(connect(t, leaf.ClientURL()), "lab")
	if err != nil {
		t.Fatal(err)
	}
	checkAll(t, atLeaf, "EVENTS", 50)
}

// TestTwoPrefixes runs two installations on one server: each has its own streams and presence.
func TestTwoPrefixes(t *testing.T) {
	s := runServer(t, server.Options{Port: -1, JetStream: true, StoreDir: t.TempDir()})
	nc := connect(t, s.ClientURL())
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	for prefix, name := range map[string]string{"oodcast": "", "plant2": "_plant2"} {
		cfg := remote(t, s.ClientURL())
		cfg.Prefix, cfg.MapStream = prefix, true
		p := start(t, cfg, []schema.Camera{newCamera("front")})
		for i := range 5 {
			p.Event(event("e", i))
		}
		p.Map(testMap("front", 0, 8, 8))
		wait(t, "events of "+prefix, func() bool { return stored(t.Context(), js, "EVENTS"+name) == 5 })
		wait(t, "the map stream of "+prefix, func() bool { _, err := js.Stream(t.Context(), "MAPS"+name); return err == nil })
		wait(t, "the presence in "+prefix, func() bool {
			kv, err := js.KeyValue(t.Context(), prefix+"_status")
			if err != nil {
				return false
			}
			_, err = kv.Get(t.Context(), "default.front")
			return err == nil
		})
		if err := p.Check(); err != nil {
			t.Errorf("%s: Check() = %v", prefix, err)
		}
		checkAll(t, js, "EVENTS"+name, 5)
	}
}
