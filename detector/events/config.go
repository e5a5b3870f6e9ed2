package events

import (
	"errors"
	"fmt"
	"time"

	"github.com/oodcast/oodcast/detector"
)

// Config determines when a region becomes an event.
type Config struct {
	// Exit gives the hysteresis: a region that was above the threshold ends below this share of it. 0 … 1, default 0.8.
	Exit float64 `yaml:"exit"`
	// MinArea is the area of the smallest region, as a fraction of the image. Default 0.0005.
	MinArea float64 `yaml:"min_area"`
	// MinDuration is how long a region must be present, more often than not, before it starts an event. Default 500 ms.
	MinDuration time.Duration `yaml:"min_duration"`
	// Hold is how long an event outlives its region: a region that returns in time continues the old event. Regions that
	// merge remain two events, and a region that splits remains one event, for as long. Default 1 s.
	Hold time.Duration `yaml:"hold"`
	// CoolDown is how long after an end no new event starts in the same place, that is, with half of its region there.
	// Default 5 s.
	CoolDown time.Duration `yaml:"cool_down"`
	// UpdateEvery is the shortest time between two updates of an event. Default 1 s.
	UpdateEvery time.Duration `yaml:"update_every"`
	// Categories are the categories of event that are told. Default all.
	Categories []Category `yaml:"categories,flow"`
	// StillAfter is how long something must have been still, or gone, to be left or taken. Default 30 s.
	StillAfter time.Duration `yaml:"still_after"`
	// Zones are parts of the image with categories of their own. An event belongs to the last one that has the middle of its box
	// when it begins. Default none.
	Zones []Zone `yaml:"zones,omitempty"`
}

// DefaultConfig returns the defaults.
func DefaultConfig() Config {
	return Config{
		Exit: 0.8, MinArea: detector.EventArea, MinDuration: 500 * time.Millisecond, Hold: time.Second, CoolDown: 5 * time.Second,
		UpdateEvery: time.Second, Categories: Categories(), StillAfter: 30 * time.Second,
	}
}

// Validate reports all faults at once.
func (c Config) Validate() error {
	var errs []error
	check := func(ok bool, key string, got any, want string) {
		if !ok {
			errs = append(errs, fmt.Errorf("events.%s: got %v, want %s", key, got, want))
		}
	}
	check(c.Exit > 0 && c.Exit <= 1, "exit", c.Exit, "more than 0, at most 1")
	check(c.MinArea >= 0 && c.MinArea < 1, "min_area", c.MinArea, "0 or more, less than 1")
	for _, d := range []struct {
		key string
		v   time.Duration
	}{
		{"min_duration", c.MinDuration}, {"hold", c.Hold}, {"cool_down", c.CoolDown}, {"update_every", c.UpdateEvery},
	} {
		check(d.v >= 0 && d.v <= time.Hour, d.key, d.v, "0 to 1h")
	}
	check(c.StillAfter >= time.Second && c.StillAfter <= time.Hour, "still_after", c.StillAfter, "1s to 1h")
	errs = append(errs, validateCategories("events.categories", c.Categories))
	return errors.Join(append(errs, c.validateZones()...)...)
}
