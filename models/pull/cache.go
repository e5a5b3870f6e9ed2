package pull

import (
	"context"
	"crypto/sha1" //nolint:gosec // git names its blobs by it
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/oodcast/oodcast/models/regular"
)

// want is what is known of a file before it arrives.
type want struct {
	name   string
	size   int64  // -1: unknown
	sha256 string // "": unknown
	blob   string // the name that git gives to the content, for files that are not in the large-file store; "": unknown
	commit string // that the server states with the file; "": any
}

// sums are the checksums of a file.
type sums struct{ sha256, blob string }

// summer computes both checksums of a stream of known length.
type summer struct{ sha, git hash.Hash }

// newSummer returns a summer for size bytes, as git hashes them; -1 leaves that out.
func newSummer(size int64) *summer {
	s := &summer{sha: sha256.New()}
	if size >= 0 {
		s.git = sha1.New() //nolint:gosec // see the import
		fmt.Fprintf(s.git, "blob %d\x00", size)
	}
	return s
}

// Write implements io.Writer.
func (s *summer) Write(b []byte) (int, error) {
	if s.git != nil {
		s.git.Write(b)
	}
	return s.sha.Write(b)
}

func (s *summer) sums() sums {
	out := sums{sha256: hex.EncodeToString(s.sha.Sum(nil))}
	if s.git != nil {
		out.blob = hex.EncodeToString(s.git.Sum(nil))
	}
	return out
}

// sumFile returns the checksums and the size of a regular file.
func sumFile(path string) (sums, int64, error) {
	f, size, err := regular.Open(path)
	if err != nil {
		return sums{}, 0, err
	}
	defer f.Close()
	s := newSummer(size)
	n, err := io.Copy(s, f)
	if err == nil && n != size {
		err = errors.New("the file changed while it was read")
	}
	return s.sums(), n, err
}

// check compares a complete file with what is known of it.
func (w want) check(got sums, size int64) error {
	switch {
	case w.size >= 0 && size != w.size:
		return fmt.Errorf("%w: %s has %d bytes, want %d", ErrChecksum, w.name, size, w.size)
	case w.sha256 != "" && got.sha256 != w.sha256:
		return fmt.Errorf("%s: %w", w.name, mismatch(got.sha256, w.sha256))
	case w.sha256 == "" && w.blob != "" && got.blob != w.blob:
		return fmt.Errorf("%w: %s is git blob %s, want %s: the file was changed, or is another one", ErrChecksum, w.name, got.blob, w.blob)
	}
	return nil
}

// cached returns the checksums of a file that is in the cache and right. They are empty if there is none, a wrong one, or
// nothing to compare it with.
func (p *Puller) cached(path string, w want) (sums, error) {
	got, size, err := sumFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && w.sha256 == "" && w.blob == "":
		return sums{}, nil
	case err != nil:
		return sums{}, fmt.Errorf("cache %q: %w", path, reason(err))
	}
	if err := w.check(got, size); err != nil {
		p.note("%s in the cache is damaged, or not the one that is asked for", w.name)
		return sums{}, nil
	}
	return got, nil
}

func (p *Puller) note(format string, args ...any) {
	if p.cfg.Note != nil {
		p.cfg.Note(fmt.Sprintf(format, args...))
	}
}

// lock makes a folder and takes the lock on it, which is freed when the process ends, however it does.
func (p *Puller) lock(ctx context.Context, dir string) (unlock func(), err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("cache %q: %w", dir, reason(err))
	}
	f, err := os.OpenFile(filepath.Join(dir, ".lock"), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("cache %q: %w", dir, reason(err))
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for waited := false; ; waited = true {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { _ = f.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			return nil, errors.Join(fmt.Errorf("cache %q: lock: %w", dir, err), f.Close())
		}
		if !waited {
			p.note("waiting for another process that pulls the same")
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, errors.Join(context.Cause(ctx), f.Close())
		}
	}
}

// addressKey returns a name for the folder of an address.
func addressKey(u *url.URL) string {
	sum := sha256.Sum256([]byte(u.String()))
	return hex.EncodeToString(sum[:16])
}

// record keeps the checksum of a file beside it.
func record(path, sha string) error {
	return writeWhole(path+".sha256", []byte(sha+"\n"))
}

// recorded returns what record has kept, or "".
func recorded(path string) string {
	raw, err := regular.ReadFile(path+".sha256", 128)
	sum := strings.TrimSpace(string(raw))
	if err != nil || !sha256Pattern.MatchString(sum) {
		return ""
	}
	return sum
}

// writeWhole writes a small file whole or not at all. The caller holds the lock of its folder.
func writeWhole(path string, raw []byte) error {
	tmp := path + ".tmp"
	if err := os.WriteFile(tmp, raw, 0o644); err != nil {
		return fmt.Errorf("cache %q: %w", path, reason(err))
	}
	return os.Rename(tmp, path)
}

// reason strips the operation and the path from a *PathError: the message already has them.
func reason(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return fmt.Errorf("%q: %w", filepath.Base(pe.Path), pe.Err)
	}
	return err
}
