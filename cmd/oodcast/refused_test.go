package main

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// TestRefusedByNATS has frames waiting when NATS refuses the password for good: run ends, says which setting to check, and
// does not tell the password.
func TestRefusedByNATS(t *testing.T) {
	s, err := server.NewServer(&server.Options{Port: server.RANDOM_PORT, Username: "bob", Password: "right", NoSigs: true})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(10 * time.Second) {
		t.Fatal("the NATS server does not start")
	}
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
		t.Fatal("run does not end")
	}
}
