package main

import (
	"fmt"
	"os"
	"time"

	"github.com/alecthomas/kong"

	"github.com/oodcast/oodcast/ingest"
)

// calibrateFlags are the flags of imports whose bundles lack nothing but a calibration.
type calibrateFlags struct {
	Calibrate []string      `sep:"none" help:"Normal footage to calibrate the bundle on, as oodcast fit --calibrate-only does: a file, a folder of images, a stream. May be repeated." placeholder:"SOURCE"`
	Duration  time.Duration `help:"Read each source for this long at most; needed for live ones." placeholder:"D"`
}

// check finds out what is wrong with the footage before the import takes its time.
func (f *calibrateFlags) check(e *env) error {
	for _, uri := range f.Calibrate {
		if err := f.checkSource(e, uri); err != nil {
			return err
		}
	}
	return nil
}

func (f *calibrateFlags) checkSource(e *env, uri string) error {
	if _, _, err := footage(e, uri, ingest.NewPool(1)); err != nil {
		return err
	}
	u, err := ingest.ParseURI(uri)
	switch {
	case err != nil:
	case u.Live() && f.Duration <= 0:
		err = fmt.Errorf("%s never ends: add --duration, for instance --duration 10m", ingest.RedactURI(uri))
	case !u.Live():
		_, err = os.Stat(u.Target)
	}
	if err != nil {
		return usageError{fmt.Errorf("--calibrate: %w", err)}
	}
	return nil
}

// calibrate calibrates the bundle in a folder.
func (f *calibrateFlags) calibrate(e *env, bundle string) error {
	args := []string{"--calibrate-only", "--bundle=" + bundle, "--out=" + bundle, "--duration=" + f.Duration.String()}
	for _, uri := range f.Calibrate {
		args = append(args, "--source="+uri)
	}
	var c FitCmd
	p, err := kong.New(&c, kong.Vars(fitVars()), kong.Bind(e))
	if err == nil {
		_, err = p.Parse(args)
	}
	if err != nil {
		return err
	}
	return c.Run(e)
}
