package main

import (
	"context"
	"fmt"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// notifySystemd reports readiness, status and shutdown to the service manager (sd_notify(3), Type=notify) until ctx is done.
// With WatchdogSec it also sends two pings per interval, but only while scoring does not hang, so that systemd restarts a
// service that hangs. Without a service manager it does nothing.
func (s *service) notifySystemd(ctx context.Context) {
	log := s.env.Log
	notify := func(state string) bool {
		sent, err := daemon.SdNotify(false, state)
		if err != nil {
			log.Warn("systemd", "err", err)
		}
		return sent
	}
	if !notify(daemon.SdNotifyReady + "\nSTATUS=" + s.pipeline.Summary()) {
		return
	}
	defer notify(daemon.SdNotifyStopping)
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
		state := "STATUS=" + s.pipeline.Summary()
		switch err := s.pipeline.Alive(); {
		case err != nil:
			log.Error("watchdog", "err", err)
		case interval > 0:
			state += "\n" + daemon.SdNotifyWatchdog
		}
		notify(state)
	}
}
