package main

import (
	"context"
	"fmt"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// manage tells the service manager that started us (sd_notify(3), Type=notify) that we are ready, how we are, and that we
// stop, until ctx is done. With WatchdogSec it pings twice in that time, but only while the scoring does not hang: a service
// that hangs is killed and started again. Without a service manager it does nothing.
func (s *service) manage(ctx context.Context) {
	log := s.env.Log
	tell := func(state string) bool {
		sent, err := daemon.SdNotify(false, state)
		if err != nil {
			log.Warn("systemd", "err", err)
		}
		return sent
	}
	if !tell(daemon.SdNotifyReady + "\nSTATUS=" + s.pipeline.Summary()) {
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
		state := "STATUS=" + s.pipeline.Summary()
		switch err := s.pipeline.Alive(); {
		case err != nil:
			log.Error("watchdog", "err", err)
		case interval > 0:
			state += "\n" + daemon.SdNotifyWatchdog
		}
		tell(state)
	}
}
