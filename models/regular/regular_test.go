package regular_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/oodcast/oodcast/models/regular"
)

func TestRead(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	if err := errors.Join(
		os.WriteFile(path("file"), []byte("abc"), 0o600), os.WriteFile(path("sparse"), nil, 0o600), os.Truncate(path("sparse"), 1<<40),
		os.Symlink("file", path("link")), os.Symlink("/dev/zero", path("zero")), os.Symlink("loop", path("loop")),
		syscall.Mkfifo(path("pipe"), 0o600), os.Mkdir(path("folder"), 0o700),
	); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"file": "", "link": "", "sparse": "it has 1099511627776 bytes, at most 3", "zero": "not a regular file", "loop": "too many levels",
		"pipe": "not a regular file", "folder": "it is a folder", "none": "no such file",
	} {
		raw, err := regular.ReadFile(path(name), 3)
		if want == "" && (err != nil || string(raw) != "abc") || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("ReadFile(%s) = %q, %v, want %q", name, raw, err, want)
		}
		f, _, err := regular.OpenIn(dir, name)
		if name == "zero" {
			want = "escapes"
		}
		if name == "sparse" {
			want = ""
		}
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("OpenIn(%s): %v, want %q", name, err, want)
		}
		if err == nil {
			f.Close()
		}
	}
	if _, err := regular.ReadFile(path("file"), 2); err == nil {
		t.Error("three bytes with a limit of two")
	}
	if _, err := regular.ReadFile(path("none"), 2); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v", err)
	}
}

// A file that another program makes shorter after it was opened is refused.
func TestReadShrunk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, []byte("abc"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, size, err := regular.Open(path)
	if err != nil || size != 3 {
		t.Fatal(size, err)
	}
	defer f.Close()
	if _, err := f.Seek(1, 0); err != nil { // as if a byte were gone
		t.Fatal(err)
	}
	if _, err := regular.Read(f, 3); err == nil || !strings.Contains(err.Error(), "ended after 2 of 3") {
		t.Errorf("error %v", err)
	}
}
