// Package watch shows the cameras and events on NATS: in a terminal as a live view with keys that turn |T|, threshold and pause,
// and elsewhere as lines.
package watch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/oodcast/oodcast/publish/client"
	"github.com/oodcast/oodcast/publish/visible"
)

// New returns a watcher of the cameras that c hears. url returns the address of the server, "" while disconnected.
func New(c *client.Client, url func() string) *Watcher {
	w := &Watcher{client: c, url: url, eventLines: make(chan string, 64)}
	w.state.cameras = map[string]*camera{}
	return w
}

// listen subscribes, and reads the status of the cameras that are present.
func (w *Watcher) listen(ctx context.Context) (stop func(), err error) {
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

// Draw shows a live view with keys in a terminal until q, Ctrl-C or the end of ctx.
func (w *Watcher) Draw(ctx context.Context, out io.Writer) error {
	stop, err := w.listen(ctx)
	if err != nil {
		return err
	}
	defer stop()
	p := tea.NewProgram(newView(w), tea.WithContext(ctx), tea.WithAltScreen(), tea.WithOutput(out),
		tea.WithoutSignalHandler()) // a signal already ends ctx
	_, err = p.Run()
	if errors.Is(err, tea.ErrProgramKilled) && ctx.Err() != nil {
		return nil
	}
	return err
}

// Print writes one line per event, and one per camera and second, until ctx is done: for pipes and logs.
func (w *Watcher) Print(ctx context.Context, out io.Writer) error {
	stop, err := w.listen(ctx)
	if err != nil {
		return err
	}
	defer stop()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case line := <-w.eventLines:
			if _, err := fmt.Fprintln(out, line); err != nil {
				return err
			}
		case <-tick.C:
			if _, err := io.WriteString(out, w.summary(time.Now())); err != nil {
				return err
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// summary returns one line per camera.
func (w *Watcher) summary(now time.Time) string {
	var b strings.Builder
	for _, c := range w.snapshot() {
		fmt.Fprintf(&b, "%s  %-10s %-10s peak %5.1f of %.1f  |T|=%d%s  %.1f maps/s  %.0f ms\n", now.Format("15:04:05"),
			visible.Text(c.status.Camera), c.state(now), c.last.Peak, c.threshold(), len(c.last.Timesteps), c.auto(), c.rate(now), c.last.LatencyMS.Total)
	}
	return b.String()
}
