package queue

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
)

// ErrClosed is returned by Put after Close, and by Get when a closed queue is empty: it is the normal end.
var ErrClosed = errors.New("queue: closed")

// Overflow says what Put does when a queue is full.
type Overflow string

// The policies, spelt as in the configuration.
const (
	DropOldest Overflow = "drop_oldest" // the value that waited longest makes room: latency stays bounded
	DropLatest Overflow = "drop_latest" // the new value is lost: what waits is kept
	Wait       Overflow = "wait"        // Put waits: nothing is lost
)

// ParseOverflow returns the policy of that name.
func ParseOverflow(s string) (Overflow, error) {
	switch o := Overflow(s); o {
	case DropOldest, DropLatest, Wait:
		return o, nil
	default:
		return "", fmt.Errorf("overflow: got %q, want drop_oldest, drop_latest or wait", s)
	}
}

// Queue is a bounded first-in-first-out queue. It is safe for any number of putters and getters.
type Queue[T any] struct {
	policy Overflow
	drop   func(T)
	most   int         // bytes; 0 = no limit
	size   func(T) int // bytes

	mu struct {
		sync.Mutex
		ring    []T
		head, n int
		bytes   int
		dropped uint64
		closed  bool
		waiting bool          // somebody may wait for changed
		changed chan struct{} // closed, and replaced, at every change while somebody waits
	}
}

// Option is what only some queues need.
type Option[T any] func(*Queue[T])

// Bytes makes a queue full, too, when its values and the next one take more than most bytes together. A value that is
// larger than that gets in when the queue is empty. size must return the same for a value as long as it is in the queue.
func Bytes[T any](most int, size func(T) int) Option[T] {
	return func(q *Queue[T]) { q.most, q.size = most, size }
}

// New returns a queue for depth values (at least 1). drop is called, outside any lock, with every value that is
// not handed out; nil does nothing.
func New[T any](depth int, policy Overflow, drop func(T), options ...Option[T]) *Queue[T] {
	if _, err := ParseOverflow(string(policy)); err != nil {
		panic("queue: " + err.Error())
	}
	if drop == nil {
		drop = func(T) {}
	}
	q := &Queue[T]{policy: policy, drop: drop, size: func(T) int { return 0 }}
	for _, o := range options {
		o(q)
	}
	q.mu.ring = make([]T, max(depth, 1))
	q.mu.changed = make(chan struct{})
	return q
}

// Put adds v, which it owns from now on, whatever it returns. It waits only under the policy Wait, until there is room,
// ctx is done or the queue is closed. A value lost to the policy is no error: see Dropped.
func (q *Queue[T]) Put(ctx context.Context, v T) error {
	for {
		lost, dropped, done, changed, err := q.put(v)
		if dropped {
			q.drop(lost)
		}
		switch {
		case err != nil:
			q.drop(v)
			return err
		case done:
			return nil
		case dropped:
			continue // more must go
		}
		select {
		case <-changed:
		case <-ctx.Done():
			q.drop(v)
			return context.Cause(ctx)
		}
	}
}

// put tries once. It returns what was lost, whether v is done with, and, when it has to wait, the channel that tells of
// the next change.
func (q *Queue[T]) put(v T) (lost T, dropped, done bool, changed <-chan struct{}, err error) {
	size := q.size(v)
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.mu.closed {
		return lost, false, false, nil, ErrClosed
	}
	if q.full(size) {
		switch q.policy {
		case Wait:
			q.mu.waiting = true
			return lost, false, false, q.mu.changed, nil
		case DropLatest:
			q.mu.dropped++
			return v, true, true, nil, nil
		case DropOldest:
			q.mu.dropped++
			lost, dropped = q.pop(), true
			if q.full(size) {
				return lost, true, false, nil, nil
			}
		}
	}
	q.mu.ring[(q.mu.head+q.mu.n)%len(q.mu.ring)] = v
	q.mu.n++
	q.mu.bytes += size
	q.signal()
	return lost, dropped, true, nil, nil
}

// full reports that a value of so many bytes has no room. The lock is held.
func (q *Queue[T]) full(size int) bool {
	return q.mu.n == len(q.mu.ring) || q.most > 0 && q.mu.n > 0 && q.mu.bytes+size > q.most
}

// pop takes the oldest value out. The lock is held and the queue is not empty.
func (q *Queue[T]) pop() T {
	var zero T
	v := q.mu.ring[q.mu.head]
	q.mu.ring[q.mu.head] = zero // the queue must not keep what it gave away alive
	q.mu.head = (q.mu.head + 1) % len(q.mu.ring)
	q.mu.n--
	q.mu.bytes -= q.size(v)
	return v
}

// signal wakes everybody who waits, and costs nothing when nobody does. The lock is held.
func (q *Queue[T]) signal() {
	if !q.mu.waiting {
		return
	}
	q.mu.waiting = false
	close(q.mu.changed)
	q.mu.changed = make(chan struct{})
}

// Get returns the oldest value, which the caller owns from now on. It waits for one until ctx is done; after Close it
// hands out what is left and then returns ErrClosed.
func (q *Queue[T]) Get(ctx context.Context) (T, error) {
	for {
		v, ok, changed, err := q.get()
		if ok || err != nil {
			return v, err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return v, context.Cause(ctx)
		}
	}
}

func (q *Queue[T]) get() (v T, ok bool, changed <-chan struct{}, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.mu.n > 0:
		v = q.pop()
		q.signal()
		return v, true, nil, nil
	case q.mu.closed:
		return v, false, nil, ErrClosed
	default:
		q.mu.waiting = true
		return v, false, q.mu.changed, nil
	}
}

// Ready waits until there is a value to take, or returns ErrClosed when there will be none. Somebody else may be faster:
// see TryGet.
func (q *Queue[T]) Ready(ctx context.Context) error {
	for {
		q.mu.Lock()
		n, closed, changed := q.mu.n, q.mu.closed, q.mu.changed
		q.mu.waiting = q.mu.waiting || n == 0
		q.mu.Unlock()
		switch {
		case n > 0:
			return nil
		case closed:
			return ErrClosed
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// TryGet is Get without waiting: ok is false when there is nothing now.
func (q *Queue[T]) TryGet() (v T, ok bool) {
	v, ok, _, _ = q.get()
	return v, ok
}

// All yields values until the queue is closed and empty or ctx is done.
func (q *Queue[T]) All(ctx context.Context) iter.Seq[T] {
	return func(yield func(T) bool) {
		for {
			v, err := q.Get(ctx)
			if err != nil || !yield(v) {
				return
			}
		}
	}
}

// Close lets no further value in; what is in the queue can still be taken out. Closing twice is harmless.
func (q *Queue[T]) Close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.mu.closed {
		q.mu.closed = true
		q.signal()
	}
}

// Drain closes the queue and drops what is in it. These values do not count as Dropped.
func (q *Queue[T]) Drain() {
	q.Close()
	for {
		v, ok, _, _ := q.get()
		if !ok {
			return
		}
		q.drop(v)
	}
}

// Len is the number of values that wait.
func (q *Queue[T]) Len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.mu.n
}

// Cap is the number of values for which there is room.
func (q *Queue[T]) Cap() int { return len(q.mu.ring) }

// Bytes is what the values that wait take, if the queue counts that.
func (q *Queue[T]) Bytes() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.mu.bytes
}

// Dropped is the number of values lost to the overflow policy.
func (q *Queue[T]) Dropped() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.mu.dropped
}
