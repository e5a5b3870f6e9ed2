package events

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/oodcast/oodcast/detector"
)

// story is what has been said about one event.
type story struct {
	last  Event
	ended bool
}

// contract checks what subscribers rely on, message by message.
type contract struct {
	t       *testing.T
	stories map[string]*story
	ends    []Event
	cool    time.Duration
}

func (c *contract) hear(e Event) {
	c.t.Helper()
	s := c.stories[e.ID]
	switch {
	case e.ID == "":
		c.t.Fatalf("an event without an id: %+v", e)
	case s == nil:
		if e.Type != Start || e.Revision != 1 {
			c.t.Fatalf("the first message of %s is %s, revision %d", e.ID, e.Type, e.Revision)
		}
		c.cooled(e)
		s = &story{last: e}
		c.stories[e.ID] = s
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
			c.t.Fatalf("%s ends for reason %q into %q", e.ID, e.Reason, e.Into)
		}
		s.ended = true
		c.ends = append(c.ends, e)
	}
	s.last = e
}

// cooled checks that nothing has ended lately where an event starts: all of it within the box that ended.
func (c *contract) cooled(e Event) {
	for _, end := range c.ends {
		b, o := e.Box, end.Box
		if e.Time.Sub(end.Time) < c.cool && end.Reason != EndStream &&
			b.X >= o.X && b.Y >= o.Y && b.X+b.Width <= o.X+o.Width && b.Y+b.Height <= o.Y+o.Height && !c.parts(end) {
			c.t.Fatalf("%s starts %v after %s ended there, the cool-down is %v", e.ID, e.Time.Sub(end.Time), end.ID, c.cool)
		}
	}
}

// parts says whether an event's last box spanned parts that broke off: then the place is that of its own region.
func (c *contract) parts(end Event) bool {
	x0, x1, y0, y1 := 1.0, 0.0, 1.0, 0.0
	for _, p := range end.Polygon {
		x0, x1, y0, y1 = min(x0, p[0]), max(x1, p[0]), min(y0, p[1]), max(y1, p[1])
	}
	return x1-x0 < end.Box.Width-1e-3 || y1-y0 < end.Box.Height-1e-3
}

// drive feeds a tracker with what the bytes say: maps with up to four rectangles of different values, at uneven times,
// now and then on another grid, and checks all that is said. It returns the number of events.
func (c *contract) drive(cfg Config, script []byte) int {
	c.stories, c.cool = map[string]*story{}, cfg.CoolDown
	tr, now, w, h := NewTracker(cfg), time.Unix(1000, 0), 40, 20
	take := func() int {
		if len(script) == 0 {
			return 0
		}
		b := script[0]
		script = script[1:]
		return int(b)
	}
	for len(script) > 0 {
		head := take()
		now = now.Add(time.Duration(1+head>>4) * 40 * time.Millisecond)
		if head&0x0f == 15 {
			w, h = 24+head>>4, 12+head>>5
			c.ends = nil // places on another grid are others, roughly
		}
		m := &detector.Map{Camera: "yard", Captured: now, Width: w, Height: h, Values: make([]float32, w*h), Threshold: 4}
		for range head & 0x03 {
			x, y, side := take()*w/256, take()*h/256, take()
			for dy := range min(1+side>>4, h-y) {
				for dx := range min(1+side&15, w-x) {
					m.Values[(y+dy)*w+x+dx] = 3 + float32(side%5)
				}
			}
		}
		for _, e := range tr.Update(m) {
			c.hear(e)
		}
		for _, e := range tr.Open() {
			if s := c.stories[e.ID]; s == nil || s.ended {
				c.t.Fatalf("%s is open and was not told, or ended", e.ID)
			}
		}
	}
	for _, e := range tr.End(now, EndStream) {
		c.hear(e)
	}
	for id, s := range c.stories {
		if !s.ended {
			c.t.Fatalf("%s has no end", id)
		}
	}
	return len(c.stories)
}

// contractConfig is one under which much happens.
func contractConfig() Config {
	return Config{
		Exit: 0.8, MinArea: 0.002, MinDuration: 100 * time.Millisecond, Hold: 400 * time.Millisecond, CoolDown: 2 * time.Second,
		UpdateEvery: 200 * time.Millisecond,
	}
}

// walk writes a script in which rectangles stay where they are, more or less, so that they live, meet and part.
func walk(random *rand.Rand, maps int) (script []byte) {
	at := make([][3]byte, 3)
	for i := range at {
		at[i] = [3]byte{byte(random.IntN(200)), byte(random.IntN(200)), byte(random.IntN(256))}
	}
	for range maps {
		head := byte(random.IntN(256))
		if random.IntN(40) > 0 {
			head &^= 0x0c // seldom another grid
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
		t.Errorf("%d events, want sequences in which something happens", events)
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
