package main

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"github.com/oodcast/oodcast/ingest"
)

// scoreLimit is how long the scoring of one frame may take before the service counts as hanging. A first frame on a GPU
// takes seconds.
const scoreLimit = 20 * time.Second

// pulse knows since when the frame that is being scored has been.
type pulse struct{ begun atomic.Pointer[time.Time] }

func (p *pulse) begin() {
	now := time.Now() // with its monotonic part: a clock that is set must not look like a frame that hangs
	p.begun.Store(&now)
}

func (p *pulse) end() { p.begun.Store(nil) }

// check returns an error when a frame is stuck.
func (p *pulse) check() error {
	begun := p.begun.Load()
	if begun == nil {
		return nil
	}
	if took := time.Since(*begun); took > scoreLimit {
		return fmt.Errorf("the scoring of one frame has taken %v", took.Round(time.Second))
	}
	return nil
}

// manage talks to the service manager until the function that it returns is called.
func (s *service) manage(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		systemd(ctx, s.out.Log, s.pulse.check, s.state)
	}()
	return func() {
		cancel()
		<-done
	}
}

// state is what systemctl status shows.
func (s *service) state() string {
	live, maps := 0, uint64(0)
	cameras := s.all()
	for _, c := range cameras {
		if c.source.Status().State == ingest.Live {
			live++
		}
		maps += c.scored.Load()
	}
	return fmt.Sprintf("%d of %d cameras deliver, %d maps", live, len(cameras), maps)
}

// systemd tells the service manager that started us (sd_notify(3), Type=notify) that we are ready, how we are, and that
// we stop, until ctx is done. With WatchdogSec it pings twice in that time, but only while alive returns nil: a service
// that hangs is killed and started again. Without a service manager it does nothing.
func systemd(ctx context.Context, log *slog.Logger, alive func() error, status func() string) {
	tell := func(state string) bool {
		sent, err := daemon.SdNotify(false, state)
		if err != nil {
			log.Warn("systemd", "err", err)
		}
		return sent
	}
	if !tell(daemon.SdNotifyReady + "\nSTATUS=" + status()) {
		return
	}
	defer tell(daemon.SdNotifyStopping)
	interval, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		log.Warn("systemd", "err", fmt.Errorf("WATCHDOG_USEC: %w", err))
	}
	every := 10 * time.Second
	if interval > 0 {
		every = interval / 2
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		state := "STATUS=" + status()
		switch err := alive(); {
		case err != nil:
			log.Error("watchdog", "err", err)
		case interval > 0:
			state += "\n" + daemon.SdNotifyWatchdog
		}
		tell(state)
	}
}
