package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/oodcast/oodcast/configs"
	"github.com/oodcast/oodcast/pipeline"
	"github.com/oodcast/oodcast/publish"
	"github.com/oodcast/oodcast/publish/jsonl"
	"github.com/oodcast/oodcast/publish/preview"
)

// service is a pipeline with all of its outlets.
type service struct {
	env       *env
	cfg       configs.Config // in force; only reload changes it
	pipeline  *pipeline.Pipeline
	publisher *publish.Publisher
	preview   *preview.Server
	evidence  *evidence

	file string                         // of the configuration; "" = none
	load func() (configs.Config, error) // reads the configuration anew
}

// newService prepares everything that the configuration asks for, and starts nothing.
func newService(cfg configs.Config, e *env, options ...pipeline.Option) (*service, error) {
	s := &service{env: e, cfg: cfg}
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	outlets, err := s.outlets(registry)
	if err != nil {
		return nil, err
	}
	s.pipeline, err = pipeline.New(cfg.Pipeline(), outlets, append(options, pipeline.WithLogger(e.Log))...)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(s.pipeline.Register(registry), registerInfo(registry, s.pipeline.Provider())); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// outlets makes all outlets, in the order in which events reach them: evidence adds its files to events first.
func (s *service) outlets(registry *prometheus.Registry) (_ pipeline.Outlets, err error) {
	log := s.env.Log
	metrics, err := publish.NewMetrics(registry, nil)
	if err != nil {
		return nil, err
	}
	s.publisher, err = publish.New(s.cfg.Publish, nil,
		publish.WithLogger(log), publish.WithMetrics(metrics), publish.WithVersion(version))
	if err != nil {
		return nil, err
	}
	if s.evidence, err = newEvidence(s.cfg, log, registry, s.publisher); err != nil {
		return nil, err
	}
	if s.preview, err = s.newPreview(registry); err != nil {
		return nil, err
	}
	people := &console{out: s.env.Stdout, page: s.preview.URL, bus: s.bus}
	outlets := pipeline.Outlets{s.evidence, s.publisher, s.preview}
	if path := s.cfg.Outputs.JSONL; path != "" {
		if path == jsonl.Stdout {
			people.out = s.env.Stderr
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
	return append(outlets, people), nil
}

func (s *service) newPreview(registry *prometheus.Registry) (*preview.Server, error) {
	var bus preview.Bus
	if !s.cfg.Publish.Off() {
		bus.Subjects = s.cfg.Publish.Prefix + ".v1." + s.cfg.Publish.Site + ".>"
		bus.Connected = s.publisher.Connected
	}
	return preview.New(s.cfg.Preview, nil, preview.WithLogger(s.env.Log), preview.WithRegistry(registry), preview.WithBus(bus),
		preview.WithSite(s.cfg.Publish.Site), preview.WithVersion(version), preview.WithEvidence(s.evidence.File))
}

// bus is where subscribers connect, and to what; empty when nothing is published.
func (s *service) bus() string {
	url := s.publisher.URL()
	if url == "" {
		return ""
	}
	return url + "  (" + s.cfg.Publish.Prefix + ".v1." + s.cfg.Publish.Site + ".>)"
}

func (s *service) close() error { return s.pipeline.Close() }

// run runs the pipeline until ctx is done or there is nothing left to do. Meanwhile it follows the configuration's file and
// talks to the service manager.
func (s *service) run(ctx context.Context) error {
	beside, stop := context.WithCancel(ctx)
	var running sync.WaitGroup
	for _, task := range []func(context.Context){s.follow, s.manage} {
		running.Go(func() {
			select {
			case <-s.pipeline.Ready():
				task(beside)
			case <-beside.Done():
			}
		})
	}
	err := s.pipeline.Run(ctx)
	stop()
	running.Wait()
	return err
}

// follow puts the configuration into force anew when its file changes or SIGHUP comes, until ctx is done.
func (s *service) follow(ctx context.Context) {
	if s.file == "" {
		return // SIGHUP ends the process, as it does any program that has nothing to read again
	}
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	configs.Follow(ctx, s.file, hup, s.env.Log, s.reload)
}

// reload reads the configuration anew and puts it into force, or keeps the old one when anything is wrong with it.
func (s *service) reload() {
	next, err := s.load()
	if err == nil {
		err = s.apply(next)
	}
	switch {
	case errors.Is(err, pipeline.ErrNotRunning): // we are about to stop
	case err != nil:
		s.pipeline.Refuse(err)
		s.env.Log.Error("the new configuration is wrong: the old one stays in force", "file", s.file, "error", s.pipeline.Fault())
	}
}

// apply puts next into force.
func (s *service) apply(next configs.Config) error {
	inForce, needRestart := s.cfg.Reload(next)
	changes, err := s.pipeline.Apply(inForce.Pipeline())
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
	if inForce.Archive != s.cfg.Archive {
		attrs = append(attrs, "archive", "adjusted")
		if err := s.evidence.Configure(inForce.Archive); err != nil { // it is valid: load has seen to that
			s.env.Log.Warn("archive", "error", err)
		}
	}
	s.cfg = inForce
	s.env.Log.Info("configuration reloaded", attrs...)
	if len(needRestart) > 0 {
		s.env.Log.Warn("changes that need a restart", "keys", strings.Join(needRestart, ", "))
	}
	return nil
}
