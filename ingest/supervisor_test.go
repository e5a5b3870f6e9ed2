package ingest_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oodcast/oodcast/ingest"
)

// scripted is a source whose runs follow a script, one step per run.
type scripted struct {
	steps []step
	runs  int
	at    []time.Duration // when each run began, counted from start
	start time.Time
}

// step delivers frames, one per interval, waits, and then fails with err; nil ends the stream.
type step struct {
	frames   int
	interval time.Duration
	wait     time.Duration
	err      error
}

func (s *scripted) Run(ctx context.Context, sink ingest.Sink) error {
	st := s.steps[min(s.runs, len(s.steps)-1)]
	s.runs++
	s.at = append(s.at, time.Since(s.start))
	pause := func(d time.Duration) {
		select {
		case <-time.After(d):
		case <-ctx.Done():
		}
	}
	for range st.frames {
		pause(st.interval)
		if ctx.Err() != nil {
			return nil
		}
		f := ingest.NewFrame(1, 1)
		f.Captured = time.Now()
		if err := sink(ctx, f); err != nil {
			return fmt.Errorf("scripted: %w", err)
		}
	}
	pause(st.wait)
	if ctx.Err() != nil {
		return nil
	}
	return st.err
}

func release(_ context.Context, f *ingest.Frame) error {
	f.Release()
	return nil
}

// states records the notifications.
type states struct {
	mu  sync.Mutex
	all []ingest.Status
}

func (s *states) add(st ingest.Status) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, st)
}

func (s *states) names() (names []ingest.State) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, st := range s.all {
		names = append(names, st.State)
	}
	return names
}

var errBroke = fmt.Errorf("camera: %w", ingest.ErrDisconnected)

func supervise(s *scripted, edit func(*ingest.Reconnect)) (*ingest.Supervisor, *states) {
	cfg := ingest.DefaultConfig().Reconnect
	cfg.Jitter = 0
	if edit != nil {
		edit(&cfg)
	}
	s.start = time.Now()
	var seen states
	return ingest.NewSupervisor(s, cfg, seen.add, 1), &seen
}

func TestSupervisorBacksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &scripted{steps: []step{{err: errBroke}}}
		sup, _ := supervise(src, nil)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		defer cancel()
		if err := sup.Run(ctx, release); err != nil {
			t.Errorf("Run() = %v", err)
		}
		var pauses []time.Duration
		for i := 1; i < len(src.at); i++ {
			pauses = append(pauses, (src.at[i] - src.at[i-1]).Round(time.Second))
		}
		want := []time.Duration{1, 2, 4, 8, 16, 32, 60, 60, 60}
		for i := range want {
			want[i] *= time.Second
		}
		if !slices.Equal(pauses, want) {
			t.Errorf("pauses %v, want %v", pauses, want)
		}
		if st := sup.Status(); st.State != ingest.Ended || st.Err != nil || st.Failures != 10 {
			t.Errorf("status %+v", st)
		}
		if got := sup.Reconnects(); got["broke_off"] != 9 || got["timed_out"]+got["no_connection"]+got["other"] != 0 {
			t.Errorf("reconnects %v", got)
		}
	})
}

func TestSupervisorJitterShortensPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &scripted{steps: []step{{err: errBroke}}}
		sup, _ := supervise(src, func(r *ingest.Reconnect) { r.Jitter, r.Max = 0.5, r.Min })
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_ = sup.Run(ctx, release)
		distinct := map[time.Duration]bool{}
		for i := 1; i < len(src.at); i++ {
			pause := src.at[i] - src.at[i-1]
			distinct[pause] = true
			if pause < 500*time.Millisecond || pause > time.Second {
				t.Errorf("pause %v, want 0.5s to 1s", pause)
			}
		}
		if len(distinct) < 10 {
			t.Errorf("only %d different pauses among %d", len(distinct), len(src.at))
		}
	})
}

func TestSupervisorResetsAfterStableTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		short := step{frames: 2, interval: time.Second, err: errBroke}
		long := step{frames: 20, interval: time.Second, err: errBroke}
		src := &scripted{steps: []step{short, short, short, long, {}}}
		sup, _ := supervise(src, nil)
		if err := sup.Run(t.Context(), release); err != nil {
			t.Errorf("Run() = %v", err)
		}
		// 2 s each, then pauses of 1, 2, 4 s; the long run lasts 20 s and its pause is 1 s again.
		want := []time.Duration{0, 3, 7, 13, 34}
		for i, at := range src.at {
			if at.Round(time.Second) != want[i]*time.Second {
				t.Errorf("run %d began after %v, want %v", i, at, want[i]*time.Second)
			}
		}
	})
}

func TestSupervisorStates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &scripted{steps: []step{
			{err: errBroke}, // a failed first connection is tried again too
			{frames: 3, interval: 100 * time.Millisecond, wait: 5 * time.Second, err: errBroke},
			{frames: 1, interval: 100 * time.Millisecond},
		}}
		sup, seen := supervise(src, nil)
		if got := sup.Status().State; got != ingest.Connecting {
			t.Errorf("state before Run %q", got)
		}
		if err := sup.Run(t.Context(), release); err != nil {
			t.Errorf("Run() = %v", err)
		}
		want := []ingest.State{
			ingest.Connecting, ingest.Down, ingest.Connecting, ingest.Live, ingest.Stalled, ingest.Down,
			ingest.Connecting, ingest.Live, ingest.Ended,
		}
		if got := seen.names(); !slices.Equal(got, want) {
			t.Errorf("states %v\nwant %v", got, want)
		}
		if st := seen.all[1]; !errors.Is(st.Err, ingest.ErrDisconnected) || st.Retry != time.Second || st.Failures != 1 {
			t.Errorf("down: %+v", st)
		}
	})
}

func TestSupervisorStalledAndBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &scripted{steps: []step{{frames: 3, interval: 3 * time.Second}}}
		sup, seen := supervise(src, nil)
		_ = sup.Run(t.Context(), release)
		want := []ingest.State{
			ingest.Connecting, ingest.Live, ingest.Stalled, ingest.Live, ingest.Stalled, ingest.Live, ingest.Ended,
		}
		if got := seen.names(); !slices.Equal(got, want) {
			t.Errorf("states %v\nwant %v", got, want)
		}
	})
}

func TestSupervisorSlowSinkIsNoStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &scripted{steps: []step{{frames: 3, interval: 100 * time.Millisecond}}}
		sup, seen := supervise(src, nil)
		_ = sup.Run(t.Context(), func(_ context.Context, f *ingest.Frame) error {
			f.Release()
			<-time.After(10 * time.Second)
			return nil
		})
		if slices.Contains(seen.names(), ingest.Stalled) {
			t.Errorf("states %v: a slow sink made the stream stalled", seen.names())
		}
	})
}

func TestSupervisorEnds(t *testing.T) {
	missing := fmt.Errorf("open: %w", ingest.ErrNotFound)
	full := errors.New("disk full")
	for _, tt := range []struct {
		name string
		step step
		sink ingest.Sink
		want error
	}{
		{"end of stream", step{frames: 2, interval: time.Second}, release, nil},
		{"permanent error", step{err: missing}, release, missing},
		{"sink fails", step{frames: 2, interval: time.Second}, func(_ context.Context, f *ingest.Frame) error {
			f.Release()
			return full
		}, full},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				src := &scripted{steps: []step{tt.step}}
				sup, _ := supervise(src, nil)
				if err := sup.Run(t.Context(), tt.sink); !errors.Is(err, tt.want) || (err == nil) != (tt.want == nil) {
					t.Errorf("Run() = %v, want %v", err, tt.want)
				}
				if src.runs != 1 || sup.Status().State != ingest.Ended {
					t.Errorf("%d runs, status %+v", src.runs, sup.Status())
				}
			})
		})
	}
}

func TestSupervisorStopsWhileItWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &scripted{steps: []step{{err: errBroke}}}
		sup, _ := supervise(src, func(r *ingest.Reconnect) { r.Min, r.Max = time.Hour, time.Hour })
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- sup.Run(ctx, release) }()
		synctest.Wait()
		cancel()
		if err := <-done; err != nil || time.Since(src.start) > time.Second || src.runs != 1 {
			t.Errorf("Run() = %v after %v and %d runs", err, time.Since(src.start), src.runs)
		}
	})
}

// patient waits for something before its frame.
type patient struct{ scripted }

func (*patient) Waiting() error { return ingest.ErrNoKeyFrame }

// The status tells once what an open stream waits for, and forgets it with the first frame.
func TestStatusTellsWhatTheStreamWaitsFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &patient{scripted{steps: []step{{frames: 1, interval: time.Minute}}}}
		seen := &states{}
		err := ingest.NewSupervisor(src, ingest.DefaultConfig().Reconnect, seen.add, 1).Run(t.Context(), release)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, st := range seen.all {
			got = append(got, fmt.Sprint(st.State, " ", st.Err))
		}
		if want := []string{"connecting <nil>", "connecting waiting for a key frame", "live <nil>", "ended <nil>"}; !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	})
}
