package archive

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/renameio/v2"
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

// dir is a directory. If it is removed, put makes it again.
type dir struct{ root string }

func (d dir) path(name string) string { return filepath.Join(d.root, filepath.FromSlash(name)) }

func (dir) name() string { return "dir" }

func (d dir) put(name string, data []byte) error {
	full := d.path(name)
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		return err
	}
	// The temporary file is next to the final one, because a rename across file systems is not atomic.
	return renameio.WriteFile(full, data, 0o644, renameio.WithTempDir(filepath.Dir(full)))
}

func (d dir) get(_ context.Context, name string) ([]byte, error) { return os.ReadFile(d.path(name)) }

// list walks the layout and ignores everything else.
func (d dir) list(ctx context.Context) ([]kept, error) {
	if _, err := os.Stat(d.root); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	root := os.DirFS(d.root)
	folders := []string{"."}
	for range 4 { // site, camera, date, event
		var next []string
		for _, f := range folders {
			entries, err := fs.ReadDir(root, f)
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
			all = append(all, d.event(f))
		}
	}
	return all, nil
}

// event returns the files in the folder of an event, including those that a crash left half-written.
func (d dir) event(in string) kept {
	id, _, at, _ := parseName(in)
	k := kept{id: id, folder: in, at: at}
	entries, err := os.ReadDir(d.path(in))
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
func (d dir) remove(_ context.Context, k kept) error {
	raw, err := os.ReadFile(d.path(path.Join(k.folder, FileEvent)))
	var doc struct {
		Format string `json:"format"`
	}
	if err == nil {
		err = json.Unmarshal(raw, &doc)
	}
	if err != nil || doc.Format != marker {
		return errForeign
	}
	for _, last := range []bool{false, true} {
		for _, f := range k.files {
			if (f == FileEvent) != last {
				continue
			}
			if err := os.Remove(d.path(path.Join(k.folder, f))); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("remove evidence: %w", err)
			}
		}
	}
	_ = os.Remove(d.path(k.folder))           // stays when it holds something else
	_ = os.Remove(d.path(path.Dir(k.folder))) // stays while it holds events of the same day
	return nil
}

// errForeign means that a folder looks like ours, but its event.json does not say so.
var errForeign = errors.New("archive: not our folder")
