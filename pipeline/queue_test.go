package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oodcast/oodcast/pipeline"
)

func TestQueuePolicies(t *testing.T) {
	for _, tt := range []struct {
		policy  pipeline.Overflow
		kept    []int
		dropped []int
	}{
		{pipeline.DropOldest, []int{3, 4, 5}, []int{1, 2}},
		{pipeline.DropLatest, []int{1, 2, 3}, []int{4, 5}},
	} {
		t.Run(string(tt.policy), func(t *testing.T) {
			var dropped []int
			q := pipeline.NewQueue(3, tt.policy, func(v int) { dropped = append(dropped, v) })
			for v := 1; v <= 5; v++ {
				if err := q.Put(t.Context(), v); err != nil {
					t.Fatalf("Put(%d) = %v", v, err)
				}
			}
			if q.Len() != 3 || q.Dropped() != 2 {
				t.Errorf("Len, Dropped = %d, %d, want 3, 2", q.Len(), q.Dropped())
			}
			q.Close()
			if got := slices.Collect(q.All(t.Context())); !slices.Equal(got, tt.kept) {
				t.Errorf("kept %v, want %v", got, tt.kept)
			}
			if !slices.Equal(dropped, tt.dropped) {
				t.Errorf("dropped %v, want %v", dropped, tt.dropped)
			}
		})
	}
}

func TestQueueWaitBlocksUntilRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := pipeline.NewQueue(1, pipeline.Wait, func(int) { t.Error("dropped a value under the policy wait") })
		_ = q.Put(t.Context(), 1)
		var done atomic.Bool
		go func() {
			_ = q.Put(t.Context(), 2)
			done.Store(true)
		}()
		synctest.Wait()
		if done.Load() {
			t.Fatal("Put did not wait although the queue was full")
		}
		for want := 1; want <= 2; want++ {
			if v, err := q.Get(t.Context()); v != want || err != nil {
				t.Errorf("Get() = %d, %v, want %d", v, err, want)
			}
			synctest.Wait()
		}
		if !done.Load() {
			t.Error("Put still waits although there is room")
		}
	})
}

func TestQueuePutOwnsValueOnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var dropped []int
		q := pipeline.NewQueue(1, pipeline.Wait, func(v int) { dropped = append(dropped, v) })
		_ = q.Put(t.Context(), 1)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := q.Put(ctx, 2); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Put on a full queue = %v, want deadline exceeded", err)
		}
		q.Close()
		q.Close()
		if err := q.Put(t.Context(), 3); !errors.Is(err, pipeline.ErrClosed) {
			t.Errorf("Put after Close = %v, want ErrClosed", err)
		}
		if v, err := q.Get(t.Context()); v != 1 || err != nil {
			t.Errorf("Get after Close = %d, %v, want what was left", v, err)
		}
		if _, err := q.Get(t.Context()); !errors.Is(err, pipeline.ErrClosed) {
			t.Errorf("Get on a closed, empty queue = %v, want ErrClosed", err)
		}
		if !slices.Equal(dropped, []int{2, 3}) {
			t.Errorf("dropped %v, want [2 3]", dropped)
		}
	})
}

func TestQueueCloseWakesWaiters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		empty := pipeline.NewQueue[int](1, pipeline.Wait, nil)
		full := pipeline.NewQueue[int](1, pipeline.Wait, nil)
		_ = full.Put(t.Context(), 1)
		errs := make(chan error, 2)
		go func() { _, err := empty.Get(t.Context()); errs <- err }()
		go func() { errs <- full.Put(t.Context(), 2) }()
		synctest.Wait()
		empty.Close()
		full.Drain()
		for range 2 {
			if err := <-errs; !errors.Is(err, pipeline.ErrClosed) {
				t.Errorf("waiter got %v, want ErrClosed", err)
			}
		}
	})
}

func TestQueueDrainDropsTheRest(t *testing.T) {
	var dropped []int
	q := pipeline.NewQueue(4, pipeline.DropOldest, func(v int) { dropped = append(dropped, v) })
	_ = q.Put(t.Context(), 1)
	_ = q.Put(t.Context(), 2)
	q.Drain()
	q.Drain()
	if !slices.Equal(dropped, []int{1, 2}) || q.Dropped() != 0 {
		t.Errorf("dropped %v, counted %d, want [1 2], 0", dropped, q.Dropped())
	}
}

// Every value is either handed out or dropped, exactly once, whatever the policy and the timing.
func TestQueueConserves(t *testing.T) {
	for _, policy := range []pipeline.Overflow{pipeline.DropOldest, pipeline.DropLatest, pipeline.Wait} {
		t.Run(string(policy), func(t *testing.T) {
			const putters, each = 4, 500
			seen := make([]atomic.Int32, putters*each)
			q := pipeline.NewQueue(3, policy, func(v int) { seen[v].Add(1) })
			var put, get sync.WaitGroup
			for p := range putters {
				put.Go(func() {
					for i := range each {
						_ = q.Put(t.Context(), p*each+i)
					}
				})
			}
			for range 3 {
				get.Go(func() {
					for v := range q.All(t.Context()) {
						seen[v].Add(1)
					}
				})
			}
			put.Wait()
			q.Close()
			get.Wait()
			for v := range seen {
				if n := seen[v].Load(); n != 1 {
					t.Fatalf("value %d came out %d times, want once", v, n)
				}
			}
			if policy == pipeline.Wait && q.Dropped() != 0 {
				t.Errorf("Dropped() = %d under the policy wait", q.Dropped())
			}
		})
	}
}

func TestLatestKeepsTheNewest(t *testing.T) {
	var dropped []int
	l := pipeline.NewLatest(func(v int) { dropped = append(dropped, v) })
	for v := range 3 {
		_ = l.Put(t.Context(), v)
	}
	if v, err := l.Get(t.Context()); v != 2 || err != nil {
		t.Errorf("Get() = %d, %v, want 2", v, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := l.Get(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("second Get() = %v, want to wait for a newer value", err)
	}
	if !slices.Equal(dropped, []int{0, 1}) || l.Dropped() != 2 {
		t.Errorf("dropped %v, counted %d, want [0 1], 2", dropped, l.Dropped())
	}
}

func TestParseOverflow(t *testing.T) {
	_, err := pipeline.ParseOverflow("drop")
	want := `overflow: got "drop", want drop_oldest, drop_latest or wait`
	if err == nil || err.Error() != want {
		t.Errorf("ParseOverflow = %v, want %s", err, want)
	}
}

func TestQueueDoesNotAllocate(t *testing.T) {
	q := pipeline.NewQueue[int](2, pipeline.DropOldest, nil)
	ctx := t.Context()
	n := testing.AllocsPerRun(100, func() {
		for v := range 4 {
			_ = q.Put(ctx, v)
		}
		_, _ = q.Get(ctx)
	})
	if n != 0 {
		t.Errorf("%v allocations for 4 Put and 1 Get, want none", n)
	}
}

func ExampleQueue_dropOldest() {
	ctx := context.Background()
	q := pipeline.NewQueue(2, pipeline.DropOldest, func(s string) { fmt.Println("lost", s) })
	for _, s := range []string{"frame 1", "frame 2", "frame 3"} {
		_ = q.Put(ctx, s)
	}
	q.Close()
	for s := range q.All(ctx) {
		fmt.Println("scored", s)
	}
	// Output:
	// lost frame 1
	// scored frame 2
	// scored frame 3
}

func BenchmarkQueuePut(b *testing.B) {
	for _, policy := range []pipeline.Overflow{pipeline.DropOldest, pipeline.DropLatest} {
		b.Run(fmt.Sprintf("overflow=%s/depth=8", policy), func(b *testing.B) {
			q := pipeline.NewQueue[int](8, policy, nil)
			b.ReportAllocs()
			for b.Loop() {
				_ = q.Put(b.Context(), 1)
			}
			b.ReportMetric(float64(q.Dropped())/float64(b.N), "drops/op")
		})
	}
}
