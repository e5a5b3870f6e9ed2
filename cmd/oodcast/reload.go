package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/oodcast/oodcast/configs"
)

// settle is how long a file's folder must have been quiet before the file is read: editors write in several steps. Where
// others write all the time, the file is read after restless.
const (
	settle   = 300 * time.Millisecond
	restless = 2 * time.Second
)

// follow applies the configuration anew when its file changes or SIGHUP comes, until ctx is done.
func (s *service) follow(ctx context.Context, start func(*camera)) {
	if s.file == "" {
		return // SIGHUP ends the process, as that of any program that has nothing to read again
	}
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	var (
		changes <-chan fsnotify.Event
		faults  <-chan error
	)
	w, err := fsnotify.NewWatcher()
	if err == nil {
		defer w.Close()
		err = w.Add(filepath.Dir(s.file)) // the folder, because editors and Kubernetes replace the file
		changes, faults = w.Events, w.Errors
	}
	if err != nil {
		s.out.Log.Warn("changes of the configuration are not noticed: send SIGHUP", "file", s.file, "err", err)
	}
	last := s.digest()
	timer := time.NewTimer(time.Hour)
	timer.Stop()
	var since time.Time // the first change that was not looked at; zero: there is none
	for {
		select {
		case <-changes:
			if since.IsZero() {
				since = time.Now()
			}
			timer.Reset(min(settle, restless-time.Since(since)))
			continue
		case err := <-faults:
			s.out.Log.Warn("changes of the configuration may go unnoticed: send SIGHUP", "file", s.file, "err", err)
			continue
		case <-timer.C:
			since = time.Time{}
			if now := s.digest(); now == last || now == "" { // something else in the folder; or the file is away
				continue
			}
		case <-hup:
		case <-ctx.Done():
			return
		}
		last = s.digest()
		s.reload(start)
	}
}

// digest tells whether the file's content is the same as before; empty when there is none.
func (s *service) digest() string {
	raw, err := os.ReadFile(s.file)
	if err != nil {
		return ""
	}
	return fmt.Sprintf("%x", sha256.Sum256(raw))
}

// fault is why the newest configuration is not in force; empty when it is.
func (s *service) fault() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.fault
}

// reload reads the configuration anew and puts it into force, or keeps the old one when anything is wrong with it.
func (s *service) reload(start func(*camera)) {
	next, err := s.load()
	if err == nil {
		err = s.apply(next, start)
	}
	s.mu.Lock()
	s.mu.fault = ""
	if err != nil {
		s.mu.fault = strings.ReplaceAll(err.Error(), "\n", "; ")
	}
	fault := s.mu.fault
	s.mu.Unlock()
	if err != nil {
		s.reloads.count("refused")
		s.out.Log.Error("the new configuration is wrong: the old one stays in force", "file", s.file, "error", fault)
	} else {
		s.reloads.count("applied")
	}
	s.publisher.StatusChanged()
}

// plan is what a new configuration means for the cameras.
type plan struct {
	remove []*camera // also those that are replaced
	add    []*camera // also what replaces others
	adjust []func()
	held   []*engine // so that none is closed and opened again on the way
	log    []any
}

// apply puts next into force: it prepares everything that is new, and only then touches what runs.
func (s *service) apply(next configs.Config, start func(*camera)) error {
	s.changing.Lock()
	defer s.changing.Unlock()
	s.mu.Lock()
	old := s.mu.cfg
	s.mu.Unlock()
	var frozen []string
	for _, path := range configs.Changed(old, next) {
		if !configs.Live(path) {
			frozen = append(frozen, path)
		}
	}
	in := old // what needs a restart stays as it is
	in.Bundle, in.Detector, in.Events, in.Cameras = next.Bundle, next.Detector, next.Events, next.Cameras
	in.Provider.Batch = next.Provider.Batch
	in.Archive = next.Archive
	in.Archive.Dir = old.Archive.Dir
	var p plan
	defer func() {
		for _, e := range p.held {
			if err := s.engines.release(e); err != nil {
				s.out.Log.Warn("bundle", "bundle", e.bundle, "error", err)
			}
		}
	}()
	if err := s.prepare(&p, &in); err != nil {
		for _, c := range p.add {
			p.held = append(p.held, c.engine)
		}
		return err
	}
	s.turns.configure(in.Provider.Batch)
	s.engines.warn(in.Provider.Batch)
	if in.Archive != old.Archive {
		p.log = append(p.log, "archive", "adjusted")
		p.adjust = append(p.adjust, func() {
			if err := s.evidence.Configure(in.Archive); err != nil { // it is valid: Load has seen to that
				s.out.Log.Warn("archive", "error", err)
			}
		})
	}
	for _, c := range p.remove {
		c.stop()
	}
	for _, c := range p.remove {
		<-c.done
		if err := s.part(c); err != nil {
			s.out.Log.Warn("camera", "camera", c.cfg.Name, "error", err)
		}
	}
	for _, adjust := range p.adjust {
		adjust()
	}
	for _, c := range p.add {
		if err := s.join(c); err != nil {
			return errors.Join(err, s.engines.release(c.engine)) // names are checked: nobody else has it
		}
		start(c)
	}
	s.mu.Lock()
	s.mu.cfg = in
	s.mu.Unlock()
	s.out.Log.Info("configuration reloaded", append([]any{"file", s.file}, p.log...)...)
	if len(frozen) > 0 {
		s.out.Log.Warn("changes that need a restart", "keys", strings.Join(frozen, ", "))
	}
	return nil
}

// prepare compares the cameras that run with those of the configuration and makes what is new. With an error, too, p holds
// what was made until then.
func (s *service) prepare(p *plan, cfg *configs.Config) error {
	running := map[string]*camera{}
	for _, c := range s.all() {
		running[c.cfg.Name] = c
	}
	var added, changed, adjusted, removed []string
	for _, entry := range cfg.Cameras {
		c := running[entry.Name]
		delete(running, entry.Name)
		goesOn, adjust, err := s.compare(p, c, cfg, entry)
		if err != nil {
			return err
		}
		switch {
		case goesOn && adjust == nil:
		case goesOn:
			p.adjust = append(p.adjust, adjust)
			adjusted = append(adjusted, entry.Name)
		default:
			fresh, err := s.newCamera(cfg, entry)
			if err != nil {
				return err
			}
			p.add = append(p.add, fresh)
			if c == nil {
				added = append(added, entry.Name)
				continue
			}
			p.remove = append(p.remove, c)
			changed = append(changed, entry.Name)
		}
	}
	for name, c := range running {
		p.remove = append(p.remove, c)
		removed = append(removed, name)
	}
	for _, l := range []struct {
		what  string
		names []string
	}{{"added", added}, {"restarted", changed}, {"adjusted", adjusted}, {"removed", removed}} {
		slices.Sort(l.names)
		if len(l.names) > 0 {
			p.log = append(p.log, l.what, strings.Join(l.names, ", "))
		}
	}
	return nil
}

// compare tells whether the camera c, nil if there is none, can go on with what the configuration says, and what has to
// be done for that; nil: nothing.
func (s *service) compare(
	p *plan, c *camera, cfg *configs.Config, entry configs.Camera,
) (goesOn bool, adjust func(), err error) {
	if c == nil || c.cfg != entry.Config {
		return false, nil, nil
	}
	scoring := cfg.DetectorOf(entry)
	used, err := s.engines.acquire(cfg.BundleOf(entry), scoring)
	if err != nil {
		return false, nil, err
	}
	p.held = append(p.held, used)
	if used != c.engine {
		return false, nil, nil
	}
	// A knob that was turned by hand stays, unless the configuration has changed about it.
	var steps []func()
	if !same(c.scoring, scoring) {
		det, err := s.newDetector(c.engine, scoring)
		if err != nil {
			return false, nil, fmt.Errorf("camera %s: %w", entry.Name, err)
		}
		steps = append(steps, func() { c.rescore(scoring, det) })
	}
	if events := cfg.EventsOf(entry); !same(c.tracking, events) {
		steps = append(steps, func() {
			c.tracking = events
			c.retrack.Store(&events)
		})
	}
	if steps == nil {
		return true, nil, nil
	}
	return true, func() {
		for _, step := range steps {
			step()
		}
	}, nil
}

// reloadMetrics count configurations that were read while running.
type reloadMetrics struct {
	total *prometheus.CounterVec
	good  prometheus.Gauge
}

func newReloadMetrics(reg prometheus.Registerer) (*reloadMetrics, error) {
	m := &reloadMetrics{
		total: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "oodcast_config_reloads_total", Help: "Configurations read while running, applied or refused.",
		}, []string{"result"}),
		good: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "oodcast_config_last_reload_successful", Help: "0 when the newest configuration was refused.",
		}),
	}
	m.good.Set(1)
	for _, result := range []string{"applied", "refused"} {
		m.total.WithLabelValues(result)
	}
	return m, errors.Join(reg.Register(m.total), reg.Register(m.good))
}

func (m *reloadMetrics) count(result string) {
	m.total.WithLabelValues(result).Inc()
	m.good.Set(0)
	if result == "applied" {
		m.good.Set(1)
	}
}
