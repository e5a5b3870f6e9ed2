package watch

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/oodcast/oodcast/publish/client"
	"github.com/oodcast/oodcast/publish/schema"
	"github.com/oodcast/oodcast/publish/visible"
)

// The view keeps half a minute of peaks, a few seconds of arrival times, and some events.
const (
	binLength  = time.Second / 2
	bins       = 60
	rateWindow = 5 * time.Second
	maxEvents  = 50
	silence    = 5 * time.Second // after this time without maps, a live camera is shown as silent
)

// Watcher collects the messages on NATS. It is safe for concurrent use.
type Watcher struct {
	client     *client.Client
	url        func() string // address of the server; "" while disconnected
	eventLines chan string   // for output without a terminal

	mu    sync.Mutex
	state struct {
		cameras map[string]*camera
		events  []schema.Event // newest first
		note    string
	}
}

// camera is the state of one camera.
type camera struct {
	status   schema.Status
	last     schema.Score
	received time.Time // time at which last arrived
	peaks    []float32 // highest peak of each bin of binLength, newest last
	bin      time.Time // start of the newest bin
	counted  bool      // a map arrived in the newest bin
	arrived  []time.Time
}

func (w *Watcher) camera(name string) *camera {
	c := w.state.cameras[name]
	if c == nil {
		c = &camera{status: schema.Status{Camera: name}}
		w.state.cameras[name] = c
	}
	return c
}

func (w *Watcher) status(st schema.Status) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.camera(st.Camera).status = st
}

func (w *Watcher) score(s schema.Score) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.camera(s.Camera).addScore(s, time.Now())
}

func (w *Watcher) event(e schema.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	at := slices.IndexFunc(w.state.events, func(o schema.Event) bool { return o.ID == e.ID })
	if at >= 0 {
		w.state.events[at] = e
	} else {
		w.state.events = slices.Insert(w.state.events, 0, e)
		w.state.events = w.state.events[:min(len(w.state.events), maxEvents)]
	}
	if e.Type != "update" {
		select {
		case w.eventLines <- eventLine(e):
		default: // lines are not read while the view is shown
		}
	}
}

// setNote shows a note below the view.
func (w *Watcher) setNote(text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.state.note = visible.Text(strings.ReplaceAll(text, "\n", "; "))
}

// snapshot returns copies of all cameras, by name.
func (w *Watcher) snapshot() []camera {
	w.mu.Lock()
	defer w.mu.Unlock()
	list := make([]camera, 0, len(w.state.cameras))
	for _, c := range w.state.cameras {
		copied := *c
		copied.peaks, copied.arrived = slices.Clone(c.peaks), slices.Clone(c.arrived)
		list = append(list, copied)
	}
	slices.SortFunc(list, func(a, b camera) int { return strings.Compare(a.status.Camera, b.status.Camera) })
	return list
}

func (w *Watcher) recent() (events []schema.Event, note string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.state.events), w.state.note
}

// addScore adds a score that arrived now.
func (c *camera) addScore(s schema.Score, now time.Time) {
	c.advance(now)
	if n := len(c.peaks) - 1; !c.counted || c.peaks[n] < s.Peak {
		c.peaks[n] = s.Peak
	}
	c.last, c.received, c.counted = s, now, true
	c.arrived = append(c.arrived, now)
	for len(c.arrived) > 0 && now.Sub(c.arrived[0]) > rateWindow {
		c.arrived = c.arrived[1:]
	}
}

// advance starts the bins up to now. A bin without a map repeats the peak of the newest map, until that is too old.
func (c *camera) advance(now time.Time) {
	if c.bin.IsZero() || now.Sub(c.bin) > bins*binLength {
		c.peaks, c.bin, c.counted = []float32{0}, now, false
	}
	for now.Sub(c.bin) >= binLength {
		c.bin, c.counted = c.bin.Add(binLength), false
		peak := c.last.Peak
		if c.bin.Sub(c.received) > silence {
			peak = 0
		}
		c.peaks = append(c.peaks, peak)
	}
	c.peaks = c.peaks[max(0, len(c.peaks)-bins):]
}

// rate returns the number of maps per second that arrived recently.
func (c *camera) rate(now time.Time) float64 {
	n := 0
	for _, at := range c.arrived {
		if now.Sub(at) <= rateWindow {
			n++
		}
	}
	return float64(n) / rateWindow.Seconds()
}

// threshold returns the threshold in force, from the newer one of status and map.
func (c *camera) threshold() float32 {
	if c.last.Captured.After(c.status.Time) || c.status.Threshold == 0 {
		return c.last.Threshold
	}
	return c.status.Threshold
}

func (c *camera) auto() string {
	if c.status.Timesteps.Auto {
		return " auto"
	}
	return ""
}

// state returns the camera's own state, or "silent" if it is live but sends no maps.
func (c *camera) state(now time.Time) string {
	silent := now.Sub(c.received) > silence
	switch {
	case c.status.State == "" && silent:
		return "silent"
	case c.status.State == "":
		return schema.StateLive
	case c.status.State == schema.StateLive && silent:
		return "silent"
	}
	return visible.Text(c.status.State)
}

func eventLine(e schema.Event) string {
	return fmt.Sprintf("%s  %-10s event %-6s peak %5.1f  area %5.2f %%  %5.1f s  at %.0f%%,%.0f%%  %s",
		e.Time.Local().Format("15:04:05"), visible.Text(e.Camera), visible.Text(e.Type), e.Peak, 100*e.Area, float64(e.DurationMS)/1000,
		100*(e.Box.X+e.Box.Width/2), 100*(e.Box.Y+e.Box.Height/2), visible.Text(e.ID))
}
