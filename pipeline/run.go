package pipeline

import (
	"context"
	"errors"
	"fmt"
)

// ErrSkip is returned by a Stage that has nothing to pass on for this value; it is no failure.
var ErrSkip = errors.New("pipeline: nothing to pass on")

// Stage turns one value into another. It owns in, whatever it returns.
type Stage[In, Out any] func(ctx context.Context, in In) (Out, error)

// Getter is where Run takes values from: a Queue or a Latest slot.
type Getter[T any] interface {
	Get(ctx context.Context) (T, error)
}

// Putter is where Run puts results: a Queue, a Latest slot or a PutFunc. Put owns v, whatever it returns.
type Putter[T any] interface {
	Put(ctx context.Context, v T) error
}

// PutFunc is a function as a Putter.
type PutFunc[T any] func(ctx context.Context, v T) error

// Put calls f.
func (f PutFunc[T]) Put(ctx context.Context, v T) error { return f(ctx, v) }

// Run takes values from in, through stage, to out, until in is closed and empty or ctx is done, which are both nil, or
// until stage or out fail. It closes nothing: the caller closes out's queue when the last Run into it has returned.
func Run[In, Out any](
	ctx context.Context, name string, in Getter[In], stage Stage[In, Out], out Putter[Out],
) error {
	for {
		v, err := in.Get(ctx)
		switch {
		case errors.Is(err, ErrClosed) || ctx.Err() != nil && err != nil:
			return nil
		case err != nil:
			return fmt.Errorf("%s: %w", name, err)
		}
		res, err := stage(ctx, v)
		if errors.Is(err, ErrSkip) {
			continue
		}
		if err == nil {
			err = out.Put(ctx, res)
		}
		switch {
		case errors.Is(err, ErrClosed):
			return nil // whoever listened has gone: the normal end on the way out
		case err != nil && ctx.Err() != nil:
			return nil
		case err != nil:
			return fmt.Errorf("%s: %w", name, err)
		}
	}
}
