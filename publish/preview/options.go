package preview

import (
	"context"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"
)

// Option is a choice of the program, not of the operator.
type Option func(*Server)

// WithLogger sets the logger for viewers and faults; default slog.Default.
func WithLogger(l *slog.Logger) Option { return func(s *Server) { s.log = l } }

// WithRegistry adds the preview's metrics to r and serves all of r at /metrics.
func WithRegistry(r *prometheus.Registry) Option { return func(s *Server) { s.registry = r } }

// WithSite names the site in events; default "default".
func WithSite(site string) Option { return func(s *Server) { s.site = site } }

// WithVersion sets the version that /api/v1/info reports; default "dev".
func WithVersion(v string) Option { return func(s *Server) { s.version = v } }

// WithReady adds a condition to /readyz: while check returns an error, the service is not ready and the answer names the
// error. Several checks add up. A check must answer at once and be safe for concurrent use.
func WithReady(check func() error) Option {
	return func(s *Server) { s.checks = append(s.checks, check) }
}

// Bus describes the NATS connection to the page.
type Bus struct {
	// Subjects matches the subjects of all cameras (oodcast.v1.default.>); empty when nothing is published.
	Subjects string
	// Connected reports whether the NATS server accepts messages now.
	Connected func() bool
}

// WithBus shows the NATS connection on the page; default: off.
func WithBus(b Bus) Option { return func(s *Server) { s.bus = b } }

// Evidence returns a file of an event, such as snapshot.jpg, thumb.jpg or clip.webm, or fs.ErrNotExist.
type Evidence func(ctx context.Context, id, file string) ([]byte, error)

// WithEvidence serves the evidence of events at /api/v1/events/{id}/{file}; default: there is none.
func WithEvidence(e Evidence) Option { return func(s *Server) { s.evidence = e } }
