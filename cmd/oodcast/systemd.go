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

// pulse knows since when the frames that are being scored together have been.
type pulse struct{ work atomic.Pointer[work] }

type work struct {
	begun  time.Time // with its monotonic part: a clock that is set must not look like frames that hang
	frames int
}

func (p *pulse) begin(frames int) { p.work.Store(&work{time.Now(), frames}) }

func (p *pulse) end() { p.work.Store(nil) }

// check returns an error when frames are stuck.
func (p *pulse) check() error {
	now := p.work.Load()
	if now == nil {
		return nil
	}
	if took := time.Since(now.begun); took > scoreLimit*time.Duration(now.frames) {
		return fmt.Errorf("the scoring of frames (%d) has taken %v", now.frames, took.Round(time.Second))
	}
	return nil
}

// manage talks to the service manager until the function that it returns is called.
func (s *service) manage(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		systemd(ctx, s.out.Log, s.turns.pulse.check, s.state)
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
