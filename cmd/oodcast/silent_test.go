package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// FFmpeg never writes to stderr, also after a film has been written: its lines contain addresses with their credentials.
func TestFFmpegIsSilent(t *testing.T) {
	dir := t.TempDir()
	film := filepath.Join(dir, "film.mp4")
	if out, err := exec.CommandContext(t.Context(), "ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc=size=128x96:rate=10:duration=3",
		"-c:v", "libx264", "-pix_fmt", "yuv420p", film).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	raw, err := os.ReadFile(film)
	if err != nil {
		t.Fatal(err)
	}
	for i := 600; i < len(raw)/2; i += 200 {
		raw[i] ^= 0xff
	}
	damaged := write(t, filepath.Join(dir, "damaged.mp4"), string(raw))
	code, _, stderr := oodcast(t, "score", "--timesteps", "1", "--size", "64x64", "--format", "overlay", "--out", dir, film, damaged)
	if code != exitDone || strings.Contains(stderr, " @ 0x") || stderr != "" {
		t.Errorf("exit code %d, stderr: %s", code, stderr)
	}
}
