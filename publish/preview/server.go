package preview

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/detector/events"
	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/publish/message"
	"github.com/oodcast/oodcast/publish/schema"
)

// ErrPortTaken means that something else listens on Config.Listen.
var ErrPortTaken = errors.New("the port is taken")

// Server serves the page, the API and the streams. Frame, Map and Event are safe for concurrent use and never wait.
type Server struct {
	cfg      Config
	site     string
	version  string
	log      *slog.Logger
	cams     cameras
	metrics  *metrics
	events   history
	started  time.Time
	joins    *rate.Limiter
	places   *places
	registry *prometheus.Registry
	checks   func() error
	evidence Evidence
	bus      Bus

	ready chan struct{}
	url   atomic.Pointer[string]
	mu    struct {
		sync.Mutex
		rooms *rooms // while Run runs
	}
}

// Option is what code decides.
type Option func(*Server)

// WithLogger sets where joins, leaves and faults are logged; default slog.Default.
func WithLogger(l *slog.Logger) Option { return func(s *Server) { s.log = l } }

// WithRegistry adds the preview's metrics to r and serves all of r at /metrics.
func WithRegistry(r *prometheus.Registry) Option { return func(s *Server) { s.registry = r } }

// WithSite names the site in events; default "default".
func WithSite(site string) Option { return func(s *Server) { s.site = site } }

// WithVersion is what /api/v1/info reports.
func WithVersion(v string) Option { return func(s *Server) { s.version = v } }

// WithReady makes /readyz fail with check's error, on top of its own checks.
func WithReady(check func() error) Option { return func(s *Server) { s.checks = check } }

// Bus says where maps and events go, for the page.
type Bus struct {
	// Subjects matches those of all cameras (oodcast.v1.default.>); empty when nothing is published.
	Subjects string
	// Connected reports whether the server takes messages now.
	Connected func() bool
}

// WithBus tells the page where maps and events go; default: nowhere.
func WithBus(b Bus) Option { return func(s *Server) { s.bus = b } }

// Evidence returns a file of an event, such as snapshot.jpg, thumb.jpg or clip.webm; fs.ErrNotExist when there is none.
type Evidence func(ctx context.Context, id, file string) ([]byte, error)

// WithEvidence serves what is kept of events under /api/v1/events/{id}/{file}; default: nothing is.
func WithEvidence(e Evidence) Option { return func(s *Server) { s.evidence = e } }

// New checks cfg and returns a server for these cameras. Nothing happens before Run.
func New(cfg Config, cameras []schema.Camera, opts ...Option) (*Server, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	s := &Server{
		cfg: cfg, site: "default", version: "dev", log: slog.Default(),
		started: time.Now(), joins: rate.NewLimiter(20, 40), places: newPlaces(cfg.MaxViewers), ready: make(chan struct{}),
		checks: func() error { return nil },
	}
	for _, o := range opts {
		o(s)
	}
	if s.registry == nil {
		s.registry = prometheus.NewRegistry()
	}
	var err error
	if s.metrics, err = newMetrics(s.registry); err != nil {
		return nil, fmt.Errorf("preview metrics: %w", err)
	}
	for _, c := range cameras {
		if err := s.AddCamera(c); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// Frame shows the newest frame of its camera. The server takes over one reference.
func (s *Server) Frame(f *ingest.Frame) {
	st := s.cams.get(f.Camera)
	if st == nil || s.cfg.Off() {
		f.Release()
		return
	}
	st.push(f)
}

// Map shows the newest map of its camera. It must not change any more.
func (s *Server) Map(m *detector.Map) {
	if st := s.cams.get(m.Camera); st != nil {
		st.setMap(m)
		s.tell(st, "score", scoreLine(m))
	}
}

// Event adds an event to the list that the page shows.
func (s *Server) Event(e events.Event) {
	msg := message.Event(s.site, e)
	s.events.add(msg)
	if st := s.cams.get(e.Camera); st != nil {
		s.tell(st, "event", msg)
	}
}

// Viewers is how many watch a camera.
func (s *Server) Viewers(camera string) int {
	if st := s.cams.get(camera); st != nil {
		return int(st.viewers.Load()) + st.mjpeg.len()
	}
	return 0
}

// Snapshot returns the newest frame of a camera with its overlay, as JPEG, and when it was captured.
func (s *Server) Snapshot(camera string) ([]byte, time.Time, error) {
	st := s.cams.get(camera)
	if st == nil {
		return nil, time.Time{}, fmt.Errorf("preview: no camera %q", camera)
	}
	return st.snapshot(false)
}

// Ready is closed when the server accepts connections.
func (s *Server) Ready() <-chan struct{} { return s.ready }

// URL is the page's address; empty before Ready and when nothing is served.
func (s *Server) URL() string {
	if u := s.url.Load(); u != nil {
		return *u
	}
	return ""
}

// Run serves until ctx is done; then viewers are told, and all is closed within two seconds. A port that is taken is an
// error at once. Run runs once.
func (s *Server) Run(ctx context.Context) error {
	defer func() {
		for _, st := range s.cams.all() {
			st.close()
		}
	}()
	if s.cfg.Off() {
		close(s.ready)
		<-ctx.Done()
		return nil
	}
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", s.cfg.Listen)
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("http on %s: %w: give another one with --http HOST:PORT", s.cfg.Listen, ErrPortTaken)
	}
	if err != nil {
		return fmt.Errorf("http on %s: %w", s.cfg.Listen, err)
	}
	rooms, err := newRooms(s.cfg, s.log, s.places)
	if err != nil {
		return errors.Join(err, ln.Close())
	}
	defer rooms.close()
	s.mu.Lock()
	s.mu.rooms = rooms
	s.mu.Unlock()
	return s.serve(ctx, ln)
}

// serve runs the streams and the HTTP server on ln.
func (s *Server) serve(ctx context.Context, ln net.Listener) error {
	g, ctx := errgroup.WithContext(ctx)
	web := &http.Server{
		Handler: s.Handler(), ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 64 << 10,
		WriteTimeout: 5 * time.Minute,                                   // for a film over a slow line; streams have their own
		BaseContext:  func(net.Listener) context.Context { return ctx }, // ends the streams of MJPEG and events
		ErrorLog:     slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	s.cams.run(ctx, g)
	g.Go(func() error {
		if err := web.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("http on %s: %w", s.cfg.Listen, err)
		}
		return nil
	})
	g.Go(func() error {
		<-ctx.Done()
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		if web.Shutdown(stop) != nil {
			return web.Close()
		}
		return nil
	})
	url := "http://" + reachable(ln.Addr().String()) + "/"
	s.url.Store(&url)
	close(s.ready)
	return g.Wait()
}

// reachable replaces the address that stands for all interfaces by one that a browser here can open.
func reachable(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if ip := net.ParseIP(host); err == nil && ip != nil && ip.IsUnspecified() {
		return net.JoinHostPort("localhost", port)
	}
	return addr
}

// sessions returns the WebRTC sessions, nil when Run does not run.
func (s *Server) sessions() *rooms {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.rooms
}
