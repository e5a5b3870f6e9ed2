package configs

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/oodcast/oodcast/ingest"
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
	in("", c.publishFaults())
	in("", c.Archive.Validate())
	if c.Archive.ObjectStore && c.Publish.Off() {
		errs = append(errs, errors.New("archive.object_store: got true, want publish.url to name a server, because the store is in NATS"))
	}
	in("", c.Preview.Validate())
	seen := map[string]bool{}
	for i, cam := range c.Cameras {
		path := fmt.Sprintf("cameras[%d].", i)
		in(path, cam.Validate())
		in(path, without(c.Detector.Validate(), c.detectorOf(cam).Validate()))
		in(path, without(c.Events.Validate(), c.eventsOf(cam).Validate()))
		if seen[cam.Name] {
			errs = append(errs, fmt.Errorf("%sname: got %q twice, want unique names", path, cam.Name))
		}
		seen[cam.Name] = true
	}
	return invalid(errs)
}

// publishFaults returns the faults of publish. For an address that cannot be read, it says what helps.
func (c *Config) publishFaults() error {
	faults := flatten(c.Publish.Validate())
	if c.Publish.Off() || c.Publish.Embedded() {
		return errors.Join(faults...)
	}
	for one := range strings.SplitSeq(c.Publish.URL, ",") {
		one = strings.TrimSpace(one)
		_, _, err := ingest.SplitAddress(one)
		if _, parse := url.Parse(one); err == nil && parse != nil { // it takes fewer characters than cameras do
			err = fmt.Errorf("characters that an address cannot have: %s", ingest.EncodeHint)
		}
		if err == nil || !strings.Contains(one, "://") {
			continue
		}
		faults = slices.DeleteFunc(faults, func(e error) bool { return strings.HasPrefix(e.Error(), "publish.url:") })
		faults = append(faults, fmt.Errorf("publish.url: the address has %w", err))
		break
	}
	return errors.Join(faults...)
}

// flatten returns the errors that errors.Join has joined.
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

// without returns the faults of one camera except those that were already reported for all cameras.
func without(all, one error) error {
	reported := map[string]bool{}
	for _, e := range flatten(all) {
		reported[e.Error()] = true
	}
	return errors.Join(slices.DeleteFunc(flatten(one), func(e error) bool { return reported[e.Error()] })...)
}
