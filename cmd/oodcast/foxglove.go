package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"github.com/oodcast/oodcast/publish/client"
	"github.com/oodcast/oodcast/publish/foxglove"
	"github.com/oodcast/oodcast/publish/schema"
	"github.com/oodcast/oodcast/publish/visible"
)

// FoxgloveCmd records the messages on NATS for Foxglove: maps, outlines of events, pictures, log and scores.
type FoxgloveCmd struct {
	Out       string        `required:"" placeholder:"FILE.mcap" help:"Recording to write; - means standard output."`
	Image     string        `enum:"32FC1,mono16,mono8" default:"32FC1" help:"Encoding of maps: 32FC1 (the values), mono16 or mono8 (the threshold is at half of the range)."`
	Grid      bool          `help:"Record maps also as foxglove.Grid, for the 3D panel."`
	Snapshots time.Duration `default:"1s" placeholder:"D" help:"Interval between pictures; 0 records none."`
	Duration  time.Duration `placeholder:"D" help:"Stop after this time; by default, stop on a signal."`
	Maps      int           `placeholder:"N" help:"Stop after N maps in total."`

	listenFlags `embed:""`
}

// Run records until a signal, for Duration, or until it has Maps maps.
func (c *FoxgloveCmd) Run(e *env) (err error) {
	nc, opts, err := c.dial("oodcast foxglove")
	if err != nil {
		return err
	}
	defer nc.Close()
	out := visible.Unwrap(e.Stdout)
	if c.Out != "-" {
		file, openErr := os.Create(c.Out)
		if openErr != nil {
			return usagef("--out: %w", openErr)
		}
		defer func() { err = errors.Join(err, file.Close()) }()
		out = file
	}
	rec, err := foxglove.NewRecorder(out, foxglove.Options{Image: c.Image, Grid: c.Grid, Library: "oodcast " + version})
	if err != nil {
		return err
	}
	e.ready()
	ctx, cancel := context.WithCancelCause(e.Context)
	defer cancel(nil)
	if c.Duration > 0 {
		stop := time.AfterFunc(c.Duration, func() { cancel(errDone) })
		defer stop.Stop()
	}
	opts = append(opts, client.OnFault(func(err error) { e.Log.Warn("ignored an invalid message", "err", err) }))
	r := &foxgloveRecording{rec: rec, client: client.New(nc, opts...), maxMaps: int64(c.Maps), stop: cancel}
	err = r.listen(ctx, c.Snapshots)
	err = errors.Join(err, rec.Close())
	if err == nil {
		fmt.Fprintf(e.Stderr, "oodcast: %d maps, %d events in %s\n", r.maps.Load(), r.events.Load(), c.Out)
	}
	return err
}

// errDone ends a recording that has reached Duration or Maps.
var errDone = errors.New("done")

// foxgloveRecording is a recording in progress.
type foxgloveRecording struct {
	rec     *foxglove.Recorder
	client  *client.Client
	maxMaps int64
	stop    context.CancelCauseFunc
	maps    atomic.Int64
	events  atomic.Int64
}

// flushInterval is the largest part of a recording that is lost if the process is killed.
const flushInterval = time.Second

// listen records until ctx is done or writing fails.
func (r *foxgloveRecording) listen(ctx context.Context, snapshots time.Duration) error {
	for _, subscribe := range []func() (func(), error){
		func() (func(), error) { return r.client.Maps(func(m client.Map) { r.recordMap(m) }) },
		func() (func(), error) { return r.client.Scores(func(s schema.Score) { r.stopOn(r.rec.Score(s)) }) },
		func() (func(), error) {
			return r.client.Events(func(e schema.Event) { r.events.Add(1); r.stopOn(r.rec.Event(e)) })
		},
		func() (func(), error) { return r.client.Statuses(func(s schema.Status) { r.stopOn(r.rec.Status(s)) }) },
		func() (func(), error) {
			return r.client.Snapshots(func(s client.Snapshot) { r.stopOn(r.rec.Snapshot(s)) })
		},
	} {
		stop, err := subscribe()
		if err != nil {
			return err
		}
		defer stop()
	}
	present, _ := r.client.Cameras(ctx) // without JetStream, a camera is recorded from its next change
	for _, st := range present {
		r.stopOn(r.rec.Status(st))
	}
	flush := time.NewTicker(flushInterval)
	defer flush.Stop()
	var snapshotTick <-chan time.Time
	if snapshots > 0 {
		t := time.NewTicker(snapshots)
		defer t.Stop()
		snapshotTick = t.C
	}
	for {
		select {
		case <-snapshotTick:
			r.requestSnapshots(ctx)
		case <-flush.C:
			r.stopOn(r.rec.Flush())
		case <-ctx.Done():
			if err := context.Cause(ctx); !errors.Is(err, errDone) && !errors.Is(err, context.Canceled) {
				return err
			}
			return nil
		}
	}
}

func (r *foxgloveRecording) recordMap(m client.Map) {
	n := r.maps.Add(1)
	if r.maxMaps > 0 && n > r.maxMaps {
		r.maps.Add(-1)
		return
	}
	r.stopOn(r.rec.Map(m))
	if n == r.maxMaps {
		r.stop(errDone)
	}
}

// stopOn ends the recording with the first error.
func (r *foxgloveRecording) stopOn(err error) {
	if err != nil {
		r.stop(err)
	}
}

// requestSnapshots requests a picture from every camera that is present. Errors are ignored: a camera that has no picture yet
// is asked again next time.
func (r *foxgloveRecording) requestSnapshots(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	present, err := r.client.Cameras(ctx)
	if err != nil {
		return
	}
	for _, st := range present {
		_ = r.client.TakeSnapshot(ctx, st.Camera)
	}
}
