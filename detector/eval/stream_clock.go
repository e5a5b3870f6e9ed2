package eval

import (
	"time"

	"github.com/oodcast/oodcast/detector"
)

// shot is a frame on its way through the scorer.
type shot struct {
	frame int
	shown time.Duration // when the frame was shown
	took  time.Duration // how long its map takes
	done  time.Duration // when the map is there
	m     *detector.Map
}

// clock is one scorer in simulated time: it takes up a frame as soon as it is free, and while it is busy the newest frame
// replaces the one that waits.
type clock struct {
	busy, waiting *shot
	newest        *shot       // the map that is there
	finish        func(*shot) // called for every map that gets done, in order
}

// show brings the next frame and returns the newest map that is done when it is shown; nil: none yet. The map of a frame
// whose scoring takes no time is there at once.
func (c *clock) show(s *shot) *shot {
	for c.busy != nil && c.busy.done < s.shown {
		c.next()
	}
	// What gets done in this very moment finds the new frame waiting.
	c.waiting = s
	if c.busy == nil {
		c.begin(s.shown)
	}
	for c.busy != nil && c.busy.done <= s.shown {
		c.next()
	}
	return c.newest
}

// end lets the scorer finish what it has.
func (c *clock) end() {
	for c.busy != nil {
		c.next()
	}
}

// next finishes the frame in work and takes up the one that waits.
func (c *clock) next() {
	done := c.busy
	c.newest, c.busy = done, nil
	c.finish(done)
	c.begin(done.done)
}

func (c *clock) begin(now time.Duration) {
	if c.waiting != nil {
		c.busy, c.waiting = c.waiting, nil
		c.busy.done = now + c.busy.took
	}
}
