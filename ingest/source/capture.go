package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
	"time"

	"github.com/oodcast/oodcast/ingest"
)

// capture is one opening of a stream. The goroutine in run owns the reader and its memory.
type capture struct {
	src    *source
	reader reader
	live   bool // the stream has no end of its own
	frames chan *ingest.Frame
	ended  chan struct{} // closed when run has returned; err is final then
	err    error

	call struct { // the running call into C
		sync.Mutex
		opening   bool
		since     time.Time // zero: no call is running
		abandoned bool
	}
	pace  pacer
	limit limiter
	got   uint64 // pictures that this round of the file has yielded

	skipped uint64        // pictures that it has left out
	base    time.Duration // stream time at which this round of the file began
}

func newCapture(s *source, r reader) *capture {
	c := &capture{
		src: s, reader: r, live: s.uri.Live(),
		frames: make(chan *ingest.Frame), ended: make(chan struct{}),
	}
	if s.cfg.MaxFPS > 0 {
		c.limit.interval = time.Duration(float64(time.Second) / s.cfg.MaxFPS)
	}
	return c
}

// run opens, reads and closes the stream, until ctx is done.
func (c *capture) run(ctx context.Context) {
	// C's allocator keeps an arena for each thread: a decoder that moved between threads would leave pictures in all of their
	// arenas. The locked thread ends with the goroutine.
	runtime.LockOSThread()
	defer func() {
		c.call.Lock()
		defer c.call.Unlock()
		if c.call.abandoned {
			c.src.hanging.Add(-1)
		}
		close(c.ended)
	}()
	if err := c.readAll(ctx); ctx.Err() == nil { // otherwise the error only says that the capture was stopped
		c.err = err
	}
}

// readAll opens the stream and reads to its end.
func (c *capture) readAll(ctx context.Context) error {
	defer func() { _ = c.reader.Close() }()
	if err := c.open(ctx); err != nil {
		return err
	}
	if f, ok := c.reader.(*film); ok {
		c.live = !f.finite()
	}
	if c.src.opens.Add(1) > 1 && !c.live {
		c.base = c.src.pts + c.src.interval(0)
	}
	for ctx.Err() == nil {
		var width, height int
		err := c.timed(false, func() (err error) {
			width, height, err = c.reader.Next()
			return err
		})
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, io.EOF):
			if again, err := c.rewind(ctx); err != nil || !again {
				return err
			}
			continue
		case errors.Is(err, ingest.ErrNoKeyFrame), errors.Is(err, ingest.ErrNoPicture):
			c.src.waiting.Store(&err)
			continue
		case err != nil && c.skip(err):
			c.src.seq++ // so that the number of a frame stays that of its picture
			continue
		case err != nil:
			return err
		}
		c.src.waiting.Store(nil)
		if err := c.pass(ctx, width, height); err == nil {
			c.got++
		} else if !c.skip(err) {
			return err
		}
	}
	return nil
}

// name is the address for errors, or the file in a folder that was read last.
func (c *capture) name() string {
	if r, ok := c.reader.(skipper); ok && r.skips() != "" {
		return r.skips()
	}
	return ingest.RedactURI(c.src.cfg.URI)
}

// skip leaves a picture out that cannot be used, if the reader allows that. It counts the picture and names it once.
func (c *capture) skip(err error) bool {
	r, ok := c.reader.(skipper)
	if !ok || r.skips() == "" {
		return false
	}
	s, name := c.src, r.skips()
	s.unreadable.Add(1)
	if !s.told[name] {
		s.told[name] = true
		s.log.Warn("picture left out", "error", err)
	}
	c.skipped++
	return true
}

func (c *capture) open(ctx context.Context) error {
	return c.timed(true, func() error { return c.reader.Open(ctx) })
}

// pass stamps the picture that was just read and hands it over as a frame, unless the picture is dropped. width and height
// are the picture's size; the reader converts it straight into the frame, in the size that the configuration wants.
func (c *capture) pass(ctx context.Context, width, height int) error {
	s, now := c.src, time.Now()
	if f, ok := c.reader.(*film); ok && c.live && !s.mayWait {
		if at, ok := f.burst(); ok {
			if now = c.pace.wait(ctx, at, s.interval(0)); now.IsZero() {
				return nil
			}
		}
	}
	seq := s.seq
	s.seq++
	s.read.Add(1)
	pts := c.stamp(now)
	// A film over the network is played at its own speed, unless it may wait as a file may.
	if atOwnSpeed := s.cfg.Realtime || s.uri.Live() && !s.mayWait; atOwnSpeed && !c.live {
		if now = c.pace.wait(ctx, pts, s.interval(c.reader.Rate())); now.IsZero() {
			return nil
		}
	}
	if !c.limit.allow(pts) {
		s.droppedRate.Add(1)
		return nil
	}
	if s.cfg.Width > 0 && s.cfg.Height > 0 {
		width, height = s.cfg.Width, s.cfg.Height
	}
	if err := s.pool.Fits(width, height); err != nil {
		if !c.live {
			err = fmt.Errorf("%w: %w", ingest.ErrUnreadable, err) // trying again does not help
		}
		return fmt.Errorf("read %q: %w", c.name(), err)
	}
	f := c.frame(ctx, width, height)
	if f == nil {
		return nil
	}
	if err := c.reader.RGB(f.Pix, width, height); err != nil {
		f.Release()
		return err
	}
	f.Camera, f.Seq, f.Captured, f.PTS = s.cfg.Name, seq, now, pts
	select {
	case c.frames <- f:
	case <-ctx.Done():
		f.Release()
	}
	return nil
}

// frame takes a frame from the pool. It returns nil when the pool is empty, which it counts, or the source is stopped.
func (c *capture) frame(ctx context.Context, width, height int) *ingest.Frame {
	if !c.src.mayWait {
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

// stamp returns the stream time of the picture that was just read and remembers it.
func (c *capture) stamp(now time.Time) time.Duration {
	s := c.src
	if c.live {
		if s.first.IsZero() {
			s.first = now
		}
		s.pts = now.Sub(s.first)
		return s.pts
	}
	pts, ok := c.reader.Position()
	pts += c.base
	if step := s.interval(c.reader.Rate()); !ok || s.seq > 1 && pts <= s.pts {
		pts = s.pts + step // the file gives no time, or an impossible one
		if s.seq == 1 {
			pts = 0
		}
	}
	s.pts = pts
	return pts
}

// interval is the time from frame to frame at the given rate, or at the configured rate when the given one is implausible.
func (s *source) interval(rate float64) time.Duration {
	const fastest = 1000
	if !(rate > 0 && rate <= fastest) {
		rate = s.cfg.FPS
	}
	return time.Duration(float64(time.Second) / rate)
}

// rewind starts a file again if the configuration wants that. A live stream has no end: it broke off.
func (c *capture) rewind(ctx context.Context) (again bool, err error) {
	s := c.src
	name := ingest.RedactURI(s.cfg.URI)
	switch {
	case c.live:
		return false, fmt.Errorf("read %q: %w", name, ingest.ErrDisconnected)
	case c.got == 0 && c.skipped > 0:
		return false, fmt.Errorf("read %q: %w: none of its %d pictures can be read", name, ingest.ErrUnreadable, c.skipped)
	case c.got == 0:
		return false, fmt.Errorf("read %q: %w: no picture can be decoded", name, ingest.ErrUnreadable)
	case !s.cfg.Loop:
		return false, nil
	}
	c.got, c.skipped = 0, 0
	c.base = s.pts + s.interval(c.reader.Rate())
	_ = c.reader.Close()
	return true, c.open(ctx)
}

// timed calls f and lets overdue know that the call is running.
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

// overdue names the call that hangs and the limit that it exceeds; the limit is 0 when no call does.
func (c *capture) overdue() (call string, limit time.Duration) {
	c.call.Lock()
	defer c.call.Unlock()
	read := c.src.cfg.ReadTimeout
	switch {
	case c.call.opening:
		call, limit = "open", c.src.cfg.OpenTimeout
	case c.src.uri.Kind == ingest.Camera, c.src.uri.Kind == ingest.GStreamer: // OpenCV has no time limit of its own
		call, limit = "read", read
	default: // FFmpeg ends its wait after the time-out; decoding takes its time
		call, limit = "read", 2*read
	}
	if c.call.since.IsZero() || time.Since(c.call.since) < limit {
		return "", 0
	}
	if waits, _ := c.awaits(); waits && !c.call.opening {
		c.call.since = time.Now() // it does not hang: what follows the packet has its own time
		return "", 0
	}
	return call, limit
}

// awaits is awaiter.waits of the reader.
func (c *capture) awaits() (waits, keyless bool) {
	if r, ok := c.reader.(awaiter); ok {
		return r.waits()
	}
	return false, false
}

// abandon counts a capture that did not end in time. The capture closes its reader when its call into C returns.
func (c *capture) abandon() {
	c.call.Lock()
	defer c.call.Unlock()
	select {
	case <-c.ended: // it ended just now
	default:
		c.call.abandoned = true
		c.src.abandoned.Add(1)
		c.src.hanging.Add(1)
	}
}
