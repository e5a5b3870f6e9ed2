package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/oodcast/oodcast/publish/client"
)

// WatchCmd shows the cameras and events on NATS: in a terminal as a live view with keys, elsewhere as one line per event and one
// line per camera and second.
type WatchCmd struct {
	listenFlags `embed:""`
}

// Run watches until q, Ctrl-C or a signal.
func (c *WatchCmd) Run(e *env) error {
	nc, opts, err := c.dial("oodcast watch")
	if err != nil {
		return err
	}
	defer nc.Close()
	e.ready()
	w := &watcher{client: client.New(nc, opts...), url: nc.ConnectedUrlRedacted, eventLines: make(chan string, 64)}
	w.state.cameras = map[string]*watchedCamera{}
	stop, err := w.listen(e)
	if err != nil {
		return err
	}
	defer stop()
	if out, ok := terminal(e.Stdout); ok {
		return w.interactive(e, out)
	}
	return w.lines(e)
}

// listen subscribes, and reads the status of the cameras that are present.
func (w *watcher) listen(ctx context.Context) (stop func(), err error) {
	var stops []func()
	stop = func() {
		for _, f := range stops {
			f()
		}
	}
	for _, subscribe := range []func() (func(), error){
		func() (func(), error) { return w.client.Scores(w.score) },
		func() (func(), error) { return w.client.Events(w.event) },
		func() (func(), error) { return w.client.Statuses(w.status) },
	} {
		f, err := subscribe()
		if err != nil {
			stop()
			return nil, err
		}
		stops = append(stops, f)
	}
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	statuses, err := w.client.Cameras(ctx)
	if err != nil {
		w.setNote("cameras appear with their first message: " + err.Error()) // for example, a server without JetStream
	}
	for _, st := range statuses {
		w.status(st)
	}
	return stop, nil
}

// interactive runs the view in a terminal.
func (w *watcher) interactive(ctx context.Context, out io.Writer) error {
	p := tea.NewProgram(newWatchView(w), tea.WithContext(ctx), tea.WithAltScreen(), tea.WithOutput(out),
		tea.WithoutSignalHandler()) // a signal already ends ctx
	_, err := p.Run()
	if errors.Is(err, tea.ErrProgramKilled) && ctx.Err() != nil {
		return nil
	}
	return err
}

// lines prints lines for pipes and logs.
func (w *watcher) lines(e *env) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case line := <-w.eventLines:
			if _, err := fmt.Fprintln(e.Stdout, line); err != nil {
				return err
			}
		case <-tick.C:
			if _, err := io.WriteString(e.Stdout, w.summary(time.Now())); err != nil {
				return err
			}
		case <-e.Done():
			return nil
		}
	}
}

// summary returns one line per camera.
func (w *watcher) summary(now time.Time) string {
	var b strings.Builder
	for _, c := range w.snapshot() {
		fmt.Fprintf(&b, "%s  %-10s %-10s peak %5.1f of %.1f  |T|=%d%s  %.1f maps/s  %.0f ms\n", now.Format("15:04:05"),
			printable(c.status.Camera), c.state(now), c.last.Peak, c.threshold(), len(c.last.Timesteps), c.auto(), c.rate(now), c.last.LatencyMS.Total)
	}
	return b.String()
}
