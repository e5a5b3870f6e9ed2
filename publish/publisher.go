package publish

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/pipeline"
	"github.com/oodcast/oodcast/publish/schema"
)

// Bounds of what waits for NATS.
const (
	mapQueue   = 64   // maps of all cameras; at most 16 KB each on the usual grids
	eventQueue = 4096 // events
)

// Publisher sends what the detector finds. Map, Event and StatusChanged are safe for concurrent use and never wait.
type Publisher struct {
	cfg      Config
	subjects schema.Subjects
	cameras  []Camera
	log      *slog.Logger
	metrics  *Metrics
	version  string

	maps   *pipeline.Queue[*detector.Map]
	events *pipeline.Queue[schema.Event]
	poke   chan struct{} // a state may have changed
	ready  chan struct{}
	url    atomic.Pointer[string]
	nc     *nats.Conn // set before ready is closed
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
func New(cfg Config, cameras []Camera, opts ...Option) (*Publisher, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	for _, c := range cameras {
		if err := schema.CheckName(c.Name()); err != nil {
			return nil, fmt.Errorf("publish: camera %w", err)
		}
		if seen[c.Name()] {
			return nil, fmt.Errorf("publish: two cameras are named %q", c.Name())
		}
		seen[c.Name()] = true
	}
	p := &Publisher{
		cfg: cfg, cameras: cameras, subjects: schema.Subjects{Prefix: cfg.Prefix, Site: cfg.Site},
		log: slog.Default(), version: "0.0.0", poke: make(chan struct{}, 1), ready: make(chan struct{}),
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
	p.maps = pipeline.NewQueue(mapQueue, pipeline.DropOldest, func(*detector.Map) { p.count(schema.KindMap, "dropped") })
	p.events = pipeline.NewQueue(
		eventQueue, pipeline.DropOldest, func(schema.Event) { p.count(schema.KindEvent, "dropped") },
	)
	return p, nil
}

// count counts one message of a kind: sent, dropped, error or too_large.
func (p *Publisher) count(kind, result string) {
	p.metrics.published.WithLabelValues(kind, result).Inc()
}

// Map hands over a map, which must not change any more. The oldest waiting map is dropped when there are too many.
func (p *Publisher) Map(m *detector.Map) {
	p.metrics.observe(m)
	if p.cfg.Off() {
		return
	}
	_ = p.maps.Put(context.Background(), m) // closed after Run: the map is dropped, and that is right
}

// Event hands over an event.
func (p *Publisher) Event(e detector.Event) {
	p.metrics.events.WithLabelValues(e.Camera, string(e.Type)).Inc()
	if p.cfg.Off() {
		return
	}
	_ = p.events.Put(context.Background(), EventMessage(p.cfg.Site, e))
}

// StatusChanged makes the publisher look at once whether a camera's state is news.
func (p *Publisher) StatusChanged() {
	select {
	case p.poke <- struct{}{}:
	default:
	}
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

// Run connects and publishes until ctx is done, then sends what waits, for a second at most. A NATS server that is away
// is waited for; a port that is taken, a state directory in use or refused credentials are errors. Run runs once.
func (p *Publisher) Run(ctx context.Context) error {
	defer p.maps.Drain()
	defer p.events.Drain()
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
	}
	sp, err := openSpool(p.cfg.StateDir, maxSpool, p.log)
	if err != nil {
		return err
	}
	defer sp.close()
	closed := make(chan error, 1)
	nc, err := p.connect(srv, closed)
	if err != nil {
		return err
	}
	p.nc = nc
	defer func() {
		nc.Close()
		<-closed //nolint:errcheck // its goroutines have ended; Run tells errors itself
	}()
	svc, err := p.serveControl(nc)
	if err != nil {
		return err
	}
	defer func() { _ = svc.Stop() }()
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
	return p.pump(ctx, nc, sp, closed)
}

// readyTimeout is how long the start waits for a server that is connected but slow.
const readyTimeout = 2 * time.Second

// pump runs the loops until ctx is done or the connection is closed for good.
func (p *Publisher) pump(ctx context.Context, nc *nats.Conn, sp *spool, closed chan error) error {
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error { return p.sendMaps(gctx, nc) })
	g.Go(func() error { return p.keepEvents(gctx, sp) })
	g.Go(func() error { return p.sendEvents(gctx, nc, sp) })
	g.Go(func() error { return p.sendStatus(gctx, nc) })
	g.Go(func() error {
		select {
		case err := <-closed:
			closed <- err // for Run, which waits for it too
			return fmt.Errorf("nats %s: %w", redact(p.cfg.URL), err)
		case <-gctx.Done():
			return nil
		}
	})
	err := g.Wait()
	if ctx.Err() != nil && nc.IsConnected() {
		_ = nc.FlushTimeout(time.Second) // the loops have written all they had
	}
	return err
}

// connect returns a connection that finds its way back by itself. closed receives why it ended for good.
func (p *Publisher) connect(srv *embedded, closed chan<- error) (*nats.Conn, error) {
	opts := []nats.Option{
		nats.Name("oodcast"),
		nats.MaxReconnects(-1), nats.RetryOnFailedConnect(true),
		nats.ReconnectWait(250 * time.Millisecond), nats.ReconnectJitter(250*time.Millisecond, 500*time.Millisecond),
		nats.ReconnectBufSize(-1), // a map that is late is worthless; events have their own queue
		nats.Timeout(2 * time.Second), nats.PingInterval(5 * time.Second), nats.MaxPingsOutstanding(2),
		nats.FlusherTimeout(2 * time.Second),
		nats.ConnectHandler(func(*nats.Conn) { p.connected(true, nil) }),
		nats.ReconnectHandler(func(*nats.Conn) { p.connected(true, nil) }),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) { p.connected(false, err) }),
		nats.ClosedHandler(func(c *nats.Conn) {
			err := c.LastError()
			if err == nil {
				err = nats.ErrConnectionClosed
			}
			closed <- err
		}),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { p.log.Warn("nats", "err", err) }),
	}
	url := p.cfg.URL
	if srv != nil {
		url = nats.DefaultURL // not dialled
		opts = append(opts, nats.InProcessServer(srv.srv))
	}
	auth, err := p.cfg.authenticate()
	if err != nil {
		return nil, err
	}
	nc, err := nats.Connect(url, append(opts, auth...)...)
	if err != nil {
		return nil, fmt.Errorf("nats %s: %w", redact(p.cfg.URL), err)
	}
	return nc, nil
}

// authenticate returns the options for the credentials that are set.
func (c Config) authenticate() ([]nats.Option, error) {
	var opts []nats.Option
	if c.User != "" {
		opts = append(opts, nats.UserInfo(c.User, c.Password))
	}
	if c.Token != "" {
		opts = append(opts, nats.Token(c.Token))
	}
	if c.NKeyFile != "" {
		o, err := nats.NkeyOptionFromSeed(c.NKeyFile)
		if err != nil {
			return nil, fmt.Errorf("nats nkey %q: %w", c.NKeyFile, err)
		}
		opts = append(opts, o)
	}
	if c.CredsFile != "" {
		opts = append(opts, nats.UserCredentials(c.CredsFile))
	}
	if c.CAFile != "" {
		opts = append(opts, nats.RootCAs(c.CAFile))
	}
	if c.CertFile != "" {
		opts = append(opts, nats.ClientCert(c.CertFile, c.KeyFile))
	}
	return opts, nil
}

func (p *Publisher) connected(yes bool, err error) {
	if yes {
		p.metrics.connected.Set(1)
		p.log.Info("nats connected", "url", redact(p.cfg.URL))
		p.StatusChanged()
		return
	}
	p.metrics.connected.Set(0)
	if err != nil && !errors.Is(err, nats.ErrConnectionClosed) {
		p.log.Warn("nats away", "url", redact(p.cfg.URL), "err", err)
	}
}
