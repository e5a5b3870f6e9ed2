package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A video whose scoring is interrupted leaves no array that looks whole, and is no success.
func TestScoreInterrupted(t *testing.T) {
	out, temp := t.TempDir(), t.TempDir()
	t.Setenv("TMPDIR", temp) // where the array grows
	p := start(t, "score", demoClip(t), "--out", out, "--format", "npy", "--timesteps", "1")
	begun := func() bool {
		unfinished, err := filepath.Glob(filepath.Join(temp, ".vtest_scores.npy*"))
		return err == nil && len(unfinished) > 0
	}
	for deadline := time.Now().Add(60 * time.Second); !begun(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("no array is being written")
		}
	}
	code, _ := p.stop(t, syscall.SIGTERM)
	if code != exitFailed || !strings.Contains(p.stderr.String(), "interrupted") {
		t.Errorf("exit code %d, %q", code, p.stderr.String())
	}
	for _, dir := range []string{out, temp} {
		if files, err := os.ReadDir(dir); err != nil || len(files) != 0 {
			t.Errorf("left %v, %v", files, err)
		}
	}
}
