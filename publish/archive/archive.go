package archive

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/publish/faultlog"
	"github.com/oodcast/oodcast/publish/schema"
)

// Bounds of the queues.
const (
	maxJobs     = 64       // pictures and documents of events
	maxJobBytes = 64 << 20 // of the frames in them
	maxFilms    = 8

	// FramesHeld is the largest number of pooled frames that wait to be compressed for films, of all cameras together.
	FramesHeld = 3
)

// What Run may take after the end of its context. Films that are not done within filmTime end earlier; only a disk or an
// object store that is slow makes use of the rest.
const (
	drainTime = 10 * time.Second
	filmTime  = 1500 * time.Millisecond
)

// Archive keeps evidence of events. All methods are safe for concurrent use. Frame and Observe never wait for a disk or a
// network.
type Archive struct {
	cfg     atomic.Pointer[Config] // in force
	site    string
	log     *slog.Logger
	reg     prometheus.Registerer
	metrics *metrics
	faults  faultlog.Log
	dir     storage   // holds everything first; nil: nothing is kept
	store   *uploader // nil without WithObjectStore

	frames     chan *ingest.Frame
	jobs       chan job
	pending    atomic.Int64 // bytes of the frames in jobs
	maxPending int64        // bound of pending
	films      chan footage
	stills     chan struct{}       // signals another still
	filmed     chan job            // films to be written
	ends       chan []schema.Event // of events that the previous process left open
	writes     atomic.Uint64
	changed    chan struct{} // signals new settings

	drain        time.Duration
	filmTime     time.Duration
	filmsDue     atomic.Pointer[time.Time] // the end of the time for films; nil: no end yet
	filmsPending atomic.Int64              // films that are not made yet

	mu struct {
		sync.Mutex
		records   map[string]*record // of events that are open or not completely written
		recorders map[string]*recorder
		leaving   []*recorder // of removed cameras
	}
}

// Option is a choice of the program, not of the operator.
type Option func(*Archive)

// WithLogger sets the logger for faults; default slog.Default.
func WithLogger(l *slog.Logger) Option { return func(a *Archive) { a.log = l } }

// WithRegistry adds the archive's metrics to r.
func WithRegistry(r prometheus.Registerer) Option { return func(a *Archive) { a.reg = r } }

// WithObjectStore sets the bucket that Config.ObjectStore needs, and the connection to it. dial is called whenever the
// store is needed and keeps ownership of the connection. Without Config.Dir, files wait for the store in the folder spool
// and are removed once the store has them.
func WithObjectStore(dial func() (*nats.Conn, error), bucket, spool string) Option {
	return func(a *Archive) {
		root, remove := a.cfg.Load().Dir, false
		if root == "" {
			root, remove = spool, true
			a.dir = dir{root}
		}
		a.store = newUploader(a, &objects{bucket: bucket, dial: dial}, dir{root}, remove)
	}
}

// New checks cfg and returns an archive for the events of a site. Nothing is written before Run.
func New(cfg Config, site string, opts ...Option) (*Archive, error) {
	a := &Archive{
		site: site, log: slog.Default(), reg: prometheus.NewRegistry(),
		maxPending: maxJobBytes, drain: drainTime, filmTime: filmTime,
		frames: make(chan *ingest.Frame, FramesHeld-1), jobs: make(chan job, maxJobs), films: make(chan footage, maxFilms),
		filmed: make(chan job), ends: make(chan []schema.Event, 1), changed: make(chan struct{}, 1),
		stills: make(chan struct{}, 1),
	}
	a.mu.records, a.mu.recorders = map[string]*record{}, map[string]*recorder{}
	a.cfg.Store(&cfg)
	if cfg.Dir != "" {
		a.dir = dir{cfg.Dir}
	}
	for _, o := range opts {
		o(a)
	}
	if err := a.Configure(cfg); err != nil {
		return nil, err
	}
	var err error
	if a.metrics, err = newMetrics(a.reg); err != nil {
		return nil, fmt.Errorf("archive metrics: %w", err)
	}
	return a, nil
}

// Configure replaces the settings: for the next frame, the next event, and for all evidence that is kept. Dir stays as
// given to New. An error changes nothing.
func (a *Archive) Configure(cfg Config) error {
	if err := cfg.Validate(); err != nil {
		return err
	}
	if cfg.ObjectStore && a.store == nil {
		return errors.New("archive: an object store needs a connection")
	}
	cfg.Dir = a.cfg.Load().Dir
	a.cfg.Store(&cfg)
	signal(a.changed)
	if a.store != nil {
		signal(a.store.news)
	}
	return nil
}

// signal wakes the reader of c, without waiting.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Run writes until ctx is done, and then empties the queues, for ten seconds at most: films that need longer than 1.5 s become
// shorter, and a disk that hangs does not delay the end. Frame and Observe must not be called after ctx is done. Run may be
// called once.
func (a *Archive) Run(ctx context.Context) error {
	rest, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() {
		end := time.Now().Add(a.filmTime)
		a.filmsDue.Store(&end)
		time.AfterFunc(a.drain, cancel)
	})()
	done := make(chan error, 1)
	go func() {
		written := make(chan struct{})
		var g errgroup.Group
		g.Go(func() error { return a.runRetention(ctx) })
		g.Go(func() error { return a.compress(ctx) })
		g.Go(func() error { return a.makeFilms(rest) })
		g.Go(func() error {
			defer close(written)
			return a.write(rest)
		})
		if a.store != nil {
			g.Go(func() error { return a.store.run(rest, written) })
		}
		done <- g.Wait()
	}()
	select {
	case err := <-done:
		return err
	case <-rest.Done():
	}
	select { // give the last file a little time
	case err := <-done:
		return err
	case <-time.After(time.Second):
		a.log.Warn("archive: queued evidence is lost: it was not written in time")
		return nil
	}
}

// recorder returns the recorder of a camera. When there is none, it returns a new one if wanted, else nil.
func (a *Archive) recorder(camera string, wanted bool) *recorder {
	a.mu.Lock()
	defer a.mu.Unlock()
	c := a.mu.recorders[camera]
	if c == nil && wanted {
		c = &recorder{cfg: &a.cfg}
		a.mu.recorders[camera] = c
	}
	return c
}

// allRecorders returns the recorders of all cameras, including removed ones that still have films to finish.
func (a *Archive) allRecorders() (list []*recorder) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, c := range a.mu.recorders {
		list = append(list, c)
	}
	a.mu.leaving = deleteIdle(a.mu.leaving)
	return append(list, a.mu.leaving...)
}

// Forget frees the memory of a camera that was removed. Its unfinished films end with the frames that they have. The
// camera, or another of that name, may come back.
func (a *Archive) Forget(camera string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if c := a.mu.recorders[camera]; c != nil {
		delete(a.mu.recorders, camera)
		c.stop()
		a.mu.leaving = append(a.mu.leaving, c)
	}
}

func (a *Archive) hasOpen() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.mu.records) > 0
}

func (a *Archive) isOpen(id string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.mu.records[id] != nil
}

// Frame hands over a frame that may become part of a film. The archive takes over one reference.
func (a *Archive) Frame(f *ingest.Frame) {
	if !a.cfg.Load().films() || !a.recorder(f.Camera, true).accepts(f) {
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

// File returns a file of an event, or fs.ErrNotExist when it does not exist, or not yet.
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
		for _, from := range a.sources() {
			data, err := from.get(ctx, full)
			if err == nil {
				return data, nil
			}
			if !errors.Is(err, fs.ErrNotExist) {
				a.report(from.name(), err)
			}
		}
	}
	return nil, fs.ErrNotExist
}

// sources returns the places that may have a file.
func (a *Archive) sources() (list []source) {
	if a.dir != nil {
		list = append(list, a.dir)
	}
	if a.cfg.Load().ObjectStore {
		list = append(list, a.store.objects)
	}
	return list
}
