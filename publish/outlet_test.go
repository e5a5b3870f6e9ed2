package publish_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oodcast/oodcast/publish"
)

// WaitReady waits no longer than a second for an external server, and as long as necessary for an embedded one.
func TestWaitReady(t *testing.T) {
	for url, want := range map[string]error{noServer: nil, "embedded": context.DeadlineExceeded} {
		synctest.Test(t, func(t *testing.T) {
			cfg := publish.DefaultConfig()
			cfg.URL = url
			p, err := publish.New(cfg, nil) // Run is not called: no server answers
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			defer cancel()
			begin := time.Now()
			err = p.WaitReady(ctx)
			if !errors.Is(err, want) {
				t.Errorf("%s: %v, want %v", url, err, want)
			}
			if took := time.Since(begin); want == nil && took != time.Second {
				t.Errorf("%s: waited for %v, want 1s", url, took)
			}
		})
	}
}
