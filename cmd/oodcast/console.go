package main

import (
	"context"
	"fmt"
	"io"
	"sync"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/detector/events"
	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/publish/schema"
	"github.com/oodcast/oodcast/publish/visible"
)

// console is the outlet for the terminal: it prints the addresses, and a line for each event that starts or ends.
type console struct {
	out        io.Writer
	page, nats func() string // addresses; empty if there is none
	login      func() string // how other programs log in to NATS; empty if they need not be told

	mu struct {
		sync.Mutex
		cameras []schema.Camera // added before the greeting
		greeted bool
	}
}

// WaitReady prints the addresses. By then the outlets before this one are ready.
func (c *console) WaitReady(context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mu.greeted = true
	for i, cam := range c.mu.cameras {
		st := cam.Status()
		if i == 0 {
			fmt.Fprintf(c.out, "oodcast %s  bundle %s  provider %s\n", version, visible.Text(st.Bundle), visible.Text(st.Provider))
			for _, place := range []struct{ name, address string }{
				{"page", c.page()}, {"nats", c.nats()}, {"login", c.login()},
			} {
				if place.address != "" {
					fmt.Fprintf(c.out, "  %s  %s\n", place.name, visible.Text(place.address))
				}
			}
		}
		fmt.Fprintf(c.out, "  %s  %s\n", visible.Text(st.Camera), visible.Text(st.Source))
	}
	return nil
}

// AddCamera stores the cameras that are there at the start.
func (c *console) AddCamera(cam schema.Camera) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.mu.greeted {
		c.mu.cameras = append(c.mu.cameras, cam)
	}
	return nil
}

// Events prints a line for each event that starts or ends.
func (c *console) Events(seen events.Observation) []events.Event {
	for _, ev := range seen.Events {
		if ev.Type == events.Update {
			continue
		}
		voice := ev.Voice
		if voice != "" {
			voice = "  " + voice
		}
		if ev.SeenAs != "" {
			voice += "  (seen as " + visible.Text(ev.SeenAs) + ")"
		}
		category := ""
		if ev.Category != events.Strange {
			category = " " + string(ev.Category) + " "
		}
		fmt.Fprintf(c.out, "%s  %-10s event %-5s %s peak %.1f%s  area %.2f %%  at %.0f%%,%.0f%%  %s\n",
			ev.Time.Format("15:04:05.000"), ev.Camera, ev.Type, category, ev.Peak, voice, 100*ev.Area,
			100*(ev.Box.X+ev.Box.Width/2), 100*(ev.Box.Y+ev.Box.Height/2), ev.ID)
	}
	return seen.Events
}

// Run only waits for ctx: the other methods print.
func (c *console) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

func (c *console) RemoveCamera(string) error { return nil }
func (c *console) StatusChanged()            {}
func (c *console) Frame(f *ingest.Frame)     { f.Release() }
func (c *console) Map(*detector.Map)         {}
func (c *console) FramesHeld() int           { return 0 }
