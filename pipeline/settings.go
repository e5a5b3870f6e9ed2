package pipeline

import (
	"fmt"
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/detector/events"
	"github.com/oodcast/oodcast/publish/schema"
)

// settings are what may change while a camera runs. Requests and reloads hold mu while they make a change; the scoring
// goroutine picks changes up through the atomic fields and waits for nobody.
type settings struct {
	detector atomic.Pointer[detector.Detector] // for the next frame
	tracking atomic.Pointer[events.Config]     // for the next frame, if it has changed; nil otherwise
	paused   atomic.Bool

	mu struct {
		sync.Mutex
		// What the configuration says. Only a reload changes it; the detector's knob may have been turned since.
		detector detector.Config
		events   events.Config
	}
}

func (s *settings) init(scoring detector.Config, tracking events.Config, det *detector.Detector) {
	s.mu.detector, s.mu.events = scoring, tracking
	s.detector.Store(det)
}

// configured returns what the configuration in force says.
func (s *settings) configured() (detector.Config, events.Config) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.detector, s.mu.events
}

// rescore puts another configuration of the detector into force, from which fresh was made, and calls changed with the settings
// before and after. Where only the knob differs, the knob is turned and the detector keeps what it has measured.
func (s *settings) rescore(cfg detector.Config, fresh *detector.Detector, changed func(before, after schema.Update)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.inForce()
	defer func() { changed(before, s.inForce()) }()
	turned := s.mu.detector
	turned.Timesteps, turned.List, turned.LatencyBudget = cfg.Timesteps, cfg.List, cfg.LatencyBudget
	turned.Min, turned.Max, turned.Threshold = cfg.Min, cfg.Max, cfg.Threshold
	s.mu.detector = cfg
	if !same(turned, cfg) || s.detector.Load().Control().Set(fresh.Control().Get()) != nil {
		s.detector.Store(fresh)
	}
}

// retrack puts another configuration of events into force.
func (s *settings) retrack(cfg events.Config) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.events = cfg
	s.tracking.Store(&cfg)
}

// same reports whether two configurations are equal. Package configs reads an empty list as none, so that equal settings
// are equal values.
func same[T any](a, b T) bool { return reflect.DeepEqual(a, b) }

// Apply changes settings from the next frame on. A request that cannot be met changes nothing.
func (c *camera) Apply(who schema.Requester, u schema.Update) (schema.Status, error) {
	action := u.Action()
	if who.Via == schema.ViaState {
		action = schema.ActionRestore
	}
	err := c.settings.apply(u, func(before, after schema.Update) {
		c.audit(who, action, before.Only(u), after.Only(u), nil)
	})
	if err != nil {
		return schema.Status{}, err
	}
	return c.Status(), nil
}

// audit tells the log and the outlets about a change that took effect. The settings are locked meanwhile, so that changes are
// told in the order in which they happened.
func (c *camera) audit(who schema.Requester, action string, before, after schema.Update, keys []schema.Change) {
	c.auditor(schema.Audit{
		Origin: schema.ThisProcess(), Site: c.site, Camera: c.Name(), Time: time.Now().UTC(), Requester: who,
		Action: action, Before: before, After: after, Changes: keys,
	})
}

// inForce returns all settings in force.
func (s *settings) inForce() schema.Update {
	control := s.detector.Load().Control()
	knob := control.Get()
	st := schema.Status{
		Timesteps:     schema.Timesteps{N: knob.Timesteps, List: knob.List, Auto: knob.Auto()},
		LatencyBudget: schema.Duration(knob.Budget), Threshold: knob.Threshold, Paused: s.paused.Load(),
	}
	st.TimestepsMin, st.TimestepsMax = control.Bounds(knob)
	return st.Settings()
}

// apply makes a change and calls changed with the settings before and after it.
func (s *settings) apply(u schema.Update, changed func(before, after schema.Update)) error {
	s.mu.Lock() // two requests at once must not undo each other
	defer s.mu.Unlock()
	before := s.inForce()
	control := s.detector.Load().Control()
	knob := control.Get()
	if u.LatencyBudget != nil {
		knob.Budget = time.Duration(*u.LatencyBudget)
	}
	if t := u.Timesteps; t != nil {
		knob.Timesteps, knob.List = t.N, t.List
		if !t.Auto && t.N == 0 && len(t.List) == 0 {
			return fmt.Errorf("%w: timesteps: got 0, want 1..%d or \"auto\"", detector.ErrSetting, len(control.Order()))
		}
	}
	if u.TimestepsMin != nil {
		knob.Min = *u.TimestepsMin
	}
	if u.TimestepsMax != nil {
		knob.Max = *u.TimestepsMax
	}
	if u.Threshold != nil {
		knob.Threshold = *u.Threshold
	}
	if err := control.Set(knob); err != nil {
		return err
	}
	if u.Paused != nil {
		s.paused.Store(*u.Paused)
	}
	changed(before, s.inForce())
	return nil
}
