package archive

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path"
	"path/filepath"
	"syscall"
	"testing"
)

// Nobody who may write to the folder makes us write, read or remove anything through a link, wherever it is: on the way to a file,
// or in its place, to another folder, or to another place in the archive.
func TestLinksAreNotFollowed(t *testing.T) {
	id := "front-1700000000000-0123abcd"
	in, err := folder("home", id)
	if err != nil {
		t.Fatal(err)
	}
	name := path.Join(in, FileFrame)
	for at := name; at != "."; at = path.Dir(at) {
		for _, inside := range []bool{false, true} {
			root, outside := t.TempDir(), t.TempDir()
			if inside {
				outside = filepath.Join(root, "other")
			}
			rest, err := filepath.Rel(at, name)
			if err != nil {
				t.Fatal(err)
			}
			target := filepath.Join(outside, "target")
			victim := filepath.Join(target, rest)
			if err := errors.Join(os.MkdirAll(filepath.Dir(victim), 0o755), os.WriteFile(victim, []byte("secret"), 0o600),
				os.WriteFile(filepath.Join(filepath.Dir(victim), FileEvent), []byte(`{"format":"`+marker+`"}`), 0o600),
				os.MkdirAll(filepath.Dir(filepath.Join(root, at)), 0o755), os.Symlink(target, filepath.Join(root, at))); err != nil {
				t.Fatal(err)
			}
			d := dir{root}
			if err := d.put(name, []byte("picture")); !errors.Is(err, errLink) {
				t.Errorf("put through a link at %s (inside: %v) = %v", at, inside, err)
			}
			if data, err := d.get(context.Background(), name); !errors.Is(err, errLink) {
				t.Errorf("get through a link at %s (inside: %v) = %q, %v", at, inside, data, err)
			}
			if err := d.remove(context.Background(), kept{id: id, folder: in, files: []string{FileFrame}}); at != name && err == nil {
				t.Errorf("remove through a link at %s (inside: %v) succeeds", at, inside)
			}
			if at != name && len(d.event(in).files) != 0 {
				t.Errorf("event through a link at %s (inside: %v) has files", at, inside)
			}
			if data, err := os.ReadFile(victim); err != nil || string(data) != "secret" {
				t.Errorf("the file behind a link at %s (inside: %v) holds %q, %v", at, inside, data, err)
			}
		}
	}
}

// A pipe in the place of a file is neither read, which would wait for ever, nor written.
func TestPipesAreNotRead(t *testing.T) {
	d := dir{t.TempDir()}
	if err := errors.Join(os.Mkdir(filepath.Join(d.root, "a"), 0o755), syscall.Mkfifo(filepath.Join(d.root, "a", "b"), 0o644)); err != nil {
		t.Fatal(err)
	}
	if _, err := d.get(context.Background(), "a/b"); !errors.Is(err, errLink) {
		t.Errorf("get of a pipe = %v", err)
	}
	if err := d.put("a/b", nil); !errors.Is(err, errLink) {
		t.Errorf("put to a pipe = %v", err)
	}
}

// The queue of the object store is not written through a link either.
func TestQueueIsNotALink(t *testing.T) {
	root, outside := t.TempDir(), t.TempDir()
	if err := os.Symlink(outside, filepath.Join(root, markers)); err != nil {
		t.Fatal(err)
	}
	cfg := DefaultConfig()
	cfg.ObjectStore, cfg.Dir = true, root
	a, err := New(cfg, "home", WithObjectStore(nil, "b", root), WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	a.store.mark("front-1700000000000-0123abcd")
	if entries, err := os.ReadDir(outside); err != nil || len(entries) != 0 {
		t.Errorf("the folder behind the link holds %v, %v", entries, err)
	}
}

// Evidence shows people: only the owner and the group may look at it.
func TestPermissions(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0))
	d := dir{filepath.Join(t.TempDir(), "evidence", "here")}
	if err := d.put("home/front/2024-01-01/x/"+FileFrame, []byte("picture")); err != nil {
		t.Fatal(err)
	}
	cfg := DefaultConfig()
	cfg.ObjectStore, cfg.Dir = true, d.root
	a, err := New(cfg, "home", WithObjectStore(nil, "b", d.root))
	if err != nil {
		t.Fatal(err)
	}
	a.store.mark("front-1700000000000-0123abcd")
	err = filepath.WalkDir(filepath.Dir(d.root), func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if want := map[bool]fs.FileMode{true: fs.ModeDir | 0o750, false: 0o640}[e.IsDir()]; err != nil || info.Mode() != want {
			t.Errorf("%s has %v, %v, want %v", path, info.Mode(), err, want)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// A file appears whole or not at all, and a failure leaves nothing behind.
func TestPutIsWhole(t *testing.T) {
	d := dir{t.TempDir()}
	if err := errors.Join(d.put("a/b.jpg", []byte("one")), d.put("a/b.jpg", []byte("two"))); err != nil {
		t.Fatal(err)
	}
	if err := d.put("a", []byte("a folder is there")); err == nil {
		t.Error("put over a folder succeeds")
	}
	if data, err := d.get(context.Background(), "a/b.jpg"); err != nil || string(data) != "two" {
		t.Errorf("get = %q, %v", data, err)
	}
	for _, in := range []string{".", "a"} {
		if entries, err := os.ReadDir(filepath.Join(d.root, in)); err != nil || len(entries) != 1 {
			t.Errorf("%s holds %v, %v", in, entries, err)
		}
	}
}
