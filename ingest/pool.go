package ingest

import (
	"context"
	"fmt"
	"sync"
)

// Pool holds a fixed number of frames and bounds the memory that they take. It is safe for concurrent use.
type Pool struct {
	size  int
	limit int // bytes; 0 = none

	mu struct {
		sync.Mutex
		free    []*Frame
		bytes   int           // of all frames, in use or not
		waiting bool          // a Get may be waiting for changed
		changed chan struct{} // closed and replaced when a frame comes back while a Get waits
	}
}

// NewPool returns a pool of n frames (at least 1). A frame's pixels are allocated at its first use, and again only for a
// picture that is larger or much smaller.
func NewPool(n int) *Pool { return NewBoundedPool(n, 0) }

// NewBoundedPool returns a pool of n frames (at least 1) that together take no more than limit bytes; 0 is no limit. The pool
// has fewer frames when pictures are large: see Fits.
func NewBoundedPool(n, limit int) *Pool {
	p := &Pool{size: max(n, 1), limit: limit}
	p.mu.changed = make(chan struct{})
	for range p.size {
		p.mu.free = append(p.mu.free, &Frame{pool: p})
	}
	return p
}

// Fits returns ErrTooLarge unless the pool can hold two pictures of this size: one to show while the next is read.
func (p *Pool) Fits(width, height int) error {
	if n := 3 * width * height; p.limit > 0 && n > p.limit/2 {
		return fmt.Errorf("%w: a picture of %dx%d takes %.1f MB, more than half of memory_mb, %d",
			ErrTooLarge, width, height, float64(n)/(1<<20), p.limit>>20)
	}
	return nil
}

// Get returns a frame with one reference and undefined pixels. It waits until a frame is free or ctx is done.
func (p *Pool) Get(ctx context.Context, width, height int) (*Frame, error) {
	if err := p.Fits(width, height); err != nil {
		return nil, err
	}
	for {
		f, changed := p.take(width, height, true)
		if f != nil {
			return f, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// TryGet returns a frame with one reference and undefined pixels, or nil when no frame is free.
func (p *Pool) TryGet(width, height int) *Frame {
	if p.Fits(width, height) != nil {
		return nil
	}
	f, _ := p.take(width, height, false)
	return f
}

// take returns a frame, or nil and the channel that is closed when a frame has come back. The channel is only for a caller
// that sets wait.
func (p *Pool) take(width, height int, wait bool) (*Frame, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	need := 3 * width * height
	i, ok := p.pick(need)
	if !ok {
		p.mu.waiting = p.mu.waiting || wait
		return nil, p.mu.changed
	}
	last := len(p.mu.free) - 1
	f := p.mu.free[i]
	p.mu.free[i], p.mu.free[last] = p.mu.free[last], nil
	p.mu.free = p.mu.free[:last]
	p.mu.bytes -= cap(f.buf)
	f.reset(width, height)
	p.mu.bytes += cap(f.buf)
	return f, nil
}

// pick returns the index of the free frame to use for need bytes: one that is large enough, or one that grows, for which
// other free frames give up their memory. The caller holds the lock.
func (p *Pool) pick(need int) (int, bool) {
	if len(p.mu.free) == 0 {
		return 0, false
	}
	for i, f := range p.mu.free {
		if cap(f.buf) >= need {
			return i, true
		}
	}
	const grown = 0 // any frame will do: all would have to grow
	over := func() bool { return p.limit > 0 && p.mu.bytes-cap(p.mu.free[grown].buf)+need > p.limit }
	for i := 1; i < len(p.mu.free) && over(); i++ {
		p.mu.bytes -= cap(p.mu.free[i].buf)
		p.mu.free[i].buf = nil
	}
	return grown, !over()
}

// put takes a frame back.
func (p *Pool) put(f *Frame) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mu.free = append(p.mu.free, f) // does not allocate: there is room for every frame of the pool
	if p.mu.waiting {
		p.mu.waiting = false
		close(p.mu.changed)
		p.mu.changed = make(chan struct{})
	}
}

// InFlight is the number of frames that are in use.
func (p *Pool) InFlight() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.size - len(p.mu.free)
}

// Cap is the number of frames in the pool.
func (p *Pool) Cap() int { return p.size }

// Bytes is the memory of all frames, in use or free.
func (p *Pool) Bytes() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mu.bytes
}
