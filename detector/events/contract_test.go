package events

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/oodcast/oodcast/detector"
)

// history is the state of one event after the messages so far.
type history struct {
	last  Event
	ended bool
}

// contract checks, message by message, the promises that subscribers rely on.
type contract struct {
	t         *testing.T
	histories map[string]*history // by event ID
	ends      []Event
	coolDown  time.Duration
}

func (c *contract) check(e Event) {
	c.t.Helper()
	s := c.histories[e.ID]
	switch {
	case e.ID == "":
		c.t.Fatalf("an event has no ID: %+v", e)
	case s == nil:
		if e.Type != Start || e.Revision != 1 {
			c.t.Fatalf("the first message of %s is %s, revision %d", e.ID, e.Type, e.Revision)
		}
		c.checkCoolDown(e)
		s = &history{last: e}
		c.histories[e.ID] = s
		return
	case s.ended:
		c.t.Fatalf("%s goes on after its end: %s, revision %d", e.ID, e.Type, e.Revision)
	case e.Type == Start:
		c.t.Fatalf("%s starts twice", e.ID)
	}
	old := s.last
	if e.Revision != old.Revision+1 || e.Duration < old.Duration || e.Peak < old.Peak || e.Time.Before(old.Time) ||
		!e.Start.Equal(old.Start) {
		c.t.Fatalf("%s: revision %d, duration %v, peak %v, time %v after %d, %v, %v, %v", e.ID, e.Revision, e.Duration, e.Peak,
			e.Time, old.Revision, old.Duration, old.Peak, old.Time)
	}
	if e.Type == End {
		if e.Reason == "" || (e.Into != "") != (e.Reason == EndMerged) || e.Into == e.ID {
			c.t.Fatalf("%s ends with reason %q, merged into %q", e.ID, e.Reason, e.Into)
		}
		s.ended = true
		c.ends = append(c.ends, e)
	}
	s.last = e
}

// checkCoolDown checks that an event does not start during the cool-down in a place where another one ended, that is, with
// its whole box within the other's.
func (c *contract) checkCoolDown(e Event) {
	for _, end := range c.ends {
		b, o := e.Box, end.Box
		if e.Time.Sub(end.Time) < c.coolDown && end.Reason != EndStream &&
			b.X >= o.X && b.Y >= o.Y && b.X+b.Width <= o.X+o.Width && b.Y+b.Height <= o.Y+o.Height && !c.hasFragments(end) {
			c.t.Fatalf("%s starts %v after %s ended there, the cool-down is %v", e.ID, e.Time.Sub(end.Time), end.ID, c.coolDown)
		}
	}
}

// hasFragments reports whether an event's last box also spanned fragments. Then only its own region cools down, not the box.
func (c *contract) hasFragments(end Event) bool {
	x0, x1, y0, y1 := 1.0, 0.0, 1.0, 0.0
	for _, p := range end.Polygon {
		x0, x1, y0, y1 = min(x0, p[0]), max(x1, p[0]), min(y0, p[1]), max(y1, p[1])
	}
	return x1-x0 < end.Box.Width-1e-3 || y1-y0 < end.Box.Height-1e-3
}

// drive decodes a script into maps with up to three rectangles of different values, at uneven times, now and then on another
// grid. It feeds them to a tracker, checks all messages, and returns the number of events.
func (c *contract) drive(cfg Config, script []byte) int {
	c.histories, c.coolDown = map[string]*history{}, cfg.CoolDown
	tr, now, w, h := NewTracker(cfg), time.Unix(1000, 0), 40, 20
	next := func() int {
		if len(script) == 0 {
			return 0
		}
		b := script[0]
		script = script[1:]
		return int(b)
	}
	for len(script) > 0 {
		head := next()
		now = now.Add(time.Duration(1+head>>4) * 40 * time.Millisecond)
		if head&0x0f == 15 {
			w, h = 24+head>>4, 12+head>>5
			c.ends = nil // positions are only approximate after a change of the grid
		}
		m := &detector.Map{Camera: "yard", Captured: now, Width: w, Height: h, Values: make([]float32, w*h), Threshold: 4}
		for range head & 0x03 {
			x, y, side := next()*w/256, next()*h/256, next()
			for dy := range min(1+side>>4, h-y) {
				for dx := range min(1+side&15, w-x) {
					m.Values[(y+dy)*w+x+dx] = 3 + float32(side%5)
				}
			}
		}
		for _, e := range tr.Update(m) {
			c.check(e)
		}
		for _, e := range tr.Open() {
			if s := c.histories[e.ID]; s == nil || s.ended {
				c.t.Fatalf("%s is open but was not reported or has ended", e.ID)
			}
		}
	}
	for _, e := range tr.End(now, EndStream) {
		c.check(e)
	}
	for id, s := range c.histories {
		if !s.ended {
			c.t.Fatalf("%s never ends", id)
		}
	}
	return len(c.histories)
}

// contractConfig is a configuration under which events are frequent.
func contractConfig() Config {
	return Config{
		Exit: 0.8, MinArea: 0.002, MinDuration: 100 * time.Millisecond, Hold: 400 * time.Millisecond, CoolDown: 2 * time.Second,
		UpdateEvery: 200 * time.Millisecond,
	}
}

// walk returns a script in which rectangles move in small random steps, so that they last, merge and separate.
func walk(random *rand.Rand, maps int) (script []byte) {
	at := make([][3]byte, 3)
	for i := range at {
		at[i] = [3]byte{byte(random.IntN(200)), byte(random.IntN(200)), byte(random.IntN(256))}
	}
	for range maps {
		head := byte(random.IntN(256))
		if random.IntN(40) > 0 {
			head &^= 0x0c // keep the grid most of the time
		}
		script = append(script, head)
		for i := range head & 3 {
			at[i][0] += byte(random.IntN(25)) - 12
			at[i][1] += byte(random.IntN(25)) - 12
			script = append(script, at[i][:]...)
		}
		if random.IntN(30) == 0 {
			i := random.IntN(len(at))
			at[i][2] = byte(random.IntN(256))
			slices.Reverse(at)
		}
	}
	return script
}

func TestTrackerKeepsItsContract(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 9))
	events := 0
	for range 400 {
		c := &contract{t: t}
		events += c.drive(contractConfig(), walk(random, 300))
	}
	t.Logf("%d events", events)
	if events < 1000 {
		t.Errorf("%d events, want at least 1000", events)
	}
}

func FuzzTracker(f *testing.F) {
	random := rand.New(rand.NewPCG(4, 9))
	for range 5 {
		f.Add(walk(random, 60))
	}
	f.Fuzz(func(t *testing.T, script []byte) {
		c := &contract{t: t}
		c.drive(contractConfig(), script)
	})
}
