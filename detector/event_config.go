package detector

import (
	"errors"
	"fmt"
	"time"
)

// Validate reports all faults at once.
func (c TrackerConfig) Validate() error {
	var errs []error
	check := func(ok bool, key string, got any, want string) {
		if !ok {
			errs = append(errs, fmt.Errorf("events.%s: got %v, want %s", key, got, want))
		}
	}
	check(c.Exit > 0 && c.Exit <= 1, "exit", c.Exit, "more than 0, at most 1")
	check(c.MinArea >= 0 && c.MinArea < 1, "min_area", c.MinArea, "0 or more, less than 1")
	for key, d := range map[string]time.Duration{
		"min_duration": c.MinDuration, "hold": c.Hold, "update_every": c.UpdateEvery,
	} {
		check(d >= 0 && d <= time.Hour, key, d, "0 to 1h")
	}
	return errors.Join(errs...)
}
