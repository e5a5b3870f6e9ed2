package pipeline

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/oodcast/oodcast/publish/schema"
)

// ErrNotRunning is returned by Apply when no camera can be started: before Ready, and when the pipeline is ending.
var ErrNotRunning = errors.New("pipeline: not running")

// Changes are the names of the cameras that another configuration has touched.
type Changes struct{ Added, Restarted, Adjusted, Removed []string }

// Apply puts cfg into force, on behalf of who, while the cameras run: it prepares everything that is new, and only then touches what runs. A
// camera for which nothing changes goes on undisturbed. The site and the provider cannot change. With an error everything
// is as before, unless an outlet refused a camera.
func (p *Pipeline) Apply(who schema.Requester, cfg Config) (Changes, error) {
	p.changing.Lock()
	defer p.changing.Unlock()
	if p.running.start == nil {
		return Changes{}, ErrNotRunning
	}
	next := plan{who: who}
	defer func() {
		for _, e := range next.held {
			if err := p.engines.release(e); err != nil {
				p.log.Warn("bundle", "bundle", e.bundle, "error", err)
			}
		}
	}()
	if err := p.prepare(&next, cfg); err != nil {
		for _, c := range next.add {
			next.held = append(next.held, c.engine)
		}
		return Changes{}, err
	}
	p.turns.configure(cfg.Batch)
	p.engines.warn(cfg.Batch)
	if err := p.execute(next); err != nil {
		return Changes{}, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mu.cfg = cfg
	p.mu.fault = ""
	return next.changes, nil
}

// Refuse notes why the newest configuration is not in force, for the status of the cameras. Apply with another one heals it.
func (p *Pipeline) Refuse(err error) {
	p.mu.Lock()
	p.mu.fault = strings.ReplaceAll(err.Error(), "\n", "; ")
	p.mu.Unlock()
	p.metrics.reloaded(reloadRefused)
	p.outlets.StatusChanged()
}

// Fault is why the newest configuration is not in force; empty when it is.
func (p *Pipeline) Fault() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mu.fault
}

// plan is what a new configuration means for the cameras.
type plan struct {
	who     schema.Requester
	remove  []*camera // also those that are replaced
	add     []*camera // also those that replace others
	adjust  []func()
	held    []*engine // so that none is closed and loaded again in between
	changes Changes
}

// prepare compares the running cameras with those of the configuration and makes what is new. With an error, too, next holds
// what was made until then.
func (p *Pipeline) prepare(next *plan, cfg Config) error {
	running := map[string]*camera{}
	for _, c := range p.cameras() {
		running[c.Name()] = c
	}
	changes := &next.changes
	for _, entry := range cfg.Cameras {
		name := entry.Source.Name
		c := running[name]
		delete(running, name)
		stays, adjust, err := p.compare(next, c, entry)
		if err != nil {
			return err
		}
		switch {
		case stays && adjust == nil:
		case stays:
			next.adjust = append(next.adjust, adjust...)
			changes.Adjusted = append(changes.Adjusted, name)
		default:
			fresh, err := p.newCamera(cfg.Site, entry)
			if err != nil {
				return err
			}
			next.add = append(next.add, fresh)
			if c == nil {
				changes.Added = append(changes.Added, name)
				continue
			}
			next.remove = append(next.remove, c)
			changes.Restarted = append(changes.Restarted, name)
		}
	}
	for name, c := range running {
		next.remove = append(next.remove, c)
		changes.Removed = append(changes.Removed, name)
	}
	for _, names := range [][]string{changes.Added, changes.Restarted, changes.Adjusted, changes.Removed} {
		slices.Sort(names)
	}
	return nil
}

// compare reports whether camera c, nil if there is none, can stay as the configuration has it, and what has to be done for
// that.
func (p *Pipeline) compare(next *plan, c *camera, entry CameraConfig) (stays bool, adjust []func(), err error) {
	if c == nil || !same(c.cfg.Source, entry.Source) || !same(c.cfg.Queue, entry.Queue) {
		return false, nil, nil
	}
	used, err := p.engines.acquire(entry.Bundle, entry.Detector)
	if err != nil {
		return false, nil, err
	}
	next.held = append(next.held, used)
	if used != c.engine {
		return false, nil, nil
	}
	// A knob that was turned by hand stays, unless the configuration has changed about it.
	scoring, tracking := c.settings.configured()
	if !same(scoring, entry.Detector) {
		det, err := p.newDetector(c.engine, entry.Detector)
		if err != nil {
			return false, nil, fmt.Errorf("camera %s: %w", c.Name(), err)
		}
		adjust = append(adjust, func() {
			c.lessons.force(det)
			c.settings.rescore(entry.Detector, det, func(before, after schema.Update) {
				c.audit(next.who, schema.ActionReload, before, after,
					changedKeys(CameraConfig{Detector: scoring}, CameraConfig{Detector: entry.Detector}))
			})
		})
	}
	if !same(tracking, entry.Events) {
		adjust = append(adjust, func() {
			c.settings.retrack(entry.Events)
			c.audit(next.who, schema.ActionReload, schema.Update{}, schema.Update{},
				changedKeys(CameraConfig{Events: tracking}, CameraConfig{Events: entry.Events}))
		})
	}
	return true, adjust, nil
}

// auditPlan tells the log and the outlets which cameras a reload has added, restarted and removed.
func (p *Pipeline) auditPlan(next plan) {
	type change struct {
		before, after schema.Update
		keys          []schema.Change
	}
	cameras, old := map[string]change{}, map[string]CameraConfig{}
	for _, c := range next.remove {
		cfg := c.cfg
		cfg.Detector, cfg.Events = c.settings.configured()
		old[c.Name()], cameras[c.Name()] = cfg, change{before: c.settings.inForce()}
	}
	for _, c := range next.add {
		now := change{before: cameras[c.Name()].before, after: c.settings.inForce()}
		if before, restarted := old[c.Name()]; restarted {
			now.keys = changedKeys(before, c.cfg)
		}
		cameras[c.Name()] = now
	}
	p.mu.Lock()
	site := p.mu.cfg.Site
	p.mu.Unlock()
	for _, change := range []struct {
		action string
		names  []string
	}{
		{schema.ActionAdded, next.changes.Added},
		{schema.ActionRestarted, next.changes.Restarted},
		{schema.ActionRemoved, next.changes.Removed},
	} {
		for _, name := range change.names {
			p.audit(schema.Audit{
				Origin: schema.ThisProcess(), Site: site, Camera: name, Time: time.Now().UTC(), Requester: next.who,
				Action: change.action, Before: cameras[name].before, After: cameras[name].after, Changes: cameras[name].keys,
			})
		}
	}
}

// audit writes a line to the log and tells the outlets.
func (p *Pipeline) audit(a schema.Audit) {
	before, _ := json.Marshal(a.Before) // a struct of numbers and strings
	after, _ := json.Marshal(a.After)
	attrs := []any{
		"camera", a.Camera, "action", a.Action, "via", a.Via, "name", a.Name, "address", a.Address,
		"before", string(before), "after", string(after),
	}
	if len(a.Changes) > 0 {
		keys, _ := json.Marshal(a.Changes)
		attrs = append(attrs, "changes", string(keys))
	}
	p.log.Info("audit", attrs...)
	p.outlets.Audit(a)
}

// execute carries a plan out.
func (p *Pipeline) execute(next plan) error {
	for _, c := range next.remove {
		c.stop()
	}
	for _, c := range next.remove {
		<-c.done
		if err := p.remove(c); err != nil {
			p.log.Warn("camera", "camera", c.Name(), "error", err)
		}
	}
	for _, adjust := range next.adjust {
		adjust()
	}
	for _, c := range next.add {
		if err := p.add(c); err != nil {
			return errors.Join(err, p.engines.release(c.engine)) // names are checked: no other camera has it
		}
		p.running.start(c)
	}
	p.auditPlan(next)
	p.metrics.reloaded(reloadApplied)
	p.outlets.StatusChanged()
	return nil
}
