package main

import (
	"errors"
	"fmt"
	"log/slog"

	"go.yaml.in/yaml/v3"

	"github.com/oodcast/oodcast/configs"
	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/detector/ort"
	"github.com/oodcast/oodcast/models"
)

// engines are the bundles that are loaded, each once, however many cameras it scores. They are used by one goroutine.
type engines struct {
	options ort.Options
	log     *slog.Logger
	loaded  map[string]*engine
}

// engine is a loaded bundle.
type engine struct {
	*ort.Engine
	bundle  string
	version string // of the bundle
	key     string
	users   int
	warned  bool
}

func newEngines(options ort.Options, log *slog.Logger) *engines {
	return &engines{options: options, log: log, loaded: map[string]*engine{}}
}

// acquire returns the engine of a bundle, which is read again if it is not the one that is loaded. release gives it back.
func (e *engines) acquire(bundle string, cfg detector.Config) (*engine, error) {
	b, err := models.Open(bundle)
	if err != nil {
		return nil, err
	}
	manifest, err := yaml.Marshal(b.Manifest) // it has the checksum of every file
	if err != nil {
		return nil, fmt.Errorf("bundle %q: %w", b.Path(), err)
	}
	// The paper's choices concern the noise, which is part of the engine.
	key := fmt.Sprintf("%s paper=%t %s", b.Path(), cfg.Paper, manifest)
	if found := e.loaded[key]; found != nil {
		found.users++
		return found, nil
	}
	opened, err := ort.OpenEngine(b, cfg, e.options)
	if err != nil {
		return nil, err
	}
	if note := opened.Note(); note != "" {
		e.log.Warn("provider", "note", note)
	}
	e.loaded[key] = &engine{Engine: opened, bundle: b.Name, version: b.Version, key: key, users: 1}
	return e.loaded[key], nil
}

// warn says, once of each engine, what of it batches do not speed up.
func (e *engines) warn(cfg configs.Batch) {
	for _, u := range e.loaded {
		if cfg.Frames < 2 || u.warned {
			continue
		}
		u.warned = true
		if !u.Encoder.Batches() {
			e.log.Warn("batches", "bundle", u.bundle, "note", "its encoder takes one frame at a time: only the denoiser gets "+
				"batches (weights of an EfficientViT: import them again)")
		}
		if u.Scorer.Window() > 0 {
			e.log.Warn("batches", "bundle", u.bundle, "note", "its denoiser has a window and takes one frame at a time: only "+
				"the encoder gets batches")
		}
	}
}

// release closes an engine that nobody uses any more.
func (e *engines) release(u *engine) error {
	if u.users--; u.users > 0 {
		return nil
	}
	delete(e.loaded, u.key)
	return u.Close()
}

// close closes all engines.
func (e *engines) close() error {
	var errs []error
	for _, u := range e.loaded {
		errs = append(errs, u.Close())
	}
	clear(e.loaded)
	return errors.Join(errs...)
}
