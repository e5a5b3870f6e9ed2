package opencv

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
	"time"

	"gocv.io/x/gocv"

	"github.com/oodcast/oodcast/ingest"
)

// capture is one opening of a stream: the goroutine that runs it owns the reader and its memory.
type capture struct {
	src    *source
	reader reader
	frames chan *ingest.Frame
	ended  chan struct{} // closed when run has returned; err is final then
	err    error

	call struct { // the C call that is under way
		sync.Mutex
		opening   bool
		since     time.Time // zero: none
		abandoned bool
	}
	pace  pacer
	limit limiter
	got   uint64        // frames read by this capture
	base  time.Duration // stream time at which this round of the file began
}

func newCapture(s *source, r reader) *capture {
	c := &capture{
		src: s, reader: r,
		frames: make(chan *ingest.Frame), ended: make(chan struct{}),
	}
	if s.cfg.MaxFPS > 0 {
		c.limit.interval = time.Duration(float64(time.Second) / s.cfg.MaxFPS)
	}
	if s.opens.Load() > 0 && !s.uri.Live() {
		c.base = s.pts + s.interval(0)
	}
	return c
}

// run opens, reads and closes, until ctx is done.
func (c *capture) run(ctx context.Context) {
	// C's allocator keeps an arena for each thread: a decoder that wandered would leave pictures in all of them. The thread
	// ends with the goroutine.
	runtime.LockOSThread()
	defer func() {
		c.call.Lock()
		defer c.call.Unlock()
		if c.call.abandoned {
			c.src.hanging.Add(-1)
		}
		close(c.ended)
	}()
	if err := c.readAll(ctx); ctx.Err() == nil { // or it is about having been stopped
		c.err = err
	}
}

// readAll opens and reads to the end.
func (c *capture) readAll(ctx context.Context) error {
	defer c.reader.close()
	if err := c.open(ctx); err != nil {
		return err
	}
	c.src.opens.Add(1)
	m, scratch := gocv.NewMat(), gocv.NewMat()
	defer m.Close()
	defer scratch.Close()
	for ctx.Err() == nil {
		err := c.timed(false, func() error { return c.reader.read(&m) })
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, io.EOF):
			if again, err := c.rewind(ctx); err != nil || !again {
				return err
			}
			continue
		case err != nil:
			return err
		}
		if err := c.pass(ctx, &m, &scratch); err != nil {
			return err
		}
	}
	return nil
}

func (c *capture) open(ctx context.Context) error {
	return c.timed(true, func() error { return c.reader.open(ctx) })
}

// pass stamps what was read and hands it on, unless it is dropped.
func (c *capture) pass(ctx context.Context, m, scratch *gocv.Mat) error {
	s, now := c.src, time.Now()
	seq := s.seq
	s.seq++
	s.read.Add(1)
	pts := c.stamp(now)
	c.got++
	if s.cfg.Realtime && !s.uri.Live() {
		if now = c.pace.wait(ctx, pts); now.IsZero() {
			return nil
		}
	}
	if !c.limit.allow(pts) {
		s.droppedRate.Add(1)
		return nil
	}
	picture, err := toRGBSource(m, scratch, s.cfg.Width, s.cfg.Height)
	if err != nil {
		return fmt.Errorf("read %q: %w", ingest.RedactURI(s.cfg.URI), err)
	}
	if err := s.pool.Fits(picture.Cols(), picture.Rows()); err != nil {
		if !s.uri.Live() {
			err = fmt.Errorf("%w: %w", ingest.ErrUnreadable, err) // trying again does not help
		}
		return fmt.Errorf("read %q: %w", ingest.RedactURI(s.cfg.URI), err)
	}
	f := c.frame(ctx, picture.Cols(), picture.Rows())
	if f == nil {
		return nil
	}
	if err := copyRGB(f.Pix, picture); err != nil {
		f.Release()
		return fmt.Errorf("read %q: %w", ingest.RedactURI(s.cfg.URI), err)
	}
	f.Camera, f.Seq, f.Captured, f.PTS = s.cfg.Name, seq, now, pts
	select {
	case c.frames <- f:
	case <-ctx.Done():
		f.Release()
	}
	return nil
}

// frame takes a frame from the pool. nil: there is none (counted), or the source is to stop.
func (c *capture) frame(ctx context.Context, width, height int) *ingest.Frame {
	if !c.src.wait {
		f := c.src.pool.TryGet(width, height)
		if f == nil {
			c.src.droppedPool.Add(1)
		}
		return f
	}
	f, err := c.src.pool.Get(ctx, width, height)
	if err != nil {
		return nil
	}
	return f
}

// stamp returns the stream time of the frame just read and remembers it.
func (c *capture) stamp(now time.Time) time.Duration {
	s := c.src
	if s.uri.Live() {
		if s.first.IsZero() {
			s.first = now
		}
		s.pts = now.Sub(s.first)
		return s.pts
	}
	pts, ok := c.reader.position()
	pts += c.base
	if step := s.interval(c.reader.fps()); !ok || s.seq > 1 && pts <= s.pts {
		pts = s.pts + step // no or no sensible time in the file
		if s.seq == 1 {
			pts = 0
		}
	}
	s.pts = pts
	return pts
}

// interval is the time from frame to frame at the given rate, or at the configured one when that is no sensible rate.
func (s *source) interval(fps float64) time.Duration {
	const fastest = 1000
	if !(fps > 0 && fps <= fastest) {
		fps = s.cfg.FPS
	}
	return time.Duration(float64(time.Second) / fps)
}

// rewind starts a file again, if that is wanted. A live stream has no end: it broke off.
func (c *capture) rewind(ctx context.Context) (again bool, err error) {
	s := c.src
	name := ingest.RedactURI(s.cfg.URI)
	switch {
	case s.uri.Live():
		return false, fmt.Errorf("read %q: %w", name, ingest.ErrDisconnected)
	case c.got == 0:
		return false, fmt.Errorf("open video %q: %w", name, ingest.ErrUnreadable)
	case !s.cfg.Loop:
		return false, nil
	}
	c.base = s.pts + s.interval(c.reader.fps())
	c.reader.close()
	return true, c.open(ctx)
}

// timed calls f and lets overdue know that it is under way.
func (c *capture) timed(opening bool, f func() error) error {
	c.mark(opening, time.Now())
	defer c.mark(opening, time.Time{})
	return f()
}

func (c *capture) mark(opening bool, since time.Time) {
	c.call.Lock()
	defer c.call.Unlock()
	c.call.opening, c.call.since = opening, since
}

// overdue returns what hangs and the limit that it passed, or 0.
func (c *capture) overdue() (what string, limit time.Duration) {
	c.call.Lock()
	defer c.call.Unlock()
	what, limit = "read", 2*c.src.cfg.ReadTimeout
	if c.call.opening {
		what, limit = "open", c.src.cfg.OpenTimeout
	}
	if c.call.since.IsZero() || time.Since(c.call.since) < limit {
		return "", 0
	}
	return what, limit
}

// abandon counts a capture that did not end in time. It cleans up by itself when its C call returns.
func (c *capture) abandon() {
	c.call.Lock()
	defer c.call.Unlock()
	select {
	case <-c.ended: // in this moment
	default:
		c.call.abandoned = true
		c.src.abandoned.Add(1)
		c.src.hanging.Add(1)
	}
}
