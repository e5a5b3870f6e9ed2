package main

import (
	"github.com/oodcast/oodcast/publish/client"
	"github.com/oodcast/oodcast/publish/client/watch"
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
	w := watch.New(client.New(nc, opts...), nc.ConnectedUrlRedacted)
	if out, ok := terminal(e.Stdout); ok {
		return w.Draw(e, out)
	}
	return w.Print(e, e.Stdout)
}
