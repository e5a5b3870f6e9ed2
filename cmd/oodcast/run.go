package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"golang.org/x/sync/errgroup"

	"github.com/oodcast/oodcast/configs"
	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/detector/ort"
	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/ingest/opencv"
	"github.com/oodcast/oodcast/models"
	"github.com/oodcast/oodcast/pipeline"
	"github.com/oodcast/oodcast/publish"
	"github.com/oodcast/oodcast/publish/archive"
	"github.com/oodcast/oodcast/publish/preview"
)

// RunCmd is the service. Flags go before the configuration file.
type RunCmd struct {
	Config           string        `placeholder:"FILE" help:"Configuration; oodcast config defaults prints one."`
	Source           []string      `placeholder:"URI" sep:"none" help:"rtsp://…, http://….mjpg, a file, a folder of pictures, camera:0 or gst:…; may be repeated."`
	Bundle           string        `placeholder:"NAME|DIR" help:"Bundle to score with."`
	Timesteps        string        `placeholder:"N|auto" help:"|T|: how many diffusion timesteps (5), which (0,4,9), or auto, which needs a latency budget."`
	LatencyBudget    time.Duration `placeholder:"D" help:"What encoding and scoring may take with --timesteps auto."`
	HTTP             string        `name:"http" placeholder:"ADDR" help:"Address of the page, the preview and the API."`
	NATS             string        `name:"nats" placeholder:"URL" help:"nats://HOST:PORT, embedded, embedded://127.0.0.1:PORT or off."`
	Provider         string        `placeholder:"P" help:"cpu, cuda or tensorrt."`
	ProviderRequired bool          `help:"Fail with exit code 3 instead of falling back to the CPU."`
	MaxFrames        uint64        `placeholder:"N" help:"Stop after N maps of each camera."`
	ExitOnEnd        bool          `help:"Stop when the last stream ends."`
}

// Run watches until a signal comes.
func (c *RunCmd) Run(e *env) error {
	cfg, err := c.load()
	if err != nil {
		return err
	}
	svc, err := newService(cfg, e)
	if err != nil {
		return err
	}
	svc.maxFrames, svc.exitOnEnd = c.MaxFrames, c.ExitOnEnd || c.MaxFrames > 0
	return errors.Join(svc.run(e), svc.close())
}

// load reads the configuration, with the flags over it.
func (c *RunCmd) load() (configs.Config, error) {
	cfg, err := configs.Read(c.Config, os.Environ(), c.flags)
	if err == nil && len(cfg.Cameras) == 0 {
		err = usagef("no camera: give --source URI, or cameras in --config FILE")
	}
	return cfg, err
}

// flags puts the flags over a configuration. They hold for all cameras.
func (c *RunCmd) flags(cfg *configs.Config) error {
	if len(c.Source) > 0 {
		template := configs.Camera{Config: ingest.DefaultConfig()}
		if len(cfg.Cameras) > 0 {
			template = cfg.Cameras[0] // a file's first camera says how to read; the flags say what
		}
		cfg.Cameras = nil
		for i, uri := range c.Source {
			cam := template
			cam.URI = uri
			if len(c.Source) > 1 {
				cam.Name += strconv.Itoa(i + 1)
			}
			cfg.Cameras = append(cfg.Cameras, cam)
		}
	}
	set(&cfg.Bundle, c.Bundle)
	set(&cfg.Preview.Listen, c.HTTP)
	set(&cfg.Publish.URL, c.NATS)
	set(&cfg.Provider.Name, ort.Provider(c.Provider))
	cfg.Provider.Required = cfg.Provider.Required || c.ProviderRequired
	if c.LatencyBudget > 0 {
		cfg.Detector.LatencyBudget = c.LatencyBudget
	}
	for i := range cfg.Cameras {
		cam := &cfg.Cameras[i]
		if c.Bundle != "" {
			cam.Bundle = ""
		}
		if c.Timesteps != "" {
			cam.Detector = cam.Detector.Without("timesteps", "timestep_list")
		}
		if c.LatencyBudget > 0 {
			cam.Detector = cam.Detector.Without("latency_budget")
		}
	}
	return setTimesteps(&cfg.Detector, c.Timesteps)
}

func set[T ~string](dst *T, v T) {
	if v != "" {
		*dst = v
	}
}

// service is everything that run starts, and closes.
type service struct {
	cfg       configs.Config
	out       *env
	engine    *ort.Engine
	pool      *ingest.Pool
	cameras   []*camera
	publisher *publish.Publisher
	preview   *preview.Server
	evidence  evidence
	scoring   sync.Mutex // one encoder and one scorer serve all cameras
	pulse     pulse      // of the scoring
	share     detector.Share
	maxFrames uint64
	exitOnEnd bool
}

// Frames a camera may hold at once: in the source, waiting, being scored, being shown.
const framesPerCamera = 6

func newService(cfg configs.Config, e *env) (_ *service, err error) {
	s := &service{cfg: cfg, out: e, pool: ingest.NewPool(framesPerCamera*len(cfg.Cameras) + archive.FramesHeld)}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	bundle, err := models.Open(cfg.Bundle)
	if err != nil {
		return nil, err
	}
	if s.engine, err = ort.OpenEngine(bundle, cfg.Detector, cfg.Provider.Options()); err != nil {
		return nil, err
	}
	if note := s.engine.Note(); note != "" {
		e.Log.Warn("provider", "note", note)
	}
	for _, cam := range cfg.Cameras {
		c, err := s.newCamera(cam.Config, bundle)
		if err != nil {
			return nil, err
		}
		s.cameras = append(s.cameras, c)
	}
	return s, s.newOutlets()
}

func (s *service) newCamera(cfg ingest.Config, bundle *models.Bundle) (*camera, error) {
	source, err := opencv.New(cfg, s.pool)
	if err != nil {
		return nil, err
	}
	det, err := s.engine.NewDetector(s.cfg.Detector)
	if err != nil {
		return nil, err
	}
	policy, err := pipeline.ParseOverflow(cfg.Policy())
	if err != nil {
		return nil, err
	}
	c := &camera{
		cfg: cfg, site: s.cfg.Publish.Site, bundle: bundle.Name, provider: string(s.engine.Provider()),
		det: det, tracker: detector.NewTracker(s.cfg.Events), started: time.Now(),
		frames: pipeline.NewQueue(1, policy, (*ingest.Frame).Release), live: policy != pipeline.Wait,
	}
	det.ShareWith(&s.share)
	c.source = ingest.NewSupervisor(source, cfg.Reconnect, func(st ingest.Status) { s.sourceChanged(c, st) },
		uint64(time.Now().UnixNano()))
	return c, nil
}

func (s *service) newOutlets() error {
	outside := make([]publish.Camera, len(s.cameras))
	for i, c := range s.cameras {
		outside[i] = c
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	metrics, err := publish.NewMetrics(registry, outside)
	if err != nil {
		return err
	}
	if err := s.evidence.open(s.cfg, s.out.Log, registry, func() string { return s.publisher.URL() }); err != nil {
		return err
	}
	s.preview, err = preview.New(s.cfg.Preview, outside, preview.WithLogger(s.out.Log), preview.WithRegistry(registry),
		preview.WithSite(s.cfg.Publish.Site), preview.WithVersion(version), preview.WithEvidence(s.evidence.File))
	if err != nil {
		return err
	}
	for _, c := range s.cameras {
		c.preview = s.preview
	}
	s.publisher, err = publish.New(s.cfg.Publish, outside,
		publish.WithLogger(s.out.Log), publish.WithMetrics(metrics), publish.WithVersion(version))
	return err
}

// sourceChanged tells the world that a stream came, broke off or ended.
func (s *service) sourceChanged(c *camera, st ingest.Status) {
	attrs := []any{"camera", c.cfg.Name, "state", st.State}
	if st.Err != nil {
		attrs = append(attrs, "error", st.Err)
	}
	if st.Retry > 0 {
		attrs = append(attrs, "retry_in", st.Retry.Round(time.Millisecond))
	}
	s.out.Log.Info("camera", attrs...)
	s.publisher.StatusChanged()
}

func (s *service) close() error {
	if s.engine == nil {
		return nil
	}
	return s.engine.Close()
}

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

// watch runs the cameras until their sources are stopped or, with exitOnEnd, at their end.
func (s *service) watch(ctx, srcCtx context.Context) error {
	if !s.ready(srcCtx) {
		return nil
	}
	s.greet()
	defer s.manage(srcCtx)()
	cameras, ctx := errgroup.WithContext(ctx)
	for _, c := range s.cameras {
		camCtx, stop := context.WithCancel(srcCtx)
		defer stop()
		defer context.AfterFunc(ctx, stop)()
		cameras.Go(func() error {
			defer c.frames.Close()
			return c.source.Run(camCtx, s.capture(c))
		})
		cameras.Go(func() error {
			defer c.frames.Drain()
			return s.scoreAll(ctx, c, stop)
		})
	}
	err := cameras.Wait()
	if err == nil && !s.exitOnEnd {
		<-srcCtx.Done() // the page and the last map stay until somebody stops us
	}
	return err
}

// ready waits until maps and pages have somewhere to go. A NATS server elsewhere is not waited for.
func (s *service) ready(ctx context.Context) bool {
	elsewhere := make(<-chan time.Time)
	if !s.cfg.Publish.Embedded() {
		elsewhere = time.After(time.Second)
	}
	for _, ready := range []<-chan struct{}{s.preview.Ready(), s.publisher.Ready()} {
		select {
		case <-ready:
		case <-elsewhere:
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// capture hands a frame to the preview and to the scoring. It owns the frame.
func (s *service) capture(c *camera) ingest.Sink {
	return func(ctx context.Context, f *ingest.Frame) error {
		c.saw(f)
		s.preview.Frame(f.Retain())
		s.evidence.Frame(f.Retain())
		return c.frames.Put(ctx, f)
	}
}

// scoreAll scores what the source delivers until it ends.
func (s *service) scoreAll(ctx context.Context, c *camera, stop func()) error {
	for {
		f, err := s.next(ctx, c)
		if err != nil { // closed and empty, or stopped
			s.announce(c, nil, nil, c.tracker.End(time.Now(), detector.EndStream))
			return nil
		}
		keep := f.Retain() // for pictures of what begins with it
		s.scoring.Lock()
		s.pulse.begin()
		m, err := c.score(ctx, f)
		s.pulse.end()
		s.scoring.Unlock()
		if m != nil {
			s.publisher.Map(m)
			s.preview.Map(m)
			s.announce(c, keep, m, c.tracker.Update(m))
		}
		keep.Release()
		if err != nil {
			return fmt.Errorf("camera %s: %w", c.cfg.Name, err)
		}
		if m == nil {
			if c.paused.Load() {
				s.announce(c, nil, nil, c.tracker.End(time.Now(), detector.EndPaused))
			}
			continue
		}
		if s.maxFrames > 0 && c.scored.Load() >= s.maxFrames {
			s.announce(c, nil, nil, c.tracker.End(m.Captured, detector.EndStream))
			stop()
			return nil
		}
	}
}

// silence is how long a camera may deliver nothing before its events end.
const silence = 5 * time.Second

// next returns the next frame. When none comes for a while, the events that are open end first: nobody knows how they
// go on.
func (s *service) next(ctx context.Context, c *camera) (*ingest.Frame, error) {
	if len(c.tracker.Open()) > 0 {
		soon, cancel := context.WithTimeout(ctx, silence+s.cfg.Events.Hold)
		f, err := c.frames.Get(soon)
		cancel()
		if err == nil || !errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil {
			return f, err
		}
		s.announce(c, nil, nil, c.tracker.End(time.Now(), detector.EndNoSignal))
	}
	return c.frames.Get(ctx)
}

// announce keeps evidence of events, publishes them, and prints a line for each that starts or ends. f and m are the frame
// and the map behind them; nil where events end without one.
func (s *service) announce(c *camera, f *ingest.Frame, m *detector.Map, events []detector.Event) {
	for _, ev := range s.evidence.Observe(f, m, events, c.tracker.Open()) {
		s.publisher.Event(ev)
		s.preview.Event(ev)
		if ev.Type == detector.EventUpdate {
			continue
		}
		if ev.Type == detector.EventStart {
			c.events.Add(1)
		}
		fmt.Fprintf(s.out.Stdout, "%s  %-10s event %-5s  peak %.1f  area %.2f %%  at %.0f%%,%.0f%%  %s\n",
			ev.Time.Format("15:04:05.000"), ev.Camera, ev.Type, ev.Peak, 100*ev.Area,
			100*(ev.Box.X+ev.Box.Width/2), 100*(ev.Box.Y+ev.Box.Height/2), ev.ID)
	}
}

// greet prints where to look.
func (s *service) greet() {
	w := s.out.Stdout
	fmt.Fprintf(w, "oodcast %s  bundle %s  provider %s\n", version, s.cameras[0].bundle, s.engine.Provider())
	fmt.Fprintf(w, "  page  %s\n", s.preview.URL())
	if url := s.publisher.URL(); url != "" {
		fmt.Fprintf(w, "  nats  %s  (%s.v1.%s.>)\n", url, s.cfg.Publish.Prefix, s.cfg.Publish.Site)
	}
	for _, c := range s.cameras {
		fmt.Fprintf(w, "  %s  %s\n", c.cfg.Name, ingest.RedactURI(c.cfg.URI))
	}
}
