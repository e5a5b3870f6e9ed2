package ort

import (
	"errors"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
)

// A session whose creation was interrupted is closed once it is there, and keeps the library until then.
func TestInterruptedSessionIsClosed(t *testing.T) {
	open(t)
	model := chain(t, 8, 2)
	in, out, err := ports(model, false)
	if err != nil {
		t.Fatal(err)
	}
	users := process.users
	synctest.Test(t, func(t *testing.T) {
		begin, stop := make(chan struct{}), make(chan struct{})
		close(stop)
		var s *Session
		_, err := interruptible(func() (*Session, error) {
			<-begin
			retain()
			var err error
			s, err = newSession(model, in, out, Options{})
			return s, err
		}, stop)
		if !errors.Is(err, ErrInterrupted) {
			t.Errorf("interruptible() = %v", err)
		}
		close(begin)
		synctest.Wait()
		if s == nil || s.session != nil || process.users != users {
			t.Errorf("the session is open, or %d users of the library are left, want %d", process.users, users)
		}
	})
	stop := make(chan struct{})
	if s, err := NewSession(model, Options{Interrupt: stop}); err != nil || s.Close() != nil {
		t.Errorf("NewSession() with an interrupt that does not come: %v", err)
	}
}

func TestThreadsAreBounded(t *testing.T) {
	most := MaxThreads()
	if most < runtime.NumCPU() && most < 1024 || most > 1024 {
		t.Errorf("MaxThreads() = %d with %d CPUs", most, runtime.NumCPU())
	}
	for _, n := range []int{-1, most + 1, 10_000, 1_000_000} {
		c := DefaultConfig()
		c.Threads = n
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), "want 0 (one per core) to ") {
			t.Errorf("Validate() with %d threads = %v", n, err)
		}
		if _, err := NewSession(chain(t, 8, 2), Options{Threads: n}); err == nil {
			t.Errorf("NewSession() with %d threads succeeds", n)
		}
	}
	c := DefaultConfig()
	if c.Threads = most; c.Validate() != nil {
		t.Errorf("Validate() with %d threads = %v", most, c.Validate())
	}
}
