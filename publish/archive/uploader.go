package archive

import (
	"context"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// uploader brings events from the directory to the object store. Which of them wait is on disk: an empty file for each in
// {dir}/.objects, so that they outlive this process. While an event is sent its file ends in sending, and what is written
// to the event meanwhile makes another. The events that wait are bounded by the retention of the directory.
type uploader struct {
	a       *Archive
	objects *objects
	root    string // of the directory
	remove  bool   // what is in the store needs no directory
	news    chan struct{}

	settling sync.Mutex // held while an event is closed and marked, or found open or closed and unmarked

	want  limits // that the store has
	left  int64  // bytes in it
	swept time.Time
}

const (
	sending = ".sending"

	// uploadPause is between two looks at what waits; it doubles up to uploadPatience while something goes wrong.
	uploadPause    = time.Second
	uploadPatience = 30 * time.Second
)

func newUploader(a *Archive, o *objects, root string, remove bool) *uploader {
	return &uploader{a: a, objects: o, root: root, remove: remove, news: make(chan struct{}, 1)}
}

func (u *uploader) marker(id string) string { return filepath.Join(u.root, ".objects", id) }

// mark says that something of an event is to be uploaded.
func (u *uploader) mark(id string) {
	if u == nil || !u.remove && !u.a.cfg.Load().ObjectStore {
		return
	}
	err := os.MkdirAll(filepath.Dir(u.marker(id)), 0o755)
	if err == nil {
		err = os.WriteFile(u.marker(id), nil, 0o600)
	}
	u.a.outcome("uploads", err)
	wake(u.news)
}

// run uploads what waits until everything is written, and then what is left, as long as the store works and rest is not
// done. What it cannot upload waits for the next process.
func (u *uploader) run(rest context.Context, written <-chan struct{}) error {
	if u.remove { // whatever lies there has nowhere else to go
		left, err := u.a.dir.list(rest)
		u.a.outcome("uploads", err)
		for _, k := range left {
			u.mark(k.id)
		}
	}
	idle := time.NewTicker(sweepIdle)
	defer idle.Stop()
	for pause := uploadPause; ; {
		err := u.pass(rest)
		pause = min(2*pause, uploadPatience)
		if err == nil {
			pause = uploadPause
		}
		select {
		case <-written:
			return u.finish(rest)
		case <-time.After(pause + rand.N(pause/4)):
		}
		if err != nil {
			continue
		}
		select {
		case <-written:
			return u.finish(rest)
		case <-u.news:
		case <-idle.C:
		}
	}
}

func (u *uploader) finish(rest context.Context) error {
	_ = u.pass(rest) // it counts what goes wrong
	return nil
}

// pass uploads everything that waits, and removes what is too old or too much. It returns the first error; each is counted.
func (u *uploader) pass(ctx context.Context) (first error) {
	cfg := u.a.cfg.Load()
	if !cfg.ObjectStore {
		u.a.metrics.waiting.Set(0)
		return nil
	}
	waiting, err := u.waiting()
	if err != nil {
		u.a.outcome("uploads", err)
		return err
	}
	u.a.metrics.waiting.Set(float64(len(waiting)))
	want := limits{cfg.MaxAge, cfg.maxBytes()}
	due := want != u.want || time.Since(u.swept) >= sweepIdle
	if len(waiting) == 0 && !due {
		return nil
	}
	b, err := u.objects.ready(ctx, want)
	if err == nil && due {
		if err = u.sweep(ctx, b, b.limit); err == nil {
			u.want = want
		}
	}
	if err != nil {
		u.a.outcome("objects", err)
		return err
	}
	for i, id := range waiting {
		if u.a.cfg.Load() != cfg { // switched off, or other limits
			wake(u.news)
			return first
		}
		err := u.send(ctx, b, id)
		if err != nil {
			u.objects.keep(nil) // the bucket may be another: look again
			first = errors.Join(first, err)
		}
		u.a.outcome("objects", err)
		if ctx.Err() != nil || errors.Is(err, nats.ErrDisconnected) || !b.nc.IsConnected() {
			return errors.Join(first, nats.ErrDisconnected)
		}
		if err == nil {
			u.a.metrics.waiting.Set(float64(len(waiting) - i - 1))
		}
	}
	return first
}

func (u *uploader) sweep(ctx context.Context, b *bucket, limit int64) (err error) {
	u.left, err = u.a.sweep(ctx, b, limit)
	if err == nil {
		u.swept = time.Now()
	}
	return err
}

// waiting returns the events that wait, oldest first.
func (u *uploader) waiting() ([]string, error) {
	entries, err := os.ReadDir(u.marker(""))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	at := map[string]time.Time{}
	for _, e := range entries {
		id := strings.TrimSuffix(e.Name(), sending)
		if _, begin, ok := parseID(id); ok {
			at[id] = begin
		}
	}
	ids := make([]string, 0, len(at))
	for id := range at {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(x, y string) int {
		if c := at[x].Compare(at[y]); c != 0 {
			return c
		}
		return strings.Compare(x, y)
	})
	return ids, nil
}

// send uploads the files of an event that the store does not have. An event without files is lost, as one that the store
// has no room for.
func (u *uploader) send(ctx context.Context, b *bucket, id string) error {
	closed, err := u.claim(id)
	if err != nil {
		return err
	}
	in, err := folder(u.a.site, id)
	if err != nil {
		return err // waiting has checked
	}
	here := dir{u.root}.event(in)
	if len(here.files) == 0 || b.limit > 0 && here.bytes > b.limit {
		if closed { // otherwise there is more to come
			u.a.metrics.dropped.WithLabelValues("upload").Inc()
		}
		return u.done(id)
	}
	if b.limit > 0 && u.left+here.bytes > b.limit {
		if err := u.sweep(ctx, b, max(b.limit/20*19-here.bytes, 1)); err != nil { // a little more, so that it is not every time
			return err
		}
	}
	for _, file := range here.files {
		if !slices.Contains(Files(), file) { // it is half-written
			continue
		}
		if err := u.sendFile(ctx, b, path.Join(in, file)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if u.remove && closed {
		if err := u.a.dir.remove(ctx, here); err != nil {
			u.a.outcome("uploads", err) // retention tries again
		}
	}
	return u.done(id)
}

// claim unmarks an event, for what is written to it from now on, and says whether that is nothing any more.
func (u *uploader) claim(id string) (closed bool, err error) {
	u.settling.Lock()
	defer u.settling.Unlock()
	if err := os.Rename(u.marker(id), u.marker(id)+sending); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	return !u.a.isOpen(id), nil
}

// done says that an event does not wait any more, unless something was written meanwhile.
func (u *uploader) done(id string) error {
	if err := os.Remove(u.marker(id) + sending); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (u *uploader) sendFile(ctx context.Context, b *bucket, name string) error {
	f, err := os.Open(filepath.Join(u.root, filepath.FromSlash(name)))
	if err != nil {
		return err
	}
	defer f.Close()
	n, err := b.put(ctx, name, f)
	if err != nil {
		return err
	}
	if n > 0 {
		u.left += n
		u.a.metrics.written.WithLabelValues("objects").Inc()
	}
	return nil
}
