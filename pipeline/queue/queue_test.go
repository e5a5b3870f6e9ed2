package queue_test

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

	"github.com/oodcast/oodcast/pipeline/queue"
)

func TestQueuePolicies(t *testing.T) {
	for _, tt := range []struct {
		policy  queue.Overflow
		kept    []int
		dropped []int
	}{
		{queue.DropOldest, []int{3, 4, 5}, []int{1, 2}},
		{queue.DropLatest, []int{1, 2, 3}, []int{4, 5}},
	} {
		t.Run(string(tt.policy), func(t *testing.T) {
			var dropped []int
			q := queue.New(3, tt.policy, func(v int) { dropped = append(dropped, v) })
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
		q := queue.New(1, queue.Wait, func(int) { t.Error("dropped a value under the policy wait") })
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
		q := queue.New(1, queue.Wait, func(v int) { dropped = append(dropped, v) })
		_ = q.Put(t.Context(), 1)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := q.Put(ctx, 2); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Put on a full queue = %v, want deadline exceeded", err)
		}
		q.Close()
		q.Close()
		if err := q.Put(t.Context(), 3); !errors.Is(err, queue.ErrClosed) {
			t.Errorf("Put after Close = %v, want ErrClosed", err)
		}
		if v, err := q.Get(t.Context()); v != 1 || err != nil {
			t.Errorf("Get after Close = %d, %v, want what was left", v, err)
		}
		if _, err := q.Get(t.Context()); !errors.Is(err, queue.ErrClosed) {
			t.Errorf("Get on a closed, empty queue = %v, want ErrClosed", err)
		}
		if !slices.Equal(dropped, []int{2, 3}) {
			t.Errorf("dropped %v, want [2 3]", dropped)
		}
	})
}

func TestQueueCloseWakesWaiters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		empty := queue.New[int](1, queue.Wait, nil)
		full := queue.New[int](1, queue.Wait, nil)
		_ = full.Put(t.Context(), 1)
		errs := make(chan error, 2)
		go func() { _, err := empty.Get(t.Context()); errs <- err }()
		go func() { errs <- full.Put(t.Context(), 2) }()
		synctest.Wait()
		empty.Close()
		full.Drain()
		for range 2 {
			if err := <-errs; !errors.Is(err, queue.ErrClosed) {
				t.Errorf("waiter got %v, want ErrClosed", err)
			}
		}
	})
}

func TestQueueDrainDropsTheRest(t *testing.T) {
	var dropped []int
	q := queue.New(4, queue.DropOldest, func(v int) { dropped = append(dropped, v) })
	_ = q.Put(t.Context(), 1)
	_ = q.Put(t.Context(), 2)
	q.Drain()
	q.Drain()
	if !slices.Equal(dropped, []int{1, 2}) || q.Dropped() != 0 {
		t.Errorf("dropped %v, counted %d, want [1 2], 0", dropped, q.Dropped())
	}
}

func TestQueueIsBoundInBytes(t *testing.T) {
	for _, tt := range []struct {
		policy        queue.Overflow
		kept, dropped []int
	}{
		{queue.DropOldest, []int{30, 40}, []int{10, 20, 200, 50, 60}},
		{queue.DropLatest, []int{10, 20, 50}, []int{200, 60, 30, 40}},
	} {
		t.Run(string(tt.policy), func(t *testing.T) {
			var dropped []int
			size := func(v int) int { return v }
			q := queue.New(5, tt.policy, func(v int) { dropped = append(dropped, v) }, queue.Bytes(80, size))
			for _, v := range []int{10, 20, 200, 50, 60, 30, 40} {
				if err := q.Put(t.Context(), v); err != nil {
					t.Fatal(err)
				}
				if q.Bytes() > 80 && q.Len() > 1 {
					t.Errorf("%d bytes in %d values", q.Bytes(), q.Len())
				}
			}
			q.Close()
			if got := slices.Collect(q.All(t.Context())); !slices.Equal(got, tt.kept) {
				t.Errorf("kept %v, want %v", got, tt.kept)
			}
			if !slices.Equal(dropped, tt.dropped) || q.Dropped() != uint64(len(dropped)) || q.Bytes() != 0 {
				t.Errorf("dropped %v, want %v; counted %d, %d bytes left", dropped, tt.dropped, q.Dropped(), q.Bytes())
			}
		})
	}
	t.Run("wait", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			q := queue.New(5, queue.Wait, nil, queue.Bytes(80, func(v int) int { return v }))
			_ = q.Put(t.Context(), 50)
			var done atomic.Bool
			go func() { _ = q.Put(t.Context(), 40); done.Store(true) }()
			synctest.Wait()
			if done.Load() {
				t.Error("90 bytes where there is room for 80")
			}
			if v, ok := q.TryGet(); v != 50 || !ok {
				t.Errorf("TryGet() = %d, %t", v, ok)
			}
			synctest.Wait()
			if !done.Load() || q.Bytes() != 40 {
				t.Errorf("%d bytes, want 40", q.Bytes())
			}
		})
	})
}

func TestQueueReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := queue.New[int](1, queue.DropOldest, nil)
		if _, ok := q.TryGet(); ok {
			t.Error("a value from an empty queue")
		}
		errs := make(chan error, 1)
		wait := func(ctx context.Context) { go func() { errs <- q.Ready(ctx) }(); synctest.Wait() }
		wait(t.Context())
		_ = q.Put(t.Context(), 1)
		if err := <-errs; err != nil || q.Len() != 1 {
			t.Errorf("Ready() = %v with %d values", err, q.Len())
		}
		if _, err := q.Get(t.Context()); err != nil {
			t.Error(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		wait(ctx)
		cancel()
		if err := <-errs; !errors.Is(err, context.Canceled) {
			t.Errorf("Ready() = %v, want canceled", err)
		}
		wait(t.Context())
		q.Close()
		if err := <-errs; !errors.Is(err, queue.ErrClosed) {
			t.Errorf("Ready() = %v, want closed", err)
		}
	})
}

// Every value is either handed out or dropped, exactly once, whatever the policy and the timing.
func TestQueueConserves(t *testing.T) {
	for _, policy := range []queue.Overflow{queue.DropOldest, queue.DropLatest, queue.Wait} {
		t.Run(string(policy), func(t *testing.T) {
			const putters, each = 4, 500
			seen := make([]atomic.Int32, putters*each)
			q := queue.New(3, policy, func(v int) { seen[v].Add(1) })
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
			if policy == queue.Wait && q.Dropped() != 0 {
				t.Errorf("Dropped() = %d under the policy wait", q.Dropped())
			}
		})
	}
}

func TestParseOverflow(t *testing.T) {
	_, err := queue.ParseOverflow("drop")
	want := `overflow: got "drop", want drop_oldest, drop_latest or wait`
	if err == nil || err.Error() != want {
		t.Errorf("ParseOverflow = %v, want %s", err, want)
	}
}

func TestQueueDoesNotAllocate(t *testing.T) {
	q := queue.New[int](2, queue.DropOldest, nil)
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
	q := queue.New(2, queue.DropOldest, func(s string) { fmt.Println("lost", s) })
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
	for _, policy := range []queue.Overflow{queue.DropOldest, queue.DropLatest} {
		b.Run(fmt.Sprintf("overflow=%s/depth=8", policy), func(b *testing.B) {
			q := queue.New[int](8, policy, nil)
			b.ReportAllocs()
			for b.Loop() {
				_ = q.Put(b.Context(), 1)
			}
			b.ReportMetric(float64(q.Dropped())/float64(b.N), "drops/op")
		})
	}
}
