package source

import (
	"context"
	"time"
)

// pacer plays a file at its own speed.
type pacer struct {
	start time.Time // when the picture at stream time 0 is due
}

// wait waits until the picture at stream time pts is due and returns the time then, or the zero time when ctx is done first.
// step is the usual time between two pictures.
func (p *pacer) wait(ctx context.Context, pts, step time.Duration) time.Time {
	now := time.Now()
	pause := p.pause(now, pts, step)
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return time.Now()
	case <-ctx.Done():
		return time.Time{}
	}
}

// pause is how long after now the picture at stream time pts is due. A file that is late goes on from here instead of catching
// up. So does a file whose time jumps ahead, as in a recording that was put together: it waits for no longer than one step.
func (p *pacer) pause(now time.Time, pts, step time.Duration) time.Duration {
	const late, early = 500 * time.Millisecond, 2 * time.Second
	switch ahead := pts - now.Sub(p.start); {
	case p.start.IsZero(), ahead < -late:
		p.start = now.Add(-pts)
	case ahead > max(early, 2*step):
		p.start = now.Add(step - pts)
	}
	return p.start.Add(pts).Sub(now)
}

// limiter lets at most one frame per interval pass on average. The zero limiter lets all frames pass.
type limiter struct {
	interval time.Duration
	next     time.Duration // stream time from which on the next frame may pass
}

// allow reports whether the frame at stream time pts passes. Frames come with jitter, so a frame that is a little early
// passes too: otherwise a limit of exactly the camera's rate would drop every other frame.
func (l *limiter) allow(pts time.Duration) bool {
	if l.interval == 0 {
		return true
	}
	const jitter = 25 * time.Millisecond
	if pts < l.next-min(l.interval/4, jitter) {
		return false
	}
	l.next += l.interval
	if l.next <= pts {
		l.next = pts + l.interval
	}
	return true
}
