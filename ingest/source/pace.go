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
func (p *pacer) wait(ctx context.Context, pts time.Duration) time.Time {
	const late = 500 * time.Millisecond // a file that is later than this goes on from here instead of catching up
	now := time.Now()
	if p.start.IsZero() || now.Sub(p.start) > pts+late {
		p.start = now.Add(-pts)
	}
	timer := time.NewTimer(p.start.Add(pts).Sub(now))
	defer timer.Stop()
	select {
	case <-timer.C:
		return time.Now()
	case <-ctx.Done():
		return time.Time{}
	}
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
