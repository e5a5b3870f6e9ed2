package publish

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/pipeline/queue"
	"github.com/oodcast/oodcast/publish/faultlog"
	"github.com/oodcast/oodcast/publish/schema"
)

// Bounds of the maps that wait for NATS in memory. Events wait on disk, see maxSpool.
const (
	mapQueue = 64       // maps of all cameras
	mapBytes = 16 << 20 // bytes of their values; 64 maps on the usual grids take 2 MB
)

// Publisher is the outlet to NATS. It is safe for concurrent use. Map and StatusChanged never wait; Event waits for the disk.
type Publisher struct {
	cfg      Config
	subjects schema.Subjects
	log      *slog.Logger
	metrics  *Metrics
	version  string

	cameras       cameras
	maps          *queue.Queue[*detector.Map]
	spool         *spool
	spoolReady    chan struct{} // closed when the spool accepts events, or never will
	statusChanged chan struct{} // signals that a state may have changed
	faults        faultlog.Log
	connections   atomic.Uint64 // successful connections so far
	online        atomic.Bool
	storage       storage
	memory        memory
	audits        audits
	offline       offline
	interrupted   func([]schema.Event)
	hadStream     atomic.Bool           // the event stream or the map stream existed
	loss          atomic.Pointer[error] // why the newest event was lost; nil if it was not

	server atomic.Pointer[embedded] // while an embedded server runs
	ready  chan struct{}
	url    atomic.Pointer[string]
}

// Option sets what the program decides rather than the operator.
type Option func(*Publisher)

// WithLogger sets the log for changes of state and faults; the default is slog.Default.
func WithLogger(l *slog.Logger) Option { return func(p *Publisher) { p.log = l } }

// WithMetrics sets the metrics to count in. By default nothing is exported.
func WithMetrics(m *Metrics) Option { return func(p *Publisher) { p.metrics = m } }

// WithVersion sets the version that the control service reports ("1.2.3").
func WithVersion(v string) Option { return func(p *Publisher) { p.version = v } }

// WithInterrupted sets a function that Run calls once with the ends of the events that the previous process left open, if
// there are any. It must not wait.
func WithInterrupted(tell func(ends []schema.Event)) Option {
	return func(p *Publisher) { p.interrupted = tell }
}

// New checks cfg and returns a publisher for these cameras. It starts nothing; Run does.
func New(cfg Config, cams []schema.Camera, opts ...Option) (*Publisher, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	p := &Publisher{
		cfg: cfg, subjects: schema.Subjects{Prefix: cfg.Prefix, Site: cfg.Site},
		log: slog.Default(), version: "0.0.0", interrupted: func([]schema.Event) {}, statusChanged: make(chan struct{}, 1), ready: make(chan struct{}),
		spool: newSpool(maxSpool), spoolReady: make(chan struct{}),
	}
	p.memory.dir = cfg.StateDir
	for _, o := range opts {
		o(p)
	}
	if p.metrics == nil {
		m, err := NewMetrics(prometheus.NewRegistry(), nil)
		if err != nil {
			return nil, err
		}
		p.metrics = m
	}
	p.maps = queue.New(mapQueue, queue.DropOldest, func(m *detector.Map) {
		p.count(schema.KindMap, resultOverflow)
	}, queue.Bytes(mapBytes, mapSize))
	for _, c := range cams {
		if err := p.AddCamera(c); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// Map hands over a map, which must not change any more. If too many maps are queued, the oldest ones are dropped.
func (p *Publisher) Map(m *detector.Map) {
	p.metrics.observe(m)
	if p.cfg.Off() {
		return
	}
	_ = p.maps.Put(context.Background(), m) // after Run the queue is closed and drops the map, as it should
}

// mapSize returns the size of a map's values in bytes.
func mapSize(m *detector.Map) int { return 4 * len(m.Values) }

// StatusChanged makes the publisher compare the cameras' states with those it published, and send what differs.
func (p *Publisher) StatusChanged() { notify(p.statusChanged) }

// Ready is closed when an embedded server accepts connections and the control service answers.
func (p *Publisher) Ready() <-chan struct{} { return p.ready }

// URL returns the address for subscribers, without credentials. It is empty before Ready.
func (p *Publisher) URL() string {
	if u := p.url.Load(); u != nil {
		return *u
	}
	return ""
}

// Login returns how another program logs in to an embedded server, with the names of the files that hold the passwords; empty
// for another server, or if the configuration has a user or token.
func (p *Publisher) Login() string {
	if !p.cfg.Embedded() || p.cfg.User != "" || p.cfg.Token != "" {
		return ""
	}
	file := passwordFile(p.cfg.StateDir, viewerUser)
	if abs, err := filepath.Abs(file); err == nil {
		file = abs
	}
	return fmt.Sprintf("nats --server %s --user %s --password \"$(cat %s)\" sub '%s.>'  (to change settings: %s, %s%s)",
		p.URL(), viewerUser, file, p.cfg.Prefix, controllerUser, controllerUser, passwordSuffix)
}

// Connected reports whether the server is connected.
func (p *Publisher) Connected() bool { return p.online.Load() }

// Run connects and publishes until ctx is done, then sends what is queued for at most a second. It waits for a NATS server
// that is away; a port that is taken, a state directory in use and refused credentials are errors. Run runs once.
func (p *Publisher) Run(ctx context.Context) error {
	defer p.maps.Drain()
	spoolReady := sync.OnceFunc(func() { close(p.spoolReady) })
	defer spoolReady()
	if p.cfg.Off() {
		p.runOffline(ctx.Done(), func() {
			spoolReady()
			close(p.ready)
		})
		return nil
	}
	var srv *embedded
	if p.cfg.Embedded() {
		var err error
		if srv, err = startServer(ctx, p.cfg, p.log); err != nil {
			return err
		}
		p.server.Store(srv)
		defer srv.stop()
		defer p.server.Store(nil)
		p.metrics.countSlowConsumers(srv.srv)
	}
	if err := p.spool.open(p.cfg.StateDir, p.log); err != nil {
		return err
	}
	defer func() {
		if err := p.spool.retry(); err != nil {
			p.log.Warn("events that were held in memory are lost", "err", err)
		}
		p.spool.close()
	}()
	p.endInterrupted()
	p.metrics.spool.Set(float64(p.spool.pending()))
	spoolReady()
	closed := make(chan error, 1)
	nc, err := p.connect(srv, closed)
	if err != nil {
		return err
	}
	defer func() {
		nc.Close()
		<-closed //nolint:errcheck // waits until its goroutines have ended; Run has its own error
	}()
	if err := p.cameras.startServices(nc, p.newService); err != nil {
		return err
	}
	defer p.cameras.stopServices()
	if nc.IsConnected() { // the server must know the subscriptions before Ready promises an answer
		if err := nc.FlushTimeout(readyTimeout); err != nil {
			p.log.Warn("nats is not answering yet", "err", err)
		}
	}
	url := redact(p.cfg.URL)
	if srv != nil {
		url = srv.srv.ClientURL()
	}
	p.url.Store(&url)
	close(p.ready)
	return p.runLoops(ctx, nc, closed)
}

// readyTimeout is how long a start waits for a server that is connected but slow.
const readyTimeout = 2 * time.Second

// runLoops runs the sending loops until ctx is done or the connection is permanently closed.
func (p *Publisher) runLoops(ctx context.Context, nc *nats.Conn, closed chan error) error {
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error { return p.sendMaps(gctx, nc) })
	g.Go(func() error { return p.syncEvents(gctx) })
	g.Go(func() error { return p.sendEvents(gctx, nc) })
	g.Go(func() error { return p.sendStatus(gctx, nc) })
	g.Go(func() error { return p.watchConnection(gctx, nc, closed) })
	err := g.Wait()
	if ctx.Err() != nil && nc.IsConnected() {
		_ = nc.FlushTimeout(time.Second) // the loops have handed over everything
	}
	return err
}
