package watch

import (
	"context"
	"fmt"
	"strings"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/lipgloss"

	"github.com/oodcast/oodcast/publish/schema"
	"github.com/oodcast/oodcast/publish/visible"
)

// view draws a Watcher four times a second and turns keys into control requests.
type view struct {
	w             *Watcher
	selected      string // name of the camera that the keys act on
	width, height int
	now           time.Time
	styles        styles
}

type styles struct{ bold, dim, alarm, calm lipgloss.Style }

func newView(w *Watcher) view {
	return view{w: w, now: time.Now(), width: 100, height: 30, styles: styles{
		bold: lipgloss.NewStyle().Bold(true), dim: lipgloss.NewStyle().Faint(true),
		alarm: lipgloss.NewStyle().Foreground(lipgloss.Color("9")), calm: lipgloss.NewStyle().Foreground(lipgloss.Color("10")),
	}}
}

type tick time.Time

func nextTick() tea.Cmd {
	return tea.Tick(time.Second/4, func(t time.Time) tea.Msg { return tick(t) })
}

// Init starts the clock.
func (v view) Init() tea.Cmd { return nextTick() }

// Update handles ticks of the clock, changes of the terminal size, and keys.
func (v view) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tick:
		v.now = time.Time(msg)
		return v, nextTick()
	case tea.WindowSizeMsg:
		v.width, v.height = msg.Width, msg.Height
	case tea.KeyMsg:
		return v.key(msg.String())
	}
	return v, nil
}

func (v view) key(key string) (tea.Model, tea.Cmd) {
	cameras := v.w.snapshot()
	at := v.index(cameras)
	switch key {
	case "q", "ctrl+c", "esc":
		return v, tea.Quit
	case "up", "k":
		at--
	case "down", "j", "tab":
		at++
	}
	if len(cameras) == 0 {
		return v, nil
	}
	at = (at + len(cameras)) % len(cameras)
	v.selected = cameras[at].status.Camera
	if u, ok := updateForKey(cameras[at], key); ok {
		return v, v.w.set(v.selected, u)
	}
	return v, nil
}

// index returns the index of the selected camera in the list.
func (v view) index(cameras []camera) int {
	for i, c := range cameras {
		if c.status.Camera == v.selected {
			return i
		}
	}
	return 0
}

// updateForKey returns the control request of a key.
func updateForKey(c camera, key string) (u schema.Update, ok bool) {
	steps, threshold, paused := schema.Timesteps{N: len(c.last.Timesteps)}, c.threshold(), !c.status.Paused
	switch key {
	case "left", "h", "-":
		steps.N = max(1, steps.N-1)
		u.Timesteps = &steps
	case "right", "l", "+", "=":
		if steps.N++; c.status.TimestepsOffered > 0 {
			steps.N = min(steps.N, c.status.TimestepsOffered)
		}
		u.Timesteps = &steps
	case "a":
		steps = schema.Timesteps{Auto: true}
		u.Timesteps = &steps
	case "[":
		threshold -= 0.25
		u.Threshold = &threshold
	case "]":
		threshold += 0.25
		u.Threshold = &threshold
	case " ", "p":
		u.Paused = &paused
	default:
		return u, false
	}
	return u, true
}

// set sends a control request and shows the answer.
func (w *Watcher) set(camera string, u schema.Update) tea.Cmd {
	return func() tea.Msg {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		st, err := w.client.Set(ctx, camera, u)
		if err != nil {
			w.setNote(err.Error())
			return nil
		}
		w.setNote("")
		w.status(st)
		return nil
	}
}

// View draws the whole view.
func (v view) View() string {
	cameras := v.w.snapshot()
	events, note := v.w.recent()
	var b strings.Builder
	where := visible.Text(v.w.url())
	if where == "" {
		where = v.styles.alarm.Render("NATS is disconnected, trying again")
	}
	fmt.Fprintf(&b, "%s  %s  %s\n\n", v.styles.bold.Render("oodcast watch"), where, v.now.Format("15:04:05"))
	if len(cameras) == 0 {
		b.WriteString(v.styles.dim.Render("no cameras yet") + "\n")
	}
	rows := v.height - 6 - 3*len(cameras) // left for events
	for i, c := range cameras {
		b.WriteString(v.camera(c, i == v.index(cameras)))
	}
	if rows > 1 {
		b.WriteString("\n" + v.styles.bold.Render("events") + "\n")
		for _, e := range events[:min(len(events), rows-1)] {
			line := eventLine(e)
			if e.Type == "end" {
				line = v.styles.dim.Render(line)
			}
			b.WriteString(line + "\n")
		}
	}
	b.WriteString("\n")
	if note != "" {
		b.WriteString(v.styles.alarm.Render(note) + "\n")
	}
	b.WriteString(v.styles.dim.Render("↑↓ camera   ←→ |T|   a auto   [ ] threshold   space pause   q quit"))
	return lipgloss.NewStyle().MaxWidth(v.width).Render(b.String())
}

// camera draws a camera: a line of figures and a line of history.
func (v view) camera(c camera, selected bool) string {
	mark := "  "
	if selected {
		mark = v.styles.bold.Render("▸ ")
	}
	state := c.state(v.now)
	style := v.styles.calm
	if state != schema.StateLive {
		style = v.styles.alarm
	}
	l := c.last.LatencyMS
	figures := fmt.Sprintf("%4.1f maps/s  |T|=%d%s of %d  %.0f ms (wait %.0f, encode %.0f, score %.0f)  threshold %.2f",
		c.rate(v.now), len(c.last.Timesteps), c.auto(), c.status.TimestepsOffered, l.Total, l.Wait, l.Encode, l.Score, c.threshold())
	peak := fmt.Sprintf("peak %5.1f", c.last.Peak)
	if c.last.Peak > c.threshold() && state == schema.StateLive {
		peak = v.styles.alarm.Render(peak)
	}
	head := fmt.Sprintf("%s%s  %s  %s\n", mark, v.styles.bold.Render(fmt.Sprintf("%-12s", visible.Text(c.status.Camera))),
		style.Render(fmt.Sprintf("%-10s", state)), figures)
	if reason := visible.Text(c.status.Reason); reason != "" && state != schema.StateLive {
		head += "  " + v.styles.alarm.Render(reason) + "\n"
	}
	c.advance(v.now)
	return head + "  " + v.sparkline(c.peaks, c.threshold()) + "  " + peak + "\n"
}

// sparkline draws peaks as bars: the threshold is at five eighths of the height, and peaks above it are red.
func (v view) sparkline(peaks []float32, threshold float32) string {
	const bars = "▁▂▃▄▅▆▇█"
	var b strings.Builder
	b.WriteString(strings.Repeat(" ", bins-len(peaks)))
	for _, p := range peaks {
		at := 0
		if threshold > 0 && p > 0 {
			at = min(7, int(p/threshold*5))
		}
		bar := string([]rune(bars)[at])
		if p > threshold {
			bar = v.styles.alarm.Render(bar)
		}
		b.WriteString(bar)
	}
	return b.String()
}
