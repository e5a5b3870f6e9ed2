package main

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/oodcast/oodcast/publish/client"
	"github.com/oodcast/oodcast/publish/schema"
)

// What the view remembers: half a minute of peaks, a few seconds of arrivals, some events.
const (
	watchBin     = time.Second / 2
	watchBins    = 60
	watchRate    = 5 * time.Second
	watchEvents  = 50
	watchSilence = 5 * time.Second // a live camera without maps for so long is shown as silent
)

// watcher collects what is on NATS. It is safe for concurrent use.
type watcher struct {
	client *client.Client
	url    func() string // of the server; "" while away
	news   chan string   // lines about events, when there is no terminal

	mu    sync.Mutex
	state struct {
		cameras map[string]*watched
		events  []schema.Event // newest first
		note    string
	}
}

// watched is one camera.
type watched struct {
	status  schema.Status
	last    schema.Score
	heard   time.Time // when last came
	peaks   []float32 // the highest of each watchBin, newest last
	bin     time.Time // begin of the newest
	counted bool      // a map came in the newest
	arrived []time.Time
}

func (w *watcher) camera(name string) *watched {
	c := w.state.cameras[name]
	if c == nil {
		c = &watched{status: schema.Status{Camera: name}}
		w.state.cameras[name] = c
	}
	return c
}

func (w *watcher) status(st schema.Status) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.camera(st.Camera).status = st
}

func (w *watcher) score(s schema.Score) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.camera(s.Camera).take(s, time.Now())
}

func (w *watcher) event(e schema.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	at := slices.IndexFunc(w.state.events, func(o schema.Event) bool { return o.ID == e.ID })
	if at >= 0 {
		w.state.events[at] = e
	} else {
		w.state.events = slices.Insert(w.state.events, 0, e)
		w.state.events = w.state.events[:min(len(w.state.events), watchEvents)]
	}
	if e.Type != "update" {
		select {
		case w.news <- eventLine(e):
		default: // nobody reads lines while the view is on
		}
	}
}

// say shows a note below the view.
func (w *watcher) say(text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.state.note = strings.ReplaceAll(text, "\n", "; ")
}

// snapshot returns copies, by name.
func (w *watcher) snapshot() []watched {
	w.mu.Lock()
	defer w.mu.Unlock()
	list := make([]watched, 0, len(w.state.cameras))
	for _, c := range w.state.cameras {
		cp := *c
		cp.peaks, cp.arrived = slices.Clone(c.peaks), slices.Clone(c.arrived)
		list = append(list, cp)
	}
	slices.SortFunc(list, func(a, b watched) int { return strings.Compare(a.status.Camera, b.status.Camera) })
	return list
}

func (w *watcher) recent() (events []schema.Event, note string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.state.events), w.state.note
}

// take notes a score that came now.
func (c *watched) take(s schema.Score, now time.Time) {
	c.advance(now)
	if n := len(c.peaks) - 1; !c.counted || c.peaks[n] < s.Peak {
		c.peaks[n] = s.Peak
	}
	c.last, c.heard, c.counted = s, now, true
	c.arrived = append(c.arrived, now)
	for len(c.arrived) > 0 && now.Sub(c.arrived[0]) > watchRate {
		c.arrived = c.arrived[1:]
	}
}

// advance begins bins up to now. One in which nothing comes has the peak of the newest map, until that is too old.
func (c *watched) advance(now time.Time) {
	if c.bin.IsZero() || now.Sub(c.bin) > watchBins*watchBin {
		c.peaks, c.bin, c.counted = []float32{0}, now, false
	}
	for now.Sub(c.bin) >= watchBin {
		c.bin, c.counted = c.bin.Add(watchBin), false
		peak := c.last.Peak
		if c.bin.Sub(c.heard) > watchSilence {
			peak = 0
		}
		c.peaks = append(c.peaks, peak)
	}
	c.peaks = c.peaks[max(0, len(c.peaks)-watchBins):]
}

// rate is how many maps a second came lately.
func (c *watched) rate(now time.Time) float64 {
	n := 0
	for _, at := range c.arrived {
		if now.Sub(at) <= watchRate {
			n++
		}
	}
	return float64(n) / watchRate.Seconds()
}

// threshold is the one in force: the newest of status and map.
func (c *watched) threshold() float32 {
	if c.last.Captured.After(c.status.Time) || c.status.Threshold == 0 {
		return c.last.Threshold
	}
	return c.status.Threshold
}

func (c *watched) auto() string {
	if c.status.Timesteps.Auto {
		return " auto"
	}
	return ""
}

// state is what the camera says of itself, unless it says nothing.
func (c *watched) state(now time.Time) string {
	quiet := now.Sub(c.heard) > watchSilence
	switch {
	case c.status.State == "" && quiet:
		return "silent"
	case c.status.State == "":
		return schema.StateLive
	case c.status.State == schema.StateLive && quiet:
		return "silent"
	}
	return c.status.State
}

func eventLine(e schema.Event) string {
	return fmt.Sprintf("%s  %-10s event %-6s peak %5.1f  area %5.2f %%  %5.1f s  at %.0f%%,%.0f%%  %s",
		e.Time.Local().Format("15:04:05"), e.Camera, e.Type, e.Peak, 100*e.Area, float64(e.DurationMS)/1000,
		100*(e.Box.X+e.Box.Width/2), 100*(e.Box.Y+e.Box.Height/2), e.ID)
}
