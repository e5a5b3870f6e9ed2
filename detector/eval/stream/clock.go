package stream

import (
	"time"

	"github.com/oodcast/oodcast/detector"
)

// shot is a frame on its way through the scorer, with its map.
type shot struct {
	frame int
	shown time.Duration // when the frame was shown
	took  time.Duration // how long scoring takes
	done  time.Duration // when the map is done
	m     *detector.Map
}

// clock is a scorer in simulated time. It starts on a frame as soon as it is free; while it is busy, the newest frame
// replaces the waiting one.
type clock struct {
	busy, waiting *shot
	newest        *shot       // newest map that is done
	finish        func(*shot) // called for every map when it is done, in order
}

// show takes the next frame and returns the newest map that is done when the frame is shown, or nil before the first. The
// map of a frame whose scoring takes no time is done at once.
func (c *clock) show(s *shot) *shot {
	for c.busy != nil && c.busy.done < s.shown {
		c.next()
	}
	// A scorer that becomes free at this very moment takes the new frame.
	c.waiting = s
	if c.busy == nil {
		c.begin(s.shown)
	}
	for c.busy != nil && c.busy.done <= s.shown {
		c.next()
	}
	return c.newest
}

// end lets the scorer finish its frames.
func (c *clock) end() {
	for c.busy != nil {
		c.next()
	}
}

// next finishes the current frame and starts on the waiting one.
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
