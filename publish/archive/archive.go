package archive

import (
	"context"
	"errors"
	"fmt"
	"image"
	"io/fs"
	"log/slog"
	"path"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/ingest"
)

// Bounds of what waits.
const (
	maxJobs     = 64       // pictures and documents of events
	maxJobBytes = 64 << 20 // of their frames
	maxFilms    = 8

	// FramesHeld is how many frames of the pool wait to be compressed for films, of all cameras together.
	FramesHeld = 3
)

// drainTime is how long Run goes on writing after its end.
const drainTime = 5 * time.Second

// Archive keeps evidence of events. Frame and Observe are safe for concurrent use and never wait for a disk or a network.
type Archive struct {
	cfg     Config
	site    string
	log     *slog.Logger
	reg     prometheus.Registerer
	metrics *metrics
	overlay Overlay
	places  []namedPlace

	frames  chan *ingest.Frame
	jobs    chan job
	pending atomic.Int64 // bytes of frames in jobs
	room    int64        // for them
	films   chan footage
	writes  atomic.Uint64

	mu struct {
		sync.Mutex
		records   map[string]*record // of events that are open
		recorders map[string]*recorder
		faults    map[string]bool // that were logged
	}
}

type namedPlace struct {
	name string
	place
}

// Option is what code decides.
type Option func(*Archive)

// WithLogger sets where faults are logged; default slog.Default.
func WithLogger(l *slog.Logger) Option { return func(a *Archive) { a.log = l } }

// WithRegistry adds the archive's metrics to r.
func WithRegistry(r prometheus.Registerer) Option { return func(a *Archive) { a.reg = r } }

// WithOverlay sets how overlays are painted; default: the frame as it is.
func WithOverlay(o Overlay) Option { return func(a *Archive) { a.overlay = o } }

// WithObjectStore sets the bucket of the object store, which Config.ObjectStore needs, and who connects to it: dial is
// asked whenever there is no connection that works, and what it returns stays its own.
func WithObjectStore(dial func() (*nats.Conn, error), bucket string) Option {
	return func(a *Archive) {
		a.places = append(a.places, namedPlace{"objects", &objects{bucket: bucket, maxAge: a.cfg.MaxAge, dial: dial}})
	}
}

// New checks cfg and returns an archive for the events of a site. Nothing happens before Run.
func New(cfg Config, site string, opts ...Option) (*Archive, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	a := &Archive{
		cfg: cfg, site: site, log: slog.Default(), reg: prometheus.NewRegistry(),
		overlay: func(f *ingest.Frame, _ *detector.Map) image.Image { return ingest.FrameImage(f) },
		room:    maxJobBytes,
		frames:  make(chan *ingest.Frame, FramesHeld-1), jobs: make(chan job, maxJobs), films: make(chan footage, maxFilms),
	}
	a.mu.records, a.mu.recorders, a.mu.faults = map[string]*record{}, map[string]*recorder{}, map[string]bool{}
	if cfg.Dir != "" {
		a.places = append(a.places, namedPlace{"dir", dir{cfg.Dir}})
	}
	for _, o := range opts {
		o(a)
	}
	if cfg.ObjectStore && !slices.ContainsFunc(a.places, func(p namedPlace) bool { return p.name == "objects" }) {
		return nil, errors.New("archive: an object store needs a connection")
	}
	var err error
	if a.metrics, err = newMetrics(a.reg); err != nil {
		return nil, fmt.Errorf("archive metrics: %w", err)
	}
	return a, nil
}

// Run writes until ctx is done and then what waits, for five seconds at most: a disk that hangs does not hold up the end.
// Call neither Frame nor Observe when ctx is done. Run runs once.
func (a *Archive) Run(ctx context.Context) error {
	if a.cfg.Off() {
		<-ctx.Done()
		return nil
	}
	rest, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(drainTime, cancel) })()
	done := make(chan error, 1)
	go func() {
		var g errgroup.Group
		g.Go(func() error { return a.keepHouse(ctx) })
		g.Go(func() error { return a.record(ctx) })
		g.Go(func() error { return a.write(ctx, rest) })
		g.Go(func() error { return a.develop(rest) })
		done <- g.Wait()
	}()
	select {
	case err := <-done:
		return err
	case <-rest.Done():
		a.log.Warn("archive: what was not written yet is lost")
		return nil
	}
}

// recorder returns that of a camera.
func (a *Archive) recorder(camera string) *recorder {
	a.mu.Lock()
	defer a.mu.Unlock()
	c := a.mu.recorders[camera]
	if c == nil {
		c = &recorder{cfg: a.cfg.Clip}
		a.mu.recorders[camera] = c
	}
	return c
}

func (a *Archive) allRecorders() (list []*recorder) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, c := range a.mu.recorders {
		list = append(list, c)
	}
	return list
}

func (a *Archive) isOpen(id string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.mu.records[id] != nil
}

// Frame shows a frame that may become part of a film. The archive takes over one reference.
func (a *Archive) Frame(f *ingest.Frame) {
	if a.cfg.Off() || a.cfg.Clip.FPS == 0 || !a.recorder(f.Camera).takes(f) {
		f.Release()
		return
	}
	select {
	case a.frames <- f:
	default:
		a.metrics.dropped.WithLabelValues("frame").Inc()
		f.Release()
	}
}

// File returns a file of an event; fs.ErrNotExist when there is none of that name, or not yet.
func (a *Archive) File(ctx context.Context, id, file string) ([]byte, error) {
	names := []string{file}
	if file == FileSnapshot {
		names = []string{FilePeakOverlay, FileOverlay}
	}
	in, err := folder(a.site, id)
	if err != nil {
		return nil, fs.ErrNotExist
	}
	for _, name := range names {
		full := path.Join(in, name)
		if _, _, _, ok := parseName(full); !ok {
			return nil, fs.ErrNotExist
		}
		for _, p := range a.places {
			data, err := p.get(ctx, full)
			if err == nil {
				return data, nil
			}
			if !errors.Is(err, fs.ErrNotExist) {
				a.outcome(p.name, err)
			}
		}
	}
	return nil, fs.ErrNotExist
}

// outcome counts an error and logs it, once until it goes well again.
func (a *Archive) outcome(what string, err error) {
	a.mu.Lock()
	known := a.mu.faults[what]
	a.mu.faults[what] = err != nil
	a.mu.Unlock()
	if err == nil {
		if known {
			a.log.Info("archive works again", "place", what)
		}
		return
	}
	a.metrics.errors.WithLabelValues(what).Inc()
	if !known {
		a.log.Warn("archive", "place", what, "error", err)
	}
}

// put writes a file to all places and says whether it is in one of them at least.
func (a *Archive) put(ctx context.Context, name string, data []byte) bool {
	ok := false
	for _, p := range a.places {
		err := p.put(ctx, name, data)
		a.outcome(p.name, err)
		if err == nil {
			ok = true
			a.metrics.written.WithLabelValues(p.name).Inc()
			a.writes.Add(1)
		}
	}
	return ok
}
