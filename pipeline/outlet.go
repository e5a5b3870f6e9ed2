package pipeline

import (
	"context"
	"errors"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/detector/events"
	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/publish/schema"
)

// Outlet is where the frames, maps, events and states of all cameras go. Another outlet is a folder below publish that
// implements it, and one line where cmd/oodcast makes the list of outlets.
//
// All methods are safe for concurrent use. Frame, Map and StatusChanged never wait; Events may wait for a disk. An Outlet that is
// also an ingest.Tap receives the H.264 of cameras that send it.
type Outlet interface {
	// Run works until ctx is done, then finishes what it holds within a bounded time. It runs once. The other methods may be
	// called before, during and after it.
	Run(ctx context.Context) error
	// WaitReady returns when the outlet takes what it is given, or when waiting longer is no use, and with the error of ctx
	// when that is done first.
	WaitReady(ctx context.Context) error

	// AddCamera introduces a camera before its first frame; RemoveCamera forgets it after its last event.
	AddCamera(schema.Camera) error
	RemoveCamera(name string) error
	// StatusChanged says that the Status of some camera may be another one.
	StatusChanged()

	// Frame hands over one reference to a frame, as soon as it is captured.
	Frame(*ingest.Frame)
	// Map hands over a map, which does not change any more.
	Map(*detector.Map)
	// Events hands over what happened in a camera. It returns the events to tell the outlets after this one, with what it
	// knows about them: the names of evidence.
	Events(events.Observation) []events.Event

	// FramesHeld is the number of frames of one camera that the outlet may hold at a time.
	FramesHeld() int
}

// Display is what an Outlet also implements that shows the pictures of cameras to people.
type Display interface {
	// Viewers is the number of people who are watching a camera.
	Viewers(camera string) int
	// Snapshot returns the newest frame with its overlay as JPEG, and when the frame was captured.
	Snapshot(camera string) (jpeg []byte, captured time.Time, err error)
}

// Checker is what an Outlet also implements that must not lose what it is given.
type Checker interface {
	// Check returns why the outlet is losing what it is given, nil when it is not. It answers at once.
	Check() error
}

// tap returns the outlets that are an ingest.Tap as one; nil when none is.
func (o Outlets) tap() ingest.Tap {
	var t taps
	for _, outlet := range o {
		if one, ok := outlet.(ingest.Tap); ok {
			t = append(t, one)
		}
	}
	if len(t) == 0 {
		return nil
	}
	return t
}

// taps are several taps as one. Everything reaches them in order.
type taps []ingest.Tap

// Coding tells all of them.
func (t taps) Coding(c ingest.Coding) {
	for _, one := range t {
		one.Coding(c)
	}
}

// Listening reports whether one of them listens.
func (t taps) Listening(camera string) bool {
	return slices.ContainsFunc(t, func(one ingest.Tap) bool { return one.Listening(camera) })
}

// AccessUnit hands the picture to those that listen.
func (t taps) AccessUnit(u *ingest.AccessUnit) {
	for _, one := range t {
		if one.Listening(u.Camera) {
			one.AccessUnit(u)
		}
	}
}

// Audit tells the outlets that are a schema.Auditor about a change of settings.
func (o Outlets) Audit(a schema.Audit) {
	for _, outlet := range o {
		if auditor, ok := outlet.(schema.Auditor); ok {
			auditor.Audit(a)
		}
	}
}

// Outlets are several outlets as one. Everything reaches them in order.
type Outlets []Outlet

// Run runs all outlets until ctx is done or one of them fails. They stop in order: each one is told to stop when those
// before it have ended, because they may need it for what they still have to finish.
func (o Outlets) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	stops, ended := make([]func(), len(o)), make([]chan struct{}, len(o))
	for i, outlet := range o {
		runCtx, stop := context.WithCancel(context.WithoutCancel(ctx))
		stops[i], ended[i] = stop, make(chan struct{})
		g.Go(func() error {
			defer close(ended[i])
			return outlet.Run(runCtx)
		})
	}
	<-ctx.Done()
	for i, stop := range stops {
		stop()
		<-ended[i]
	}
	return g.Wait()
}

// WaitReady waits for all outlets.
func (o Outlets) WaitReady(ctx context.Context) error {
	for _, outlet := range o {
		if err := outlet.WaitReady(ctx); err != nil {
			return err
		}
	}
	return nil
}

// AddCamera introduces a camera to all outlets, or to none.
func (o Outlets) AddCamera(c schema.Camera) error {
	for i, outlet := range o {
		if err := outlet.AddCamera(c); err != nil {
			return errors.Join(err, o[:i].RemoveCamera(c.Name()))
		}
	}
	return nil
}

// RemoveCamera makes all outlets forget a camera.
func (o Outlets) RemoveCamera(name string) error {
	var errs []error
	for _, outlet := range o {
		errs = append(errs, outlet.RemoveCamera(name))
	}
	return errors.Join(errs...)
}

// StatusChanged tells all outlets.
func (o Outlets) StatusChanged() {
	for _, outlet := range o {
		outlet.StatusChanged()
	}
}

// Frame gives each outlet a reference of its own.
func (o Outlets) Frame(f *ingest.Frame) {
	for _, outlet := range o {
		outlet.Frame(f.Retain())
	}
	f.Release()
}

// Map hands the map to all outlets.
func (o Outlets) Map(m *detector.Map) {
	for _, outlet := range o {
		outlet.Map(m)
	}
}

// Events passes the events from outlet to outlet.
func (o Outlets) Events(seen events.Observation) []events.Event {
	for _, outlet := range o {
		seen.Events = outlet.Events(seen)
	}
	return seen.Events
}

// FramesHeld is the sum over all outlets.
func (o Outlets) FramesHeld() int {
	n := 0
	for _, outlet := range o {
		n += outlet.FramesHeld()
	}
	return n
}

// Check joins the reasons of all outlets.
func (o Outlets) Check() error {
	var errs []error
	for _, outlet := range o {
		if c, ok := outlet.(Checker); ok {
			errs = append(errs, c.Check())
		}
	}
	return errors.Join(errs...)
}

// Viewers is the sum over the outlets that show pictures.
func (o Outlets) Viewers(camera string) int {
	n := 0
	for _, outlet := range o {
		if d, ok := outlet.(Display); ok {
			n += d.Viewers(camera)
		}
	}
	return n
}

// Snapshot asks the first outlet that shows pictures.
func (o Outlets) Snapshot(camera string) ([]byte, time.Time, error) {
	i := slices.IndexFunc(o, func(outlet Outlet) bool { _, ok := outlet.(Display); return ok })
	if i < 0 {
		return nil, time.Time{}, errors.New("pipeline: no outlet takes snapshots")
	}
	return o[i].(Display).Snapshot(camera)
}

var (
	_ Outlet  = Outlets(nil)
	_ Display = Outlets(nil)
)
