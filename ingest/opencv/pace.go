package opencv

import (
	"context"
	"time"
)

// pacer plays a file at its own speed.
type pacer struct {
	start time.Time // when stream time 0 is due
}

// wait waits until stream time pts is due and returns the time then; the zero time when ctx was done first.
func (p *pacer) wait(ctx context.Context, pts time.Duration) time.Time {
	const late = 500 * time.Millisecond // behind by more than this the file goes on from here instead of catching up
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

// limiter lets frames pass at no more than one an interval on average. The zero limiter lets all pass.
type limiter struct {
	interval, next time.Duration // next: stream time at which the next frame is welcome
}

// allow reports whether the frame at stream time pts passes. Frames come with jitter: a little early is on
// time, or a limit of exactly the camera's rate would lose every other frame.
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
