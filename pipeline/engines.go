package pipeline

import (
	"errors"
	"fmt"
	"log/slog"

	"go.yaml.in/yaml/v3"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/detector/ort"
	"github.com/oodcast/oodcast/models"
)

// engines are the loaded bundles, each loaded once, however many cameras it scores. One goroutine uses them at a time.
type engines struct {
	open   func(*models.Bundle, detector.Config) (*engine, error)
	log    *slog.Logger
	loaded map[string]*engine

	substituted bool // whether the log says that another bundle serves in the place of the default one
}

// engine is a loaded bundle.
type engine struct {
	bundle, version string
	provider        ort.Provider // that really computes
	newDetector     func(detector.Config) (*detector.Detector, error)
	close           func() error
	unbatched       []string // what batches do not speed up, and why

	key    string
	users  int
	warned bool // about what is unbatched
}

func newEngines(options ort.Options, log *slog.Logger) *engines {
	open := func(b *models.Bundle, cfg detector.Config) (*engine, error) { return openEngine(b, cfg, options, log) }
	return &engines{open: open, log: log, loaded: map[string]*engine{}}
}

// openEngine loads a bundle into ONNX Runtime.
func openEngine(b *models.Bundle, cfg detector.Config, options ort.Options, log *slog.Logger) (*engine, error) {
	e, err := ort.OpenEngine(b, cfg, options)
	if err != nil {
		return nil, err
	}
	if note := e.Note(); note != "" {
		log.Warn("provider", "note", note)
	}
	var unbatched []string
	if !e.Encoder.Batches() {
		unbatched = append(unbatched, "its encoder takes one frame at a time: only the denoiser gets batches (weights of an "+
			"EfficientViT: import them again)")
	}
	if e.Scorer.Window() > 0 {
		unbatched = append(unbatched, "its denoiser has a window and takes one frame at a time: only the encoder gets batches")
	}
	return &engine{
		bundle: b.Name, version: b.Version, provider: e.Provider(), newDetector: e.NewDetector, close: e.Close,
		unbatched: unbatched,
	}, nil
}

// acquire returns the engine of a bundle. It loads the bundle unless it is loaded already, with the same files. Every
// engine is given back with release.
func (e *engines) acquire(bundle string, cfg detector.Config) (*engine, error) {
	b, err := models.Open(bundle)
	if err != nil {
		return nil, err
	}
	if b.Substitute != "" && !e.substituted {
		e.substituted = true
		e.log.Warn("bundle", "note", b.Substitute)
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
	opened, err := e.open(b, cfg)
	if err != nil {
		return nil, err
	}
	opened.key, opened.users = key, 1
	e.loaded[key] = opened
	return opened, nil
}

// warn logs, once for each engine, what of it batches do not speed up.
func (e *engines) warn(cfg Batch) {
	for _, loaded := range e.loaded {
		if cfg.Frames < 2 || loaded.warned {
			continue
		}
		loaded.warned = true
		for _, note := range loaded.unbatched {
			e.log.Warn("batches", "bundle", loaded.bundle, "note", note)
		}
	}
}

// release closes the engine unless another camera uses it.
func (e *engines) release(used *engine) error {
	if used.users--; used.users > 0 {
		return nil
	}
	delete(e.loaded, used.key)
	return used.close()
}

// closeAll closes all engines.
func (e *engines) closeAll() error {
	var errs []error
	for _, loaded := range e.loaded {
		errs = append(errs, loaded.close())
	}
	clear(e.loaded)
	return errors.Join(errs...)
}
