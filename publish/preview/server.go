package preview

import (
	"context"
	"crypto/tls"
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

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/detector/events"
	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/publish/message"
	"github.com/oodcast/oodcast/publish/schema"
)

// ErrPortTaken means that another program listens on Config.Listen.
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
	audits   audits
	started  time.Time
	joins    quotas
	slots    *slots
	auth     *auth
	guesses  quotas // of tokens
	relayed  quotas // of tokens that came through a proxy
	registry *prometheus.Registry
	checks   []func() error
	evidence Evidence
	bus      Bus

	ready chan struct{}
	url   atomic.Pointer[string]
	mu    struct {
		sync.Mutex
		sessions *sessions // nil before Run
	}
}

// New checks cfg and returns a server for these cameras. Nothing is served before Run.
func New(cfg Config, cameras []schema.Camera, opts ...Option) (*Server, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	s := &Server{
		cfg: cfg, site: "default", version: "dev", log: slog.Default(),
		auth: newAuth(cfg), started: time.Now(), joins: quotas{burst: joinBurst, every: joinEvery}, guesses: quotas{burst: guessBurst, every: guessEvery},
		relayed: quotas{burst: relayBurst, every: relayEvery},
		slots:   newSlots(cfg.MaxViewers), ready: make(chan struct{}),
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

// Frame shows a frame as the newest of its camera. The server takes over one reference.
func (s *Server) Frame(f *ingest.Frame) {
	st := s.cams.get(f.Camera)
	if st == nil || s.cfg.Off() {
		f.Release()
		return
	}
	st.push(f)
}

// Map shows a map as the newest of its camera. The caller must not change it afterwards.
func (s *Server) Map(m *detector.Map) {
	if st := s.cams.get(m.Camera); st != nil {
		st.setMap(m)
		s.broadcast(st, "score", scoreMessage(m))
	}
}

// Event adds an event to the list that the page shows.
func (s *Server) Event(e events.Event) { s.tell(message.Event(s.site, e)) }

func (s *Server) tell(e schema.Event) {
	s.events.add(e)
	if st := s.cams.get(e.Camera); st != nil {
		s.broadcast(st, "event", e)
	}
}

// Viewers returns the number of viewers of a camera.
func (s *Server) Viewers(camera string) int {
	if st := s.cams.get(camera); st != nil {
		return int(st.viewers.Load()) + st.mjpeg.len()
	}
	return 0
}

// Snapshot returns the newest frame of a camera with its overlay as JPEG, and the time of its capture.
func (s *Server) Snapshot(camera string) ([]byte, time.Time, error) {
	st := s.cams.get(camera)
	if st == nil {
		return nil, time.Time{}, fmt.Errorf("preview: no camera %q", camera)
	}
	return st.snapshot(false)
}

// Ready is closed when the server accepts connections.
func (s *Server) Ready() <-chan struct{} { return s.ready }

// URL returns the page's address. It is empty before Ready, and when nothing is served.
func (s *Server) URL() string {
	if u := s.url.Load(); u != nil {
		return *u
	}
	return ""
}

// goodbye is the time that answers have to be complete after the end of Run's context. A viewer on a slow line takes all of it.
const goodbye = 500 * time.Millisecond

// Run serves until ctx is done, then ends all streams and sessions, within a second. It fails at once when the port is
// taken. It may be called once.
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
	var cert *certificate
	if s.cfg.TLS() {
		var err error
		if cert, err = newCertificate(s.cfg, s.log); err != nil {
			return err
		}
	}
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", s.cfg.Listen)
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("http on %s: %w: give another one with --http HOST:PORT", s.cfg.Listen, ErrPortTaken)
	}
	if err != nil {
		return fmt.Errorf("http on %s: %w", s.cfg.Listen, err)
	}
	sessions, err := newSessions(s.cfg, s.log, s.slots)
	if err != nil {
		return errors.Join(err, ln.Close())
	}
	defer sessions.close()
	s.mu.Lock()
	s.mu.sessions = sessions
	s.mu.Unlock()
	return s.serve(ctx, ln, cert)
}

// serve runs the streams and the HTTP server on ln, with TLS when there is a certificate.
func (s *Server) serve(ctx context.Context, ln net.Listener, cert *certificate) error {
	g, ctx := errgroup.WithContext(ctx)
	open := s.limit(ln)
	web := &http.Server{
		Handler: s.Handler(), ReadHeaderTimeout: 5 * time.Second, IdleTimeout: s.cfg.Connections.Idle, MaxHeaderBytes: 64 << 10,
		WriteTimeout: 5 * time.Minute,                                   // for a clip over a slow line; streams set their own
		BaseContext:  func(net.Listener) context.Context { return ctx }, // ends MJPEG and event streams
		ErrorLog:     slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
		ConnState:    open.changed,
	}
	serve, scheme := func() error { return web.Serve(open) }, "http"
	if cert != nil {
		web.TLSConfig = &tls.Config{GetCertificate: cert.get, MinVersion: tls.VersionTLS12}
		serve, scheme = func() error { return web.ServeTLS(open, "", "") }, "https"
	}
	s.cams.run(ctx, g)
	g.Go(func() error {
		if err := serve(); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("http on %s: %w", s.cfg.Listen, err)
		}
		return nil
	})
	g.Go(func() error {
		<-ctx.Done()
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), goodbye)
		defer cancel()
		if web.Shutdown(stop) != nil {
			return web.Close()
		}
		return nil
	})
	url := scheme + "://" + reachable(ln.Addr().String()) + "/"
	s.url.Store(&url)
	close(s.ready)
	return g.Wait()
}

// reachable replaces the address of all interfaces with one that a browser on this machine can open.
func reachable(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if ip := net.ParseIP(host); err == nil && ip != nil && ip.IsUnspecified() {
		return net.JoinHostPort("localhost", port)
	}
	return addr
}

// sessions returns the WebRTC sessions, nil before Run.
func (s *Server) sessions() *sessions {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.sessions
}
