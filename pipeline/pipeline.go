package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/detector/ort"
	"github.com/oodcast/oodcast/ingest"
)

// Pipeline runs cameras from their sources to the outlets. New prepares it, Run runs it once, Close frees the bundles.
// Apply, Refuse and the reading methods are safe for concurrent use.
type Pipeline struct {
	outlets    Outlets
	log        *slog.Logger
	metrics    *metrics
	maxMaps    uint64
	exitOnEnd  bool
	stateDir   string
	openSource OpenSource

	engines *engines // under changing
	turns   *turns   // of the cameras
	share   detector.EngineLoad
	ended   chan struct{} // receives when a camera may have ended
	ready   chan struct{} // closed when the cameras have been started

	changing sync.Mutex // held while cameras come and go
	running  struct {   // under changing
		start func(*camera) // nil while Run does not run cameras
	}
	mu struct {
		sync.Mutex
		cfg     Config // in force
		cameras []*camera
		fault   string // why the newest configuration is not in force
	}
}

// OpenSource returns the source of a camera's frames, which come from pool. It opens no stream yet. mayWait says that the
// source waits when the pool is empty; otherwise it drops the frame.
type OpenSource func(cfg ingest.Config, pool *ingest.Pool, mayWait bool) (ingest.Source, error)

// Option sets what is not part of the configuration.
type Option func(*Pipeline)

// WithLogger sets where changes of state are logged; default slog.Default.
func WithLogger(l *slog.Logger) Option { return func(p *Pipeline) { p.log = l } }

// WithSources replaces how sources are opened; default ingest/source.
func WithSources(open OpenSource) Option { return func(p *Pipeline) { p.openSource = open } }

// WithMaxMaps ends each camera after n maps; default 0: never.
func WithMaxMaps(n uint64) Option { return func(p *Pipeline) { p.maxMaps = n } }

// WithExitOnEnd makes Run return when the last stream ends; default: only when all cameras have failed.
func WithExitOnEnd() Option { return func(p *Pipeline) { p.exitOnEnd = true } }

// WithStateDir keeps what cameras are taught in a folder; default: it is gone after a restart.
func WithStateDir(dir string) Option { return func(p *Pipeline) { p.stateDir = dir } }

// New loads the bundles, prepares the cameras of cfg and introduces them to the outlets. It starts nothing. An error means
// that nothing is left to close.
func New(cfg Config, outlets Outlets, options ...Option) (*Pipeline, error) {
	p := newPipeline(outlets, options...)
	p.engines = newEngines(cfg.Provider, p.log)
	if err := p.prepareCameras(cfg); err != nil {
		return nil, err
	}
	return p, nil
}

func newPipeline(outlets Outlets, options ...Option) *Pipeline {
	p := &Pipeline{
		outlets: outlets, log: slog.Default(), metrics: newMetrics(),
		ended: make(chan struct{}, 1), ready: make(chan struct{}),
	}
	for _, option := range options {
		option(p)
	}
	if p.openSource == nil {
		p.openSource = openSource(p.log, p.outlets.tap())
	}
	return p
}

// prepareCameras makes the first cameras. With an error nothing is left of them.
func (p *Pipeline) prepareCameras(cfg Config) (err error) {
	p.mu.cfg = cfg
	p.turns = newTurns(cfg.Batch, p.metrics.batches)
	defer func() {
		if err != nil {
			err = errors.Join(err, p.Close())
		}
	}()
	var cameras []*camera
	for _, cam := range cfg.Cameras {
		c, err := p.newCamera(cfg.Site, cam)
		if err != nil {
			return err
		}
		cameras = append(cameras, c)
	}
	p.engines.warn(cfg.Batch)
	for _, c := range cameras {
		if err := p.add(c); err != nil {
			return err
		}
	}
	return nil
}

// Register adds the pipeline's own metrics to reg.
func (p *Pipeline) Register(reg prometheus.Registerer) error { return p.metrics.register(reg) }

// Close frees the bundles. Run must have returned, if it was called.
func (p *Pipeline) Close() error { return p.engines.closeAll() }

// add introduces a camera to the outlets.
func (p *Pipeline) add(c *camera) error {
	if err := p.outlets.AddCamera(c); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mu.cameras = append(p.mu.cameras, c)
	return nil
}

// remove makes the outlets forget a camera that has ended, and frees what it used.
func (p *Pipeline) remove(c *camera) error {
	p.mu.Lock()
	p.mu.cameras = slices.DeleteFunc(p.mu.cameras, func(o *camera) bool { return o == c })
	p.mu.Unlock()
	return errors.Join(p.outlets.RemoveCamera(c.Name()), p.engines.release(c.engine))
}

// cameras returns the present cameras.
func (p *Pipeline) cameras() []*camera {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.mu.cameras)
}

// Provider is what really computes for the first camera.
func (p *Pipeline) Provider() ort.Provider { return p.cameras()[0].engine.provider }

// Ready is closed when the outlets are ready and the cameras have been started.
func (p *Pipeline) Ready() <-chan struct{} { return p.ready }

// Check returns why an outlet is losing what it is given; nil if none is.
func (p *Pipeline) Check() error { return p.outlets.Check() }

// Summary is the state of all cameras in a few words.
func (p *Pipeline) Summary() string {
	live, maps := 0, uint64(0)
	cameras := p.cameras()
	for _, c := range cameras {
		if c.source.Status().State == ingest.Live {
			live++
		}
		maps += c.progress.scored.Load()
	}
	return fmt.Sprintf("%d of %d cameras deliver, %d maps", live, len(cameras), maps)
}

// Run starts everything against the direction in which the data flows, and stops it along that direction: the end of ctx
// stops the sources, their end stops the scoring, and only then the outlets are told to finish. It also returns when all
// cameras have failed, with their errors.
func (p *Pipeline) Run(ctx context.Context) error {
	g, outletCtx := errgroup.WithContext(context.WithoutCancel(ctx))
	stopCtx, stopOutlets := context.WithCancel(outletCtx)
	defer stopOutlets()
	g.Go(func() error { return p.outlets.Run(stopCtx) })

	srcCtx, stopSources := context.WithCancel(ctx)
	defer stopSources()
	defer context.AfterFunc(outletCtx, stopSources)() // an outlet that fails, because its port is taken, ends the sources too
	err := p.runCameras(outletCtx, srcCtx)
	stopOutlets()
	return errors.Join(err, g.Wait())
}

// runCameras runs the cameras until srcCtx is done or there is nothing left to do.
func (p *Pipeline) runCameras(ctx, srcCtx context.Context) error {
	if p.outlets.WaitReady(srcCtx) != nil {
		return nil // stopped before it began
	}
	srcCtx, stop := context.WithCancel(srcCtx)
	defer stop()
	start := func(c *camera) { p.start(ctx, srcCtx, c) }
	p.changing.Lock()
	p.running.start = start
	for _, c := range p.cameras() {
		start(c)
	}
	close(p.ready)
	p.changing.Unlock()
	err := p.wait(srcCtx)
	stop()
	p.changing.Lock() // a change under way ends first, and there is none later
	p.running.start = nil
	p.changing.Unlock()
	for _, c := range p.cameras() {
		<-c.done
	}
	return err
}

// wait returns when ctx is done, or when all cameras have ended and that ends the pipeline: because it was asked for, or
// because all of them failed. Otherwise the page and the last maps stay until we are stopped.
func (p *Pipeline) wait(ctx context.Context) error {
	for {
		select {
		case <-p.ended:
		case <-ctx.Done():
			return nil
		}
		if over, err := p.over(); over {
			return err
		}
	}
}

// over reports whether the pipeline is to end. The errors are those of the cameras, and what they have left out.
func (p *Pipeline) over() (bool, error) {
	p.changing.Lock()
	defer p.changing.Unlock()
	var errs, leftOut []error
	cameras := p.cameras()
	for _, c := range cameras {
		select {
		case <-c.done:
		default:
			return false, nil
		}
		if err := c.progress.failure(); err != nil {
			errs = append(errs, err)
		} else if err := ingest.LeftOut(c.source); err != nil {
			leftOut = append(leftOut, fmt.Errorf("camera %s: %w", c.Name(), err))
		}
	}
	return p.exitOnEnd || len(errs) == len(cameras), errors.Join(append(errs, leftOut...)...)
}
