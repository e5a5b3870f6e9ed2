package archive_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/oodcast/oodcast/detector/events"
)

// Retention removes our evidence, oldest first, and nothing else.
func TestRetention(t *testing.T) {
	cfg := config(t)
	cfg.MaxAge, cfg.MaxMB = 10*24*time.Hour, 1
	now := time.Now()
	put := func(age time.Duration, digits string, bytes int, doc string) string {
		at := now.Add(-age)
		in := filepath.Join(cfg.Dir, "home", "front", at.UTC().Format("2006-01-02"), fmt.Sprintf("front-%d-%s", at.UnixMilli(), digits))
		write(t, filepath.Join(in, "event.json"), []byte(doc))
		write(t, filepath.Join(in, "clip.webm"), make([]byte, bytes))
		return in
	}
	const ours = `{"format": "oodcast.event.v1"}`
	tooOld := put(11*24*time.Hour, "00000001", 10, ours)
	oldest := put(3*time.Hour, "00000002", 500_000, ours)
	write(t, filepath.Join(oldest, ".clip.webm4711"), make([]byte, 10)) // left behind by a crash
	newer := put(2*time.Hour, "00000003", 500_000, ours)
	newest := put(time.Hour, "00000004", 400_000, ours)
	foreign := put(12*24*time.Hour, "00000005", 10, `{"format": "something else"}`)
	mixed := put(13*24*time.Hour, "00000006", 10, ours)
	write(t, filepath.Join(mixed, "notes.txt"), []byte("mine"))
	strange := []string{
		filepath.Join(cfg.Dir, "readme.txt"), filepath.Join(cfg.Dir, "home", "front", "2001-01-01", "holiday.jpg"),
		filepath.Join(cfg.Dir, "home", "front", "2001-01-01", "front-1-xyz", "event.json"), filepath.Join(mixed, "notes.txt"),
		filepath.Join(foreign, "clip.webm"),
	}
	for _, s := range strange[:3] {
		write(t, s, []byte(ours))
	}
	outside := t.TempDir()
	write(t, filepath.Join(outside, "event.json"), []byte(ours))
	old := now.Add(-30 * 24 * time.Hour).UTC()
	link := filepath.Join(cfg.Dir, "home", "front", old.Format("2006-01-02"), fmt.Sprintf("front-%d-00000007", old.UnixMilli()))
	if err := errors.Join(os.MkdirAll(filepath.Dir(link), 0o755), os.Symlink(outside, link)); err != nil {
		t.Fatal(err)
	}

	y := newYard(t, cfg)
	eventually(t, "the removal of three events", func() bool { return y.metric("oodcast_archive_removed_total", "") == 3 })
	eventually(t, "the size in the metrics", func() bool { return y.metric("oodcast_archive_bytes", "dir") > 0 })
	for _, gone := range []string{tooOld, oldest, filepath.Join(mixed, "clip.webm")} {
		if exists(gone) {
			t.Errorf("%s is still there", gone)
		}
	}
	for _, stays := range append(strange, newer, newest, filepath.Join(outside, "event.json"), link) {
		if !exists(stays) {
			t.Errorf("%s is gone", stays)
		}
	}
	if n := y.metric("oodcast_archive_bytes", "dir"); n < 900_000 || n > 1_000_000 {
		t.Errorf("the metrics report %v bytes, want 900 kB", n)
	}
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, data, 0o600)); err != nil {
		t.Fatal(err)
	}
}

// A full disk is counted and stops nothing. When there is room again, evidence is kept again.
func TestFullDisk(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can mount a small disk")
	}
	disk := t.TempDir()
	if err := syscall.Mount("none", disk, "tmpfs", 0, "size=512k"); err != nil {
		t.Skipf("no small disk here: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(disk, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	ballast := filepath.Join(disk, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 1<<20), 0o600); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("the disk is not full: %v", err)
	}
	cfg := config(t)
	cfg.Dir, cfg.Clip.FPS = filepath.Join(disk, "archive"), 0
	y := newYard(t, cfg)
	y.event()
	eventually(t, "an error in the metrics", func() bool { return y.metric("oodcast_archive_errors_total", "dir") > 0 })
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	start, _ := y.event()
	eventually(t, "evidence when there is room", func() bool {
		_, err := y.a.File(t.Context(), start.ID, "snapshot.jpg")
		return err == nil
	})
}

// When nothing can be written, messages stop referring to evidence.
func TestDirectoryThatCannotBe(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	write(t, file, nil)
	cfg := config(t)
	cfg.Dir, cfg.Clip.FPS = filepath.Join(file, "archive"), 0
	y := newYard(t, cfg)
	for range 8 {
		y.show(6)
	}
	eventually(t, "an error in the metrics", func() bool { return y.metric("oodcast_archive_errors_total", "dir") > 0 })
	// The writer counts the failure just before it notes it: one more update may refer to evidence.
	eventually(t, "an update without reference", func() bool {
		for range 11 {
			y.show(6)
		}
		last := y.told[len(y.told)-1]
		return last.Type == events.Update && last.Snapshot == ""
	})
	if _, err := y.a.File(t.Context(), y.told[0].ID, "snapshot.jpg"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("File() = %v, want fs.ErrNotExist", err)
	}
}

// A directory that is removed while events arrive is made again.
func TestDirectoryRemoved(t *testing.T) {
	cfg := config(t)
	y := newYard(t, cfg)
	for range 8 {
		y.show(6)
	}
	eventually(t, "a picture", func() bool { _, err := y.a.File(t.Context(), y.told[0].ID, "snapshot.jpg"); return err == nil })
	eventually(t, "the directory removed", func() bool { return os.RemoveAll(cfg.Dir) == nil }) // files may come in between
	for range 60 {
		y.show(0)
	}
	_, end := y.event()
	eventually(t, "the next film", func() bool { return exists(filepath.Join(cfg.Dir, filepath.FromSlash(end.Clip))) })
}
