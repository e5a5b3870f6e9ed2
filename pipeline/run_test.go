package pipeline_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/oodcast/oodcast/pipeline"
)

func TestRun(t *testing.T) {
	boom := errors.New("boom")
	double := func(_ context.Context, v int) (int, error) {
		switch v {
		case 2:
			return 0, pipeline.ErrSkip
		case 13:
			return 0, boom
		}
		return 2 * v, nil
	}
	for _, tt := range []struct {
		name string
		in   []int
		want []int
		err  string
	}{
		{"end of stream", []int{1, 3}, []int{2, 6}, ""},
		{"skip", []int{1, 2, 3}, []int{2, 6}, ""},
		{"stage fails", []int{1, 13, 3}, []int{2}, "double: boom"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in := pipeline.NewQueue[int](8, pipeline.Wait, nil)
			out := pipeline.NewQueue[int](8, pipeline.Wait, nil)
			for _, v := range tt.in {
				_ = in.Put(t.Context(), v)
			}
			in.Close()
			err := pipeline.Run(t.Context(), "double", in, double, out)
			if msg := errString(err); msg != tt.err {
				t.Errorf("Run() = %q, want %q", msg, tt.err)
			}
			out.Close()
			if got := slices.Collect(out.All(t.Context())); !slices.Equal(got, tt.want) {
				t.Errorf("put %v, want %v", got, tt.want)
			}
		})
	}
}

func TestRunEndsQuietly(t *testing.T) {
	pass := func(_ context.Context, v int) (int, error) { return v, nil }
	t.Run("cancelled", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		in := pipeline.NewLatest[int](nil)
		if err := pipeline.Run(ctx, "pass", in, pass, pipeline.NewLatest[int](nil)); err != nil {
			t.Errorf("Run() = %v, want nil when ctx is done", err)
		}
	})
	t.Run("reader gone", func(t *testing.T) {
		in, out := pipeline.NewLatest[int](nil), pipeline.NewLatest[int](nil)
		_ = in.Put(t.Context(), 1)
		out.Close()
		if err := pipeline.Run(t.Context(), "pass", in, pass, out); err != nil {
			t.Errorf("Run() = %v, want nil when the reader has gone", err)
		}
	})
	t.Run("function", func(t *testing.T) {
		in := pipeline.NewLatest[int](nil)
		_ = in.Put(t.Context(), 7)
		in.Close()
		var got int
		put := pipeline.PutFunc[int](func(_ context.Context, v int) error { got = v; return nil })
		if err := pipeline.Run(t.Context(), "pass", in, pass, put); err != nil || got != 7 {
			t.Errorf("Run() = %v and put %d, want nil and 7", err, got)
		}
	})
}

func errString(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
