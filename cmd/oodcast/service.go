package main

import (
	"context"
	"errors"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/oodcast/oodcast/configs"
	"github.com/oodcast/oodcast/detector/ort"
	"github.com/oodcast/oodcast/pipeline"
	"github.com/oodcast/oodcast/publish"
	"github.com/oodcast/oodcast/publish/jsonl"
	"github.com/oodcast/oodcast/publish/preview"
	"github.com/oodcast/oodcast/publish/schema"
)

// service is a pipeline with all of its outlets.
type service struct {
	env       *env
	cfg       configs.Config // the effective configuration; only reload changes it
	pipeline  *pipeline.Pipeline
	publisher *publish.Publisher
	preview   *preview.Server
	evidence  *evidence

	interrupted func([]schema.Event) // tells the outlets which events the previous process left open

	file string                         // configuration file; "": none
	load func() (configs.Config, error) // reads the configuration again
	hup  chan os.Signal                 // SIGHUP; nil without a file
}

// newService prepares everything in the configuration, and starts nothing.
func newService(cfg configs.Config, e *env, options ...pipeline.Option) (*service, error) {
	s := &service{env: e, cfg: cfg}
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	outlets, err := s.outlets(registry)
	if err != nil {
		return nil, err
	}
	s.pipeline, err = pipeline.New(s.pipelineConfig(cfg), outlets, append(options, pipeline.WithLogger(e.Log), pipeline.WithStateDir(cfg.Publish.StateDir))...)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(s.pipeline.Register(registry), registerInfo(registry, s.pipeline.Provider())); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// pipelineConfig resolves cfg. A signal ends the creation of a session, at the start as well as during a reload.
func (s *service) pipelineConfig(cfg configs.Config) pipeline.Config {
	c := cfg.Pipeline()
	c.Provider.Interrupt = s.env.Done()
	return c
}

// outlets creates all outlets in the order in which events reach them: evidence comes first because it adds the names of its
// files to the events.
func (s *service) outlets(registry *prometheus.Registry) (_ pipeline.Outlets, err error) {
	log := s.env.Log
	metrics, err := publish.NewMetrics(registry, nil)
	if err != nil {
		return nil, err
	}
	s.publisher, err = publish.New(s.cfg.Publish, nil,
		publish.WithLogger(log), publish.WithMetrics(metrics), publish.WithVersion(version),
		publish.WithInterrupted(func(ends []schema.Event) { s.interrupted(ends) }))
	if err != nil {
		return nil, err
	}
	if s.evidence, err = newEvidence(s.cfg, log, registry, s.publisher); err != nil {
		return nil, err
	}
	if s.preview, err = s.newPreview(registry); err != nil {
		return nil, err
	}
	terminal := &console{out: s.env.Stdout, page: s.preview.URL, nats: s.natsAddress, login: s.publisher.Login}
	outlets := pipeline.Outlets{s.evidence, s.publisher, s.preview}
	if path := s.cfg.Outputs.JSONL; path != "" {
		if path == jsonl.Stdout {
			terminal.out = s.env.Stderr
		}
		lines, err := jsonl.New(path, s.cfg.Publish.Site, s.env.Stdout, jsonl.WithLogger(log))
		if err != nil {
			return nil, usageError{err}
		}
		if err := lines.Register(registry); err != nil {
			return nil, err
		}
		outlets = append(outlets, lines)
	}
	outlets = append(outlets, terminal)
	s.interrupted = func(ends []schema.Event) {
		for _, outlet := range outlets {
			if o, ok := outlet.(interface{ Interrupted([]schema.Event) }); ok {
				o.Interrupted(ends)
			}
		}
	}
	return outlets, nil
}

func (s *service) newPreview(registry *prometheus.Registry) (*preview.Server, error) {
	var bus preview.Bus
	if !s.cfg.Publish.Off() {
		bus.Subjects = s.cfg.Publish.Prefix + ".v1." + s.cfg.Publish.Site + ".>"
		bus.Connected = s.publisher.Connected
	}
	return preview.New(s.cfg.Preview, nil, preview.WithLogger(s.env.Log), preview.WithRegistry(registry), preview.WithBus(bus),
		preview.WithSite(s.cfg.Publish.Site), preview.WithVersion(version), preview.WithEvidence(s.evidence.File),
		preview.WithReady(func() error { return s.pipeline.Check() }))
}

// natsAddress returns the server's address and the subjects to subscribe to; empty if nothing is published.
func (s *service) natsAddress() string {
	url := s.publisher.URL()
	if url == "" {
		return ""
	}
	return url + "  (" + s.cfg.Publish.Prefix + ".v1." + s.cfg.Publish.Site + ".>)"
}

func (s *service) close() error { return s.pipeline.Close() }

// run runs the pipeline until ctx is done or all streams have ended. Meanwhile it follows the configuration file and reports
// to the service manager.
func (s *service) run(ctx context.Context) error {
	tasksCtx, stop := context.WithCancel(ctx)
	var tasks sync.WaitGroup
	for _, task := range []func(context.Context){s.follow, s.notifySystemd} {
		tasks.Go(func() {
			select {
			case <-s.pipeline.Ready():
				task(tasksCtx)
			case <-tasksCtx.Done():
			}
		})
	}
	err := s.pipeline.Run(ctx)
	stop()
	ended := make(chan struct{})
	go func() {
		tasks.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(patience): // reading the configuration hangs
	}
	return err
}

// follow reloads the configuration when its file changes or SIGHUP arrives, until ctx is done.
func (s *service) follow(ctx context.Context) {
	if s.file == "" {
		return // SIGHUP ends the service, see run
	}
	configs.Follow(ctx, s.file, s.hup, s.env.Log, s.reload)
}

// reload reads the configuration again and applies it. If it has any fault, the old configuration stays in effect.
func (s *service) reload() {
	next, err := s.load()
	if err == nil {
		err = s.apply(next)
	}
	switch {
	case isAny(err, pipeline.ErrNotRunning, ort.ErrInterrupted): // the service is stopping
	case err != nil:
		s.pipeline.Refuse(err)
		s.env.Log.Error("the new configuration is invalid: the old one stays in effect", "file", s.file, "error", s.pipeline.Fault())
	}
}

// apply applies next, except for the keys that need a restart.
func (s *service) apply(next configs.Config) error {
	effective, needRestart := s.cfg.Reload(next)
	s.env.prepared.Store(false) // the pipeline does not end before Apply returns, which may wait for a file for ever
	defer s.env.ready()
	changes, err := s.pipeline.Apply(schema.Requester{Via: schema.ViaConfig, Address: s.file}, s.pipelineConfig(effective))
	if err != nil {
		return err
	}
	attrs := []any{"file", s.file}
	for _, change := range []struct {
		what  string
		names []string
	}{
		{"added", changes.Added}, {"restarted", changes.Restarted}, {"adjusted", changes.Adjusted}, {"removed", changes.Removed},
	} {
		if len(change.names) > 0 {
			attrs = append(attrs, change.what, strings.Join(change.names, ", "))
		}
	}
	if effective.Archive != s.cfg.Archive {
		attrs = append(attrs, "archive", "adjusted")
		if err := s.evidence.Configure(effective.Archive); err != nil { // not expected: load has validated it
			s.env.Log.Warn("archive", "error", err)
		}
	}
	s.cfg = effective
	s.env.Log.Info("configuration reloaded", attrs...)
	if len(needRestart) > 0 {
		s.env.Log.Warn("some changes take effect only after a restart", "keys", strings.Join(needRestart, ", "))
	}
	return nil
}
