package configs

import (
	"errors"
	"fmt"
	"slices"
)

// Validate reports every fault, each with its path.
func (c *Config) Validate() error {
	var errs []error
	in := func(path string, err error) {
		for _, e := range flatten(err) {
			errs = append(errs, fmt.Errorf("%s%w", path, e))
		}
	}
	if c.Bundle == "" {
		errs = append(errs, errors.New(`bundle: got "", want a name or a folder`))
	}
	in("provider.", c.Provider.Validate())
	in("", c.Detector.Validate())
	in("", c.Events.Validate())
	in("", c.Publish.Validate())
	in("", c.Archive.Validate())
	if c.Archive.ObjectStore && c.Publish.Off() {
		errs = append(errs, errors.New("archive.object_store: got true, want publish.url to name a server: the store is in NATS"))
	}
	in("", c.Preview.Validate())
	seen := map[string]bool{}
	for i, cam := range c.Cameras {
		path := fmt.Sprintf("cameras[%d].", i)
		in(path, cam.Validate())
		in(path, beyond(c.Detector.Validate(), c.detectorOf(cam).Validate()))
		in(path, beyond(c.Events.Validate(), c.eventsOf(cam).Validate()))
		if seen[cam.Name] {
			errs = append(errs, fmt.Errorf("%sname: got %q twice, want a name of its own", path, cam.Name))
		}
		seen[cam.Name] = true
	}
	return invalid(errs)
}

// flatten takes apart what errors.Join put together.
func flatten(err error) []error {
	if err == nil {
		return nil
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var all []error
		for _, e := range joined.Unwrap() {
			all = append(all, flatten(e)...)
		}
		return all
	}
	return []error{err}
}

// beyond returns the faults of a camera that those for all cameras have not told already.
func beyond(all, one error) error {
	told := map[string]bool{}
	for _, e := range flatten(all) {
		told[e.Error()] = true
	}
	return errors.Join(slices.DeleteFunc(flatten(one), func(e error) bool { return told[e.Error()] })...)
}
