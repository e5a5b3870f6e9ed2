package pull

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/oodcast/oodcast/models/regular"
)

// spare is what a download leaves free on the disk, in bytes.
const spare = 64 << 20

// enough is the progress in bytes after which failures are counted anew.
const enough = 1 << 20

// partial is what is kept beside a part of a file, so that another process can resume it.
type partial struct {
	ETag   string `json:"etag,omitempty"` // a strong one
	SHA256 string `json:"sha256,omitempty"`
	Size   int64  `json:"size"`
}

// transfer is the download of one file.
type transfer struct {
	p    *Puller
	url  *url.URL
	to   string // the file; its part is to + ".part"
	want want
	have partial
}

// download brings a file and returns its checksums. The caller holds the lock of the folder.
func (p *Puller) download(ctx context.Context, u *url.URL, to string, w want) (sums, error) {
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return sums{}, fmt.Errorf("cache: %w", err)
	}
	t := &transfer{p: p, url: u, to: to, want: w, have: partial{Size: -1}}
	t.remember()
	var got sums
	for again := false; ; again = true {
		resumed := t.size() > 0
		if err := p.retry(ctx, w.name, func() (bool, error) { return t.attempt(ctx) }); err != nil {
			return sums{}, err
		}
		var size int64
		var err error
		if got, size, err = sumFile(t.part()); err != nil {
			return sums{}, fmt.Errorf("cache: %w", err)
		}
		err = t.want.check(got, size)
		if err == nil {
			p.left -= size
			break
		}
		if err := t.forget(); err != nil {
			return sums{}, err
		}
		if !resumed || again { // the part may have been damaged; a whole download that is wrong stays wrong
			return sums{}, err
		}
	}
	if err := os.Rename(t.part(), to); err != nil {
		return sums{}, fmt.Errorf("cache: %w", err)
	}
	return got, errors.Join(os.RemoveAll(t.part()+".json"), syncFolder(filepath.Dir(to)))
}

// syncFolder makes the names in a folder survive a power cut.
func syncFolder(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func (t *transfer) part() string { return t.to + ".part" }

// size returns how much has arrived.
func (t *transfer) size() int64 {
	info, err := os.Lstat(t.part())
	if err != nil || !info.Mode().IsRegular() {
		return 0
	}
	return info.Size()
}

// remember finds the part that another process has left. Without a checksum or a strong entity tag, nothing says that its
// rest would be of the same file.
func (t *transfer) remember() {
	raw, err := regular.ReadFile(t.part()+".json", 4096)
	var kept partial
	same := err == nil && json.Unmarshal(raw, &kept) == nil &&
		(kept.SHA256 == "" || t.want.sha256 == "" || kept.SHA256 == t.want.sha256)
	if same && (kept.ETag != "" || t.want.sha256 != "") {
		t.have = kept
		return
	}
	_ = t.forget()
}

// forget removes the part.
func (t *transfer) forget() error {
	t.have = partial{Size: -1}
	if err := errors.Join(os.RemoveAll(t.part()), os.RemoveAll(t.part()+".json")); err != nil {
		return fmt.Errorf("cache: %w", err)
	}
	return nil
}

// attempt goes on with the file and reports whether much of it has arrived.
func (t *transfer) attempt(ctx context.Context) (progress bool, err error) {
	at, known := t.size(), t.want.sha256 != "" || t.want.blob != ""
	switch all := t.expected(); {
	case at > 0 && at == all && known:
		return true, nil // complete; the checksum decides
	case at > 0 && t.have.ETag == "" && t.want.sha256 == "", all >= 0 && at >= all:
		if err := t.forget(); err != nil {
			return false, permanent{err}
		}
		at = 0
	}
	header := http.Header{}
	if at > 0 {
		header.Set("Range", fmt.Sprintf("bytes=%d-", at))
		if t.have.ETag != "" {
			header.Set("If-Range", t.have.ETag)
		}
	}
	resp, err := t.p.open(ctx, t.url, header)
	if err != nil {
		return false, err
	}
	defer resp.Close()
	if err := t.linked(resp.Response); err != nil {
		return false, permanent{err}
	}
	if at, err = t.begin(resp.Response, at); err != nil {
		return false, err
	}
	n, err := t.copy(resp, at)
	if err != nil && !errors.As(err, new(permanent)) && errors.Is(err, context.Canceled) && ctx.Err() == nil {
		err = fmt.Errorf("%w for %v", errStalled, t.p.cfg.Stall)
	}
	return n >= enough, err
}

// expected returns the size of the file, -1 if nothing says it.
func (t *transfer) expected() int64 {
	if t.want.size >= 0 {
		return t.want.size
	}
	return t.have.Size
}

// linked compares what the hub says with a file, before it redirects to where the bytes are, with its listing. A file that
// the listing says nothing about is taken at its word.
func (t *transfer) linked(resp *http.Response) error {
	for r := resp; r != nil; r = r.Request.Response {
		h := r.Header
		if commit := h.Get("X-Repo-Commit"); commit != "" && t.want.commit != "" && commit != t.want.commit {
			return fmt.Errorf("%w: %s is of the commit %s, want %s", ErrChecksum, t.want.name, oneLine(commit, 40), t.want.commit)
		}
		if n, err := strconv.ParseInt(h.Get("X-Linked-Size"), 10, 64); err == nil && n >= 0 {
			if t.want.size >= 0 && n != t.want.size {
				return fmt.Errorf("%w: %s has %d bytes, the listing says %d", ErrChecksum, t.want.name, n, t.want.size)
			}
			t.want.size = n
		}
		if sum := strings.Trim(h.Get("X-Linked-Etag"), `"`); sha256Pattern.MatchString(sum) {
			if t.want.sha256 != "" && sum != t.want.sha256 {
				return fmt.Errorf("%s: %w", t.want.name, mismatch(sum, t.want.sha256))
			}
			t.want.sha256 = sum
		}
	}
	return nil
}

// begin reads the head of a response, prepares the part for its body, and returns where the body begins.
func (t *transfer) begin(resp *http.Response, at int64) (int64, error) {
	size := resp.ContentLength
	switch resp.StatusCode {
	case http.StatusPartialContent:
		from, total := contentRange(resp.Header.Get("Content-Range"))
		if from != at || at == 0 || total >= 0 && t.expected() >= 0 && total != t.expected() {
			return 0, errors.Join(fmt.Errorf("%s sends another part of the file than it was asked for", resp.Request.URL.Host), t.forget())
		}
		size = total
	case http.StatusRequestedRangeNotSatisfiable:
		return 0, errors.Join(fmt.Errorf("%s has less of the file than there is already", resp.Request.URL.Host), t.forget())
	default:
		if err := t.forget(); err != nil { // the whole file, because it has changed or the server knows no ranges
			return 0, permanent{err}
		}
		at = 0
	}
	if size >= 0 && t.want.size >= 0 && size != t.want.size {
		return 0, permanent{fmt.Errorf("%w: %s has %d bytes, the listing says %d", ErrChecksum, t.want.name, size, t.want.size)}
	}
	if err := t.room(size, at); err != nil {
		return 0, permanent{err}
	}
	if at > 0 {
		return at, nil
	}
	t.have = partial{ETag: strongETag(resp.Header.Get("ETag")), SHA256: t.want.sha256, Size: size}
	raw, err := json.Marshal(t.have)
	if err == nil {
		err = writeWhole(t.part()+".json", raw)
	}
	if err != nil {
		return 0, permanent{err}
	}
	return 0, nil
}

// room returns an error if a file is too large, or the disk too full.
func (t *transfer) room(size, at int64) error {
	if size > t.p.left {
		return fmt.Errorf("%s has %d MB, %d MB remain of the limit: raise --max-size", t.want.name, size/1e6, t.p.left/1e6)
	}
	var fs syscall.Statfs_t
	if err := syscall.Statfs(filepath.Dir(t.to), &fs); err != nil {
		return fmt.Errorf("cache: %w", err)
	}
	if free := int64(min(fs.Bavail, 1<<40)) * fs.Bsize; size-at > free-spare {
		return fmt.Errorf("%s needs %d MB, the disk of %q has %d MB: free some, or choose another folder with --cache", t.want.name,
			(size-at+spare)/1e6, t.p.cfg.Cache, free/1e6)
	}
	return nil
}

// copy appends a body to the part and flushes it. It returns how many bytes have arrived.
func (t *transfer) copy(body io.Reader, at int64) (n int64, err error) {
	f, err := os.OpenFile(t.part(), os.O_WRONLY|os.O_CREATE, 0o644)
	if err != nil {
		return 0, permanent{fmt.Errorf("cache: %w", err)}
	}
	defer func() {
		if closed := errors.Join(f.Sync(), f.Close()); closed != nil {
			err = permanent{errors.Join(err, fmt.Errorf("cache: %w", closed))}
		}
	}()
	if err := errors.Join(f.Truncate(at), seek(f, at)); err != nil {
		return 0, permanent{fmt.Errorf("cache: %w", err)}
	}
	most := t.p.left
	if t.expected() >= 0 {
		most = t.expected()
	}
	buf := make([]byte, 256<<10)
	for {
		read, err := body.Read(buf)
		if at+n+int64(read) > most {
			return n, permanent{errors.Join(t.forget(),
				fmt.Errorf("%w: %s is longer than the %d bytes that were announced or allowed", ErrChecksum, t.want.name, most))}
		}
		if _, err := f.Write(buf[:read]); err != nil {
			return n, permanent{fmt.Errorf("cache: %w", err)}
		}
		n += int64(read)
		if t.p.cfg.Progress != nil {
			t.p.cfg.Progress(t.want.name, at+n, t.expected())
		}
		switch {
		case err == io.EOF && t.expected() >= 0 && at+n < t.expected():
			return n, fmt.Errorf("%s ended after %d of %d bytes", t.want.name, at+n, t.expected())
		case err == io.EOF:
			return n, nil
		case err != nil:
			return n, err
		}
	}
}

func seek(f *os.File, at int64) error {
	_, err := f.Seek(at, io.SeekStart)
	return err
}

// contentRange reads "bytes FROM-TO/TOTAL". Both are -1 if it says something else; TOTAL is -1 if the server does not know it.
func contentRange(s string) (from, total int64) {
	span, whole, ok := strings.Cut(strings.TrimPrefix(s, "bytes "), "/")
	first, last, dash := strings.Cut(span, "-")
	from, err := strconv.ParseInt(first, 10, 64)
	to, err2 := strconv.ParseInt(last, 10, 64)
	if !ok || !dash || err != nil || err2 != nil || from < 0 || to < from {
		return -1, -1
	}
	if total, err = strconv.ParseInt(whole, 10, 64); err != nil {
		return from, -1
	}
	if to != total-1 {
		return -1, -1
	}
	return from, total
}

// strongETag returns an entity tag that says the bytes are the same, or "".
func strongETag(s string) string {
	if len(s) < 3 || len(s) > 512 || s[0] != '"' || s[len(s)-1] != '"' || strings.ContainsFunc(s, func(c rune) bool { return c < ' ' || c > '~' }) {
		return ""
	}
	return s
}
