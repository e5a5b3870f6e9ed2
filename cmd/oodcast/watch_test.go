package main

import (
	"io"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"

	"github.com/oodcast/oodcast/publish/schema"
)

// In a terminal, the view shows the camera, and keys change |T| and the threshold, pause scoring and quit.
func TestWatchInATerminal(t *testing.T) {
	_, nc := yard(t)
	sub := maps(t, nc)
	cmd := command(t, "watch", "--nats", nc.ConnectedUrl())
	cmd.Env = append(cmd.Env, "TERM=xterm-256color")
	tty, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 30, Cols: 140})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tty.Close() })
	var screen lockedBuffer
	drawn := make(chan struct{})
	go func() {
		defer close(drawn)
		_, _ = io.Copy(&screen, tty) // ends with an error when the program ends
	}()
	sees := func(what string) {
		t.Helper()
		for deadline := time.Now().Add(60 * time.Second); !strings.Contains(screen.String(), what); time.Sleep(20 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%q is not on the screen:\n%q", what, screen.String())
			}
		}
	}
	press := func(keys string) {
		t.Helper()
		if _, err := tty.Write([]byte(keys)); err != nil {
			t.Fatal(err)
		}
	}
	sees("yard")
	sees("|T|=5 of 25")
	press("\x1b[C") // right
	sees("|T|=6 of 25")
	before, _ := next(t, sub, 30*time.Second)
	press("]")
	want := before.GetThreshold() + 0.25
	for i := 0; ; i++ {
		if m, _ := next(t, sub, 30*time.Second); m.GetThreshold() == want && len(m.GetModel().GetTimesteps()) == 6 {
			break
		}
		if i > 300 {
			t.Fatalf("no map with threshold %g and |T|=6", want)
		}
	}
	press(" ")
	sees(schema.StatePaused)
	press("q")
	if err := cmd.Wait(); err != nil {
		t.Errorf("watch ended with %v", err)
	}
	<-drawn
}

// In a pipe, watch prints lines until a signal ends it.
func TestWatchInAPipe(t *testing.T) {
	_, nc := yard(t)
	w := start(t, "watch", "--nats", nc.ConnectedUrl(), "--camera", "yard")
	if line := w.find(t, "yard       live"); !strings.Contains(line, "|T|=5") {
		t.Errorf("line %q, want |T|=5", line)
	}
	if code, _ := w.stop(t, syscall.SIGTERM); code != exitDone {
		t.Errorf("exit code %d", code)
	}
	if code, _, stderr := oodcast(t, "watch", "--nats", "nats://operator:hunter2@127.0.0.1:1"); code != exitFailed ||
		strings.Contains(stderr, "hunter2") || strings.Count(stderr, "\n") != 1 {
		t.Errorf("without a server: exit code %d, %s", code, stderr)
	}
	t.Setenv("OODCAST_PUBLISH__URL", "off")
	if code, _, stderr := oodcast(t, "watch"); code != exitUsage || !strings.Contains(stderr, "--nats") {
		t.Errorf("with publishing off: exit code %d, %s", code, stderr)
	}
}
