package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"golang.org/x/sync/errgroup"

	"github.com/oodcast/oodcast/configs"
	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/detector/ort"
	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/ingest/source"
	"github.com/oodcast/oodcast/publish"
	"github.com/oodcast/oodcast/publish/preview"
)

// service is everything that run starts, and closes.
type service struct {
	out       *env
	engines   *engines
	publisher *publish.Publisher
	preview   *preview.Server
	evidence  evidence
	reloads   *reloadMetrics
	maxFrames uint64
	exitOnEnd bool

	file string                                                   // of the configuration; "" = none
	load func() (configs.Config, error)                           // reads the configuration anew
	open func(ingest.Config, *ingest.Pool) (ingest.Source, error) // a camera's source

	turns *turns // of the cameras
	share detector.Share
	ended chan struct{} // a camera may have ended

	changing sync.Mutex // held while cameras come and go
	mu       struct {
		sync.Mutex
		cfg     configs.Config // in force
		cameras []*camera
		fault   string // why the newest configuration is not in force
	}
}

// openSource returns the source of a camera.
func openSource(cfg ingest.Config, pool *ingest.Pool) (ingest.Source, error) {
	return source.New(cfg, pool, source.Settings{MayWait: cfg.Policy() == "wait"})
}

// newService prepares everything that the configuration asks for, and starts nothing.
func newService(cfg configs.Config, e *env) (_ *service, err error) {
	s := &service{
		out: e, engines: newEngines(cfg.Provider.Options(), e.Log), open: openSource,
		turns: newTurns(cfg.Provider.Batch), ended: make(chan struct{}, 1),
	}
	s.mu.cfg = cfg
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	var cameras []*camera
	for _, cam := range cfg.Cameras {
		c, err := s.newCamera(&cfg, cam)
		if err != nil {
			return nil, err
		}
		cameras = append(cameras, c)
	}
	s.engines.warn(cfg.Provider.Batch)
	if err := s.newOutlets(cfg, cameras[0].engine.Provider()); err != nil {
		return nil, err
	}
	for _, c := range cameras {
		if err := s.join(c); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (s *service) newOutlets(cfg configs.Config, provider ort.Provider) error {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	metrics, err := publish.NewMetrics(registry, nil)
	if err != nil {
		return err
	}
	if err := registerInfo(registry, provider); err != nil {
		return err
	}
	if s.reloads, err = newReloadMetrics(registry); err != nil {
		return err
	}
	if err := registry.Register(s.turns.sizes); err != nil {
		return err
	}
	if err := s.evidence.open(cfg, s.out.Log, registry, func() string { return s.publisher.URL() }); err != nil {
		return err
	}
	var bus preview.Bus
	if !cfg.Publish.Off() {
		bus.Subjects = cfg.Publish.Prefix + ".v1." + cfg.Publish.Site + ".>"
		bus.Connected = func() bool { return s.publisher.Connected() }
	}
	s.preview, err = preview.New(cfg.Preview, nil, preview.WithLogger(s.out.Log), preview.WithRegistry(registry), preview.WithBus(bus),
		preview.WithSite(cfg.Publish.Site), preview.WithVersion(version), preview.WithEvidence(s.evidence.File))
	if err != nil {
		return err
	}
	s.publisher, err = publish.New(cfg.Publish, nil,
		publish.WithLogger(s.out.Log), publish.WithMetrics(metrics), publish.WithVersion(version))
	return err
}

// join shows a camera to the outside.
func (s *service) join(c *camera) error {
	c.preview = s.preview
	if err := s.preview.AddCamera(c); err != nil {
		return err
	}
	if err := s.publisher.AddCamera(c); err != nil {
		return errors.Join(err, s.preview.RemoveCamera(c.cfg.Name))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.cameras = append(s.mu.cameras, c)
	return nil
}

// part takes a camera that has ended away from the outside, and frees what it used.
func (s *service) part(c *camera) error {
	s.mu.Lock()
	s.mu.cameras = slices.DeleteFunc(s.mu.cameras, func(o *camera) bool { return o == c })
	s.mu.Unlock()
	s.evidence.Forget(c.cfg.Name)
	return errors.Join(
		s.publisher.RemoveCamera(c.cfg.Name), s.preview.RemoveCamera(c.cfg.Name), s.engines.release(c.engine))
}

// all returns the cameras of now.
func (s *service) all() []*camera {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.mu.cameras)
}

func (s *service) close() error { return s.engines.close() }

// run starts everything in the order in which the data flows back, and stops it in the order in which it flows: a signal
// stops the sources, their end the scoring, and only then are NATS and HTTP told to finish.
func (s *service) run(ctx context.Context) error {
	outlets, ctxOut := errgroup.WithContext(context.WithoutCancel(ctx))
	stopCtx, stopOutlets := context.WithCancel(ctxOut)
	defer stopOutlets()
	outlets.Go(func() error { return s.publisher.Run(stopCtx) })
	outlets.Go(func() error { return s.preview.Run(stopCtx) })

	srcCtx, stopSources := context.WithCancel(ctx)
	defer stopSources()
	defer context.AfterFunc(ctxOut, stopSources)() // a port that is taken ends the sources too
	stopEvidence := s.evidence.start(ctx, s.publisher.Ready())
	err := s.watch(ctxOut, srcCtx)
	err = errors.Join(err, stopEvidence()) // while NATS is still there
	stopOutlets()
	return errors.Join(err, outlets.Wait())
}

// watch runs the cameras until their sources are stopped, or there is nothing left to do.
func (s *service) watch(ctx, srcCtx context.Context) error {
	if !s.ready(srcCtx) {
		return nil
	}
	s.greet()
	defer s.manage(srcCtx)()
	srcCtx, stop := context.WithCancel(srcCtx)
	defer stop()
	start := func(c *camera) { s.start(ctx, srcCtx, c) }
	for _, c := range s.all() {
		start(c)
	}
	var reloads sync.WaitGroup
	reloads.Go(func() { s.follow(srcCtx, start) })
	err := s.wait(srcCtx)
	stop()
	reloads.Wait()
	for _, c := range s.all() {
		<-c.done
	}
	return err
}

// wait returns when ctx is done, or when all cameras have ended and that is the end: because it was asked for, or because
// all of them failed. Otherwise the page and the last map stay until somebody stops us.
func (s *service) wait(ctx context.Context) error {
	for {
		select {
		case <-s.ended:
		case <-ctx.Done():
			return nil
		}
		if over, err := s.over(); over {
			return err
		}
	}
}

func (s *service) over() (bool, error) {
	s.changing.Lock()
	defer s.changing.Unlock()
	var errs []error
	cameras := s.all()
	for _, c := range cameras {
		select {
		case <-c.done:
		default:
			return false, nil
		}
		if err := c.failure(); err != nil {
			errs = append(errs, err)
		}
	}
	return s.exitOnEnd || len(errs) == len(cameras), errors.Join(errs...)
}

// ready waits until maps and pages have somewhere to go. A NATS server elsewhere is not waited for.
func (s *service) ready(ctx context.Context) bool {
	select {
	case <-s.preview.Ready():
	case <-ctx.Done():
		return false
	}
	var elsewhere <-chan time.Time
	if !s.mu.cfg.Publish.Embedded() {
		elsewhere = time.After(time.Second)
	}
	select {
	case <-s.publisher.Ready():
	case <-elsewhere:
	case <-ctx.Done():
		return false
	}
	return true
}

// greet prints where to look.
func (s *service) greet() {
	w, cameras := s.out.Stdout, s.all()
	fmt.Fprintf(w, "oodcast %s  bundle %s  provider %s\n", version, cameras[0].engine.bundle, cameras[0].engine.Provider())
	if url := s.preview.URL(); url != "" {
		fmt.Fprintf(w, "  page  %s\n", url)
	}
	if url := s.publisher.URL(); url != "" {
		fmt.Fprintf(w, "  nats  %s  (%s.v1.%s.>)\n", url, s.mu.cfg.Publish.Prefix, s.mu.cfg.Publish.Site)
	}
	for _, c := range cameras {
		fmt.Fprintf(w, "  %s  %s\n", c.cfg.Name, ingest.RedactURI(c.cfg.URI))
	}
}
