package pipeline

import "context"

// Latest is a slot for the newest value: Put replaces what nobody has taken yet. It is a Queue of one value that drops
// the oldest, and safe for concurrent use.
type Latest[T any] struct {
	q *Queue[T]
}

// NewLatest returns an empty slot. drop is called with every value that is replaced; nil does nothing.
func NewLatest[T any](drop func(T)) *Latest[T] {
	return &Latest[T]{q: NewQueue(1, DropOldest, drop)}
}

// Put replaces the value in the slot. It never waits, and owns v whatever it returns.
func (l *Latest[T]) Put(ctx context.Context, v T) error { return l.q.Put(ctx, v) }

// Get takes the value out; each value is handed out once. It waits for one until ctx is done, or returns ErrClosed.
func (l *Latest[T]) Get(ctx context.Context) (T, error) { return l.q.Get(ctx) }

// Close lets no further value in. Closing twice is harmless.
func (l *Latest[T]) Close() { l.q.Close() }

// Drain closes the slot and drops what is in it.
func (l *Latest[T]) Drain() { l.q.Drain() }

// Dropped is the number of values that were replaced before anybody took them.
func (l *Latest[T]) Dropped() uint64 { return l.q.Dropped() }
