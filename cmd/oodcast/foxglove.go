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
)

// FoxgloveCmd records what is on NATS for Foxglove: maps, boxes of events, pictures, log and scores.
type FoxgloveCmd struct {
	Out       string        `required:"" placeholder:"FILE.mcap" help:"Recording to write; - is the standard output."`
	Image     string        `enum:"32FC1,mono16,mono8" default:"32FC1" help:"Maps as 32FC1 (the values), mono16 or mono8 (half of the range is the threshold)."`
	Grid      bool          `help:"Maps also as foxglove.Grid, for the 3D panel."`
	Snapshots time.Duration `default:"1s" placeholder:"D" help:"How often to ask for a picture; 0 is never."`
	Duration  time.Duration `placeholder:"D" help:"Stop after this time; default: on a signal."`
	Maps      int           `placeholder:"N" help:"Stop after N maps of all cameras."`

	listenFlags `embed:""`
}

// Run records until a signal, Duration or Maps.
func (c *FoxgloveCmd) Run(e *env) (err error) {
	nc, opts, err := c.dial("oodcast foxglove")
	if err != nil {
		return err
	}
	defer nc.Close()
	out := e.Stdout
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
	ctx, cancel := context.WithCancelCause(e.Context)
	defer cancel(nil)
	if c.Duration > 0 {
		stop := time.AfterFunc(c.Duration, func() { cancel(errDone) })
		defer stop.Stop()
	}
	opts = append(opts, client.OnFault(func(err error) { e.Log.Warn("passed over", "err", err) }))
	r := &foxgloveRecording{rec: rec, client: client.New(nc, opts...), maxMaps: int64(c.Maps), stop: cancel}
	err = r.listen(ctx, c.Snapshots)
	err = errors.Join(err, rec.Close())
	if err == nil {
		fmt.Fprintf(e.Stderr, "oodcast: %d maps, %d events in %s\n", r.maps.Load(), r.events.Load(), c.Out)
	}
	return err
}

// errDone ends a recording that has what was asked for.
var errDone = errors.New("done")

// foxgloveRecording is a recording while it is made.
type foxgloveRecording struct {
	rec     *foxglove.Recorder
	client  *client.Client
	maxMaps int64
	stop    context.CancelCauseFunc
	maps    atomic.Int64
	events  atomic.Int64
}

// flushEvery is how much of a recording is lost at most when the process is killed.
const flushEvery = time.Second

// listen records until ctx is done, or nothing more can be written.
func (r *foxgloveRecording) listen(ctx context.Context, snapshots time.Duration) error {
	for _, subscribe := range []func() (func(), error){
		func() (func(), error) { return r.client.Maps(func(m client.Map) { r.gotMap(m) }) },
		func() (func(), error) { return r.client.Scores(func(s schema.Score) { r.keep(r.rec.Score(s)) }) },
		func() (func(), error) {
			return r.client.Events(func(e schema.Event) { r.events.Add(1); r.keep(r.rec.Event(e)) })
		},
		func() (func(), error) { return r.client.Statuses(func(s schema.Status) { r.keep(r.rec.Status(s)) }) },
		func() (func(), error) {
			return r.client.Snapshots(func(s client.Snapshot) { r.keep(r.rec.Snapshot(s)) })
		},
	} {
		stop, err := subscribe()
		if err != nil {
			return err
		}
		defer stop()
	}
	there, _ := r.client.Cameras(ctx) // a server without JetStream keeps none: their next change tells
	for _, st := range there {
		r.keep(r.rec.Status(st))
	}
	flush := time.NewTicker(flushEvery)
	defer flush.Stop()
	var ask <-chan time.Time
	if snapshots > 0 {
		t := time.NewTicker(snapshots)
		defer t.Stop()
		ask = t.C
	}
	for {
		select {
		case <-ask:
			r.askAll(ctx)
		case <-flush.C:
			r.keep(r.rec.Flush())
		case <-ctx.Done():
			if err := context.Cause(ctx); !errors.Is(err, errDone) && !errors.Is(err, context.Canceled) {
				return err
			}
			return nil
		}
	}
}

func (r *foxgloveRecording) gotMap(m client.Map) {
	n := r.maps.Add(1)
	if r.maxMaps > 0 && n > r.maxMaps {
		r.maps.Add(-1)
		return
	}
	r.keep(r.rec.Map(m))
	if n == r.maxMaps {
		r.stop(errDone)
	}
}

// keep ends the recording with the first error.
func (r *foxgloveRecording) keep(err error) {
	if err != nil {
		r.stop(err)
	}
}

// askAll asks every camera that is there for a picture. One that has none yet is asked again next time.
func (r *foxgloveRecording) askAll(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	there, err := r.client.Cameras(ctx)
	if err != nil {
		return
	}
	for _, st := range there {
		_ = r.client.TakeSnapshot(ctx, st.Camera)
	}
}
