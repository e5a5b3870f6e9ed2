package main

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// When NATS refuses the password while frames are queued, run ends, names the setting to check, and does not print the
// password.
func TestRefusedByNATS(t *testing.T) {
	s := startNATS(t, server.Options{Port: server.RANDOM_PORT, Username: "bob", Password: "right", NoSigs: true})
	t.Setenv("OODCAST_PUBLISH__STATE_DIR", t.TempDir())
	clip := demoClip(t)
	var stdout, stderr strings.Builder
	done := make(chan int, 1)
	go func() {
		done <- run(context.Background(), []string{
			"run", "--source", clip, "--http", "off", "--nats", strings.Replace(s.ClientURL(), "nats://", "nats://bob:hunter2@", 1),
		}, &stdout, &stderr)
	}()
	select {
	case code := <-done:
		if code != exitFailed || !strings.Contains(stderr.String(), "check publish.user and password") ||
			strings.Contains(stdout.String()+stderr.String(), "hunter2") {
			t.Errorf("exit code %d:\n%s%s", code, &stdout, &stderr)
		}
	case <-time.After(time.Minute):
		t.Fatal("run did not end within a minute")
	}
}
