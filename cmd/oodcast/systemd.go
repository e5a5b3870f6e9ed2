package main

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

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
