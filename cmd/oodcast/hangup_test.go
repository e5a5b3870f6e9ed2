package main

import (
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// When the terminal is closed, a service without a configuration file ends in order, and so does any other verb; with a file,
// SIGHUP is a reload, also while the service starts.
func TestHangup(t *testing.T) {
	clip := demoClip(t)
	quiet := []string{"--http", "127.0.0.1:0", "--nats", "off"}
	t.Run("service", func(t *testing.T) {
		p := start(t, append([]string{"run", "--source", clip}, quiet...)...)
		p.find(t, "page")
		if code, _ := p.stop(t, syscall.SIGHUP); code != exitDone {
			t.Errorf("exit code %d", code)
		}
	})
	t.Run("score", func(t *testing.T) {
		dir := t.TempDir()
		picturesOf(t, dir, 1, false)
		p := start(t, "score", "--format", "json", "--out", dir, filepath.Join(dir, "images", "a.png"), clip)
		p.find(t, "a.png: 1 frame")
		if code, _ := p.stop(t, syscall.SIGHUP); code != exitFailed || !strings.Contains(p.stderr.String(), "interrupted") &&
			!strings.Contains(p.stderr.String(), "canceled") {
			t.Errorf("exit code %d: %s", code, p.stderr.String())
		}
	})
	t.Run("reload while starting", func(t *testing.T) {
		site := write(t, filepath.Join(t.TempDir(), "site.yaml"), "publish: {url: \"off\"}\npreview: {listen: \"off\"}\nbundle: "+slowBundle(t)+
			"\ncameras:\n- {name: a, uri: "+clip+"}\n")
		p := start(t, "run", "--config", site)
		time.Sleep(1500 * time.Millisecond) // until the signal is expected; with less time, the test would try something else
		if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		select {
		case <-p.done:
			t.Fatalf("SIGHUP ended oodcast: %v", p.cmd.ProcessState)
		case <-time.After(time.Second):
		}
		if code, took := p.stop(t, syscall.SIGTERM); code != exitDone || took > 3*time.Second {
			t.Errorf("exit code %d after %v", code, took)
		}
	})
	t.Run("nohup", func(t *testing.T) {
		cmd := command(t, append([]string{"run", "--source", clip}, quiet...)...)
		nohup := exec.CommandContext(t.Context(), "nohup", cmd.Args...)
		nohup.Env, nohup.Dir = cmd.Env, cmd.Dir
		p := launch(t, nohup)
		p.find(t, "page")
		if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		select {
		case <-p.done:
			t.Fatal("SIGHUP ended oodcast, though nohup ignores it")
		case <-time.After(time.Second):
		}
		if code, _ := p.stop(t, syscall.SIGTERM); code != exitDone {
			t.Errorf("exit code %d", code)
		}
	})
}
