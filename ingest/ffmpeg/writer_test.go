package ffmpeg_test

import (
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/oodcast/oodcast/ingest/ffmpeg"
)

// noise returns a picture that no encoder makes small.
func noise(w, h, seed int) []byte {
	b := make([]byte, 3*w*h)
	x := uint32(seed + 1)
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	return b
}

// film writes pictures of w x h at the given times.
func film(t *testing.T, path string, w, h int, times ...time.Duration) error {
	t.Helper()
	out, err := ffmpeg.Create(path, w, h, 10)
	if err != nil {
		return err
	}
	for i, at := range times {
		if err := out.Write(noise(w, h, i), at); err != nil {
			return errors.Join(err, out.Discard())
		}
	}
	return out.Close()
}

// onlyFile fails unless the folder holds the named file alone, or nothing if name is empty.
func onlyFile(t *testing.T, dir, name string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if got := strings.Join(names, " "); got != name {
		t.Errorf("the folder holds %q, want %q", got, name)
	}
}

// Pictures keep their times, whether these are regular or not.
func TestWriterKeepsTimes(t *testing.T) {
	const ms = time.Millisecond
	for name, times := range map[string][]time.Duration{
		"matroska's 30 a second": {0, 33 * ms, 67 * ms, 100 * ms, 133 * ms, 167 * ms},
		"a long first picture":   {0, 2000 * ms, 2033 * ms, 2067 * ms},
		"slower and slower":      {0, 10 * ms, 30 * ms, 200 * ms, 1200 * ms},
		"one":                    {0},
		"29.97 a second":         {0, time.Second * 1001 / 30000, time.Second * 2002 / 30000, time.Second * 3003 / 30000},
	} {
		path := filepath.Join(t.TempDir(), "film.mp4")
		if err := film(t, path, 64, 48, times...); err != nil {
			t.Fatal(err)
		}
		onlyFile(t, filepath.Dir(path), "film.mp4")
		r, err := ffmpeg.Open(t.Context(), "file:"+path, ffmpeg.Options{MaxPixels: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		for i, want := range times {
			if _, _, err := r.Next(); err != nil {
				t.Fatalf("%s: picture %d: %v", name, i, err)
			}
			if at, ok := r.Time(); !ok || math.Abs((at-want).Seconds()) > 1./60000 {
				t.Errorf("%s: picture %d at %v, want %v", name, i, at, want)
			}
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		want := 100 * ms // of a single picture: Create's rate
		if n := len(times); n > 1 {
			want = 2*times[n-1] - times[n-2]
		}
		if got := duration(t, path); math.Abs((got - want).Seconds()) > 0.002 {
			t.Errorf("%s: plays for %v, want %v", name, got, want)
		}
	}
}

func duration(t *testing.T, path string) time.Duration {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "ffprobe", "-v", "error", "-of", "csv=p=0", "-show_entries",
		"format=duration", path).CombinedOutput()
	d, parseErr := time.ParseDuration(strings.TrimSpace(string(out)) + "s")
	if err != nil || parseErr != nil {
		t.Fatalf("ffprobe: %v: %s", err, out)
	}
	return d
}

func TestWriterSizes(t *testing.T) {
	for _, s := range []struct{ w, h, filmW, filmH int }{
		{1, 1, 2, 2}, {1, 9, 2, 8}, {65, 1, 64, 2}, {2, 2, 2, 2}, {33, 17, 32, 16}, {1920, 1080, 1920, 1080},
	} {
		path := filepath.Join(t.TempDir(), "film.mp4")
		if err := film(t, path, s.w, s.h, 0, time.Second); err != nil {
			t.Errorf("%dx%d: %v", s.w, s.h, err)
			continue
		}
		pictures, r := decode(t, path, ffmpeg.Options{MaxPixels: 1 << 24})
		if len(pictures) != 2 || pictures[0].w != s.filmW || pictures[0].h != s.filmH {
			t.Errorf("%dx%d: %d pictures, want 2 of %dx%d", s.w, s.h, len(pictures), s.filmW, s.filmH)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
}

// A disk that fills up leaves no film, wherever in the film it happens.
func TestWriterDiskFull(t *testing.T) {
	times := make([]time.Duration, 20)
	for i := range times {
		times[i] = time.Duration(i) * 100 * time.Millisecond
	}
	whole := filepath.Join(t.TempDir(), "whole.mp4")
	if err := film(t, whole, 128, 128, times...); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(whole)
	if err != nil {
		t.Fatal(err)
	}
	for _, room := range []int64{0, 16, 4096, info.Size() / 2, info.Size() - 2000, info.Size() - 1} {
		dir := t.TempDir()
		err := limited(t, room, func() error { return film(t, filepath.Join(dir, "film.mp4"), 128, 128, times...) })
		if err == nil || !strings.Contains(err.Error(), `film.mp4": `) {
			t.Errorf("room for %d of %d bytes: %v", room, info.Size(), err)
		}
		onlyFile(t, dir, "")
	}
	if os.Geteuid() != 0 {
		return
	}
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", info.Size()/2)); err != nil {
		t.Logf("no tmpfs here: %v", err)
		return
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	err = film(t, filepath.Join(dir, "film.mp4"), 128, 128, times...)
	if err == nil || !strings.Contains(err.Error(), "No space left on device") {
		t.Errorf("a full file system: %v", err)
	}
	onlyFile(t, dir, "")
}

// limited calls f while files may not grow beyond size, which fails as a full disk does.
func limited(t *testing.T, size int64, f func() error) error {
	t.Helper()
	signal.Ignore(syscall.SIGXFSZ)
	defer signal.Reset(syscall.SIGXFSZ)
	var was syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &was); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: uint64(size), Max: was.Max}); err != nil {
		t.Fatal(err)
	}
	err := f()
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &was); err != nil {
		t.Fatal(err)
	}
	return err
}

func TestWriterDiscards(t *testing.T) {
	dir := t.TempDir()
	w, err := ffmpeg.Create(filepath.Join(dir, "film.mp4"), 64, 48, 25)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Write(noise(64, 48, 1), 0); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.Discard(), w.Discard(), w.Close()); err != nil {
		t.Error(err)
	}
	onlyFile(t, dir, "")
	if err := w.Write(noise(64, 48, 1), 0); err == nil {
		t.Error("a discarded film takes a picture")
	}
	for _, bad := range []struct {
		w, h int
		rate float64
	}{{0, 1, 10}, {1, 20000, 10}, {8, 8, 0}, {8, 8, math.NaN()}} {
		if _, err := ffmpeg.Create(filepath.Join(dir, "film.mp4"), bad.w, bad.h, bad.rate); err == nil {
			t.Errorf("Create(%+v) succeeds", bad)
		}
	}
	if _, err := ffmpeg.Create(filepath.Join(dir, "none", "film.mp4"), 8, 8, 10); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no folder: %v", err)
	}
	onlyFile(t, dir, "")
}
