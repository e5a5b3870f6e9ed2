package archive

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path"
	"strings"
	"time"
)

// source is a place to read files from. Names have slashes: {site}/{camera}/{date}/{id}/{file}.
type source interface {
	// name is its name in metrics and logs.
	name() string
	// get reads a file, or returns fs.ErrNotExist.
	get(ctx context.Context, name string) ([]byte, error)
}

// shelf is a place that retention cleans up.
type shelf interface {
	name() string
	// list returns all events.
	list(ctx context.Context) ([]kept, error)
	// remove deletes an event's files.
	remove(ctx context.Context, k kept) error
}

// storage is the place where evidence is written first: a directory.
type storage interface {
	source
	shelf
	// put writes a file, whole or not at all.
	put(name string, data []byte) error
}

// kept is the evidence of one event.
type kept struct {
	id     string
	folder string
	at     time.Time
	bytes  int64
	files  []string
}

// marker is in every event.json and identifies the folder as ours.
const marker = "oodcast.event.v1"

// dir is a directory. If it is removed, put makes it again. Whoever may write to it can neither make us write or read anything
// outside, nor in another place inside: no link in it is followed, and only regular files are read.
type dir struct{ root string }

// Permissions: evidence shows people, so only the owner and the group may look at it.
const (
	folderMode = 0o750
	fileMode   = 0o640
)

// errLink means that a link, or something else that is not ours, is in the way.
var errLink = errors.New("archive: a link, or neither a folder nor a file")

func (dir) name() string { return "dir" }

// open opens the directory; with create it makes it if needed.
func (d dir) open(create bool) (*os.Root, error) {
	if create {
		if err := os.MkdirAll(d.root, folderMode); err != nil {
			return nil, err
		}
	}
	return os.OpenRoot(d.root)
}

// checkPath reports whether everything on the way to name is a folder, and name itself, if it exists, a folder or a file.
func checkPath(root *os.Root, name string) error {
	at := ""
	for _, part := range strings.Split(name, "/") {
		at = path.Join(at, part)
		info, err := root.Lstat(at)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		if !info.IsDir() && (at != name || !info.Mode().IsRegular()) {
			return fmt.Errorf("%w: %s", errLink, at)
		}
	}
	return nil
}

func (d dir) put(name string, data []byte) error {
	root, err := d.open(true)
	if err != nil {
		return err
	}
	defer root.Close()
	if err := checkPath(root, name); err != nil {
		return err
	}
	if err := root.MkdirAll(path.Dir(name), folderMode); err != nil {
		return err
	}
	// The temporary file is next to the final one, because a rename across file systems is not atomic.
	temporary := path.Join(path.Dir(name), fmt.Sprintf(".%s%d", path.Base(name), rand.Uint64()))
	if err := writeSynced(root, temporary, data); err != nil {
		return errors.Join(err, root.Remove(temporary))
	}
	if err := root.Rename(temporary, name); err != nil {
		return errors.Join(err, root.Remove(temporary))
	}
	return nil
}

// writeSynced writes a new file that survives a power failure.
func writeSynced(root *os.Root, name string, data []byte) error {
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, fileMode)
	if err != nil {
		return err
	}
	if _, err = f.Write(data); err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func (d dir) get(_ context.Context, name string) ([]byte, error) {
	f, err := d.read(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(f)
}

// read opens a file.
func (d dir) read(name string) (*os.File, error) {
	root, err := d.open(false)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	if err := checkPath(root, name); err != nil {
		return nil, err
	}
	return root.Open(name)
}

// list walks the layout and ignores everything else.
func (d dir) list(ctx context.Context) ([]kept, error) {
	root, err := d.open(false)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer root.Close()
	folders := []string{"."}
	for range 4 { // site, camera, date, event
		var next []string
		for _, f := range folders {
			entries, err := fs.ReadDir(root.FS(), f)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return nil, err
			}
			for _, e := range entries {
				if e.IsDir() { // and not a link, because retention follows none
					next = append(next, path.Join(f, e.Name()))
				}
			}
		}
		folders = next
	}
	var all []kept
	for _, f := range folders {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if _, _, _, ok := parseName(f); ok {
			all = append(all, event(root, f))
		}
	}
	return all, nil
}

// event returns the files in the folder of an event, including those that a crash left half-written.
func (d dir) event(in string) kept {
	root, err := d.open(false)
	if err != nil {
		id, _, at, _ := parseName(in)
		return kept{id: id, folder: in, at: at}
	}
	defer root.Close()
	return event(root, in)
}

func event(root *os.Root, in string) kept {
	id, _, at, _ := parseName(in)
	k := kept{id: id, folder: in, at: at}
	if checkPath(root, in) != nil {
		return k // a link: not ours
	}
	entries, err := fs.ReadDir(root.FS(), in)
	if err != nil {
		return k // removed meanwhile
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !info.Mode().IsRegular() || !isOurs(e.Name()) {
			continue
		}
		k.bytes += info.Size()
		k.files = append(k.files, e.Name())
	}
	return k
}

// isOurs reports whether we have made a file in an event's folder: its name is known, or renameio's temporary name for it.
func isOurs(name string) bool {
	for _, known := range Files() {
		rest, temporary := strings.CutPrefix(name, "."+known)
		if name == known || temporary && rest != "" && strings.Trim(rest, "0123456789") == "" {
			return true
		}
	}
	return false
}

// remove deletes the files, event.json last, and then the folders that are empty. It leaves a folder alone whose
// event.json does not identify it as ours.
func (d dir) remove(ctx context.Context, k kept) error {
	raw, err := d.get(ctx, path.Join(k.folder, FileEvent))
	var doc struct {
		Format string `json:"format"`
	}
	if err == nil {
		err = json.Unmarshal(raw, &doc)
	}
	if err != nil || doc.Format != marker {
		return errForeign
	}
	root, err := d.open(false)
	if err != nil {
		return fmt.Errorf("remove evidence: %w", err)
	}
	defer root.Close()
	for _, last := range []bool{false, true} {
		for _, f := range k.files {
			if (f == FileEvent) != last {
				continue
			}
			if err := root.Remove(path.Join(k.folder, f)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("remove evidence: %w", err)
			}
		}
	}
	_ = root.Remove(k.folder)           // stays when it holds something else
	_ = root.Remove(path.Dir(k.folder)) // stays while it holds events of the same day
	return nil
}

// errForeign means that a folder looks like ours, but its event.json does not say so.
var errForeign = errors.New("archive: not our folder")
