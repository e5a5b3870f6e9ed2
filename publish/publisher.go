package publish

import (
	"context"
	"log/slog"
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

// Bounds of what waits for NATS in memory; events wait on disk behind that, see maxSpool.
const (
	mapQueue = 64       // maps of all cameras
	mapBytes = 16 << 20 // and their values; 64 maps on the usual grids are 2 MB
)

// Publisher sends what the detector finds. It is safe for concurrent use. Map and StatusChanged
// never wait; Event waits for the disk.
type Publisher struct {
	cfg      Config
	subjects schema.Subjects
	log      *slog.Logger
	metrics  *Metrics
	version  string

	cameras     cameras
	maps        *queue.Queue[*detector.Map]
	spool       *spool
	opened      chan struct{} // the spool takes events, or never will
	poke        chan struct{} // a state may have changed
	faults      faultlog.Log
	connections atomic.Uint64 // how often the server took us
	online      atomic.Bool

	ready chan struct{}
	url   atomic.Pointer[string]
}

// Option is what code decides.
type Option func(*Publisher)

// WithLogger sets where state changes are logged; default slog.Default.
func WithLogger(l *slog.Logger) Option { return func(p *Publisher) { p.log = l } }

// WithMetrics counts in m; default: nowhere.
func WithMetrics(m *Metrics) Option { return func(p *Publisher) { p.metrics = m } }

// WithVersion sets the version that the control service reports ("1.2.3").
func WithVersion(v string) Option { return func(p *Publisher) { p.version = v } }

// New checks cfg and returns a publisher for these cameras. Nothing happens before Run.
func New(cfg Config, cams []schema.Camera, opts ...Option) (*Publisher, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	p := &Publisher{
		cfg: cfg, subjects: schema.Subjects{Prefix: cfg.Prefix, Site: cfg.Site},
		log: slog.Default(), version: "0.0.0", poke: make(chan struct{}, 1), ready: make(chan struct{}),
		spool: newSpool(maxSpool), opened: make(chan struct{}),
	}
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
	}, queue.Bytes(mapBytes, size))
	for _, c := range cams {
		if err := p.AddCamera(c); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// Map hands over a map, which must not change any more. The oldest waiting map is dropped when there are too many.
func (p *Publisher) Map(m *detector.Map) {
	p.metrics.observe(m)
	if p.cfg.Off() {
		return
	}
	_ = p.maps.Put(context.Background(), m) // closed after Run: the map is dropped, and that is right
}

// size is the number of bytes that the values of a map take.
func size(m *detector.Map) int { return 4 * len(m.Values) }

// StatusChanged makes the publisher look at once whether a camera's state is news.
func (p *Publisher) StatusChanged() {
	poke(p.poke)
}

// Ready is closed when the server, if it is embedded, accepts connections and the control service answers.
func (p *Publisher) Ready() <-chan struct{} { return p.ready }

// URL is where subscribers connect, without credentials; empty before Ready.
func (p *Publisher) URL() string {
	if u := p.url.Load(); u != nil {
		return *u
	}
	return ""
}

// Connected reports whether the server takes messages now.
func (p *Publisher) Connected() bool { return p.online.Load() }

// Run connects and publishes until ctx is done, then sends what waits, for a second at most. A NATS server that is away
// is waited for; a port that is taken, a state directory in use or refused credentials are errors. Run runs once.
func (p *Publisher) Run(ctx context.Context) error {
	defer p.maps.Drain()
	opened := sync.OnceFunc(func() { close(p.opened) })
	defer opened()
	if p.cfg.Off() {
		close(p.ready)
		<-ctx.Done()
		return nil
	}
	var srv *embedded
	if p.cfg.Embedded() {
		var err error
		if srv, err = startServer(ctx, p.cfg, p.log); err != nil {
			return err
		}
		defer srv.stop()
		p.metrics.watch(srv.srv)
	}
	if err := p.spool.open(p.cfg.StateDir, p.log); err != nil {
		return err
	}
	defer p.spool.close()
	p.endInterrupted()
	p.metrics.spool.Set(float64(p.spool.pending()))
	opened()
	closed := make(chan error, 1)
	nc, err := p.connect(srv, closed)
	if err != nil {
		return err
	}
	defer func() {
		nc.Close()
		<-closed //nolint:errcheck // its goroutines have ended; Run tells errors itself
	}()
	if err := p.serveControl(nc); err != nil {
		return err
	}
	defer p.stopControl()
	if nc.IsConnected() { // the server must know our subscriptions before anybody is told that we answer
		if err := nc.FlushTimeout(readyTimeout); err != nil {
			p.log.Warn("nats does not answer yet", "err", err)
		}
	}
	url := redact(p.cfg.URL)
	if srv != nil {
		url = srv.srv.ClientURL()
	}
	p.url.Store(&url)
	close(p.ready)
	return p.pump(ctx, nc, closed)
}

// readyTimeout is how long the start waits for a server that is connected but slow.
const readyTimeout = 2 * time.Second

// pump runs the loops until ctx is done or the connection is closed for good.
func (p *Publisher) pump(ctx context.Context, nc *nats.Conn, closed chan error) error {
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error { return p.sendMaps(gctx, nc) })
	g.Go(func() error { return p.syncEvents(gctx) })
	g.Go(func() error { return p.sendEvents(gctx, nc) })
	g.Go(func() error { return p.sendStatus(gctx, nc) })
	g.Go(func() error { return p.guard(gctx, nc, closed) })
	err := g.Wait()
	if ctx.Err() != nil && nc.IsConnected() {
		_ = nc.FlushTimeout(time.Second) // the loops have written all they had
	}
	return err
}
