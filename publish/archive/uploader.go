package archive

import (
	"context"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// uploader copies events from the directory to the object store. An empty file in {dir}/.objects marks each event that
// waits, so that the queue outlives this process. While an event is being sent, the name of its file ends in sending; a
// write to the event meanwhile adds a new file. The retention of the directory bounds the queue.
type uploader struct {
	a       *Archive
	objects *objects
	dir     dir  // holds the events and the queue
	remove  bool // remove files once the store has them
	news    chan struct{}

	marking sync.Mutex // makes closing and marking an event, and unmarking it and looking whether it is open, one step each

	want  limits // in force in the store
	left  int64  // bytes in the store
	swept time.Time
}

const (
	sending = ".sending"

	// uploadPause separates two passes. It doubles after every failure, up to uploadPatience.
	uploadPause    = time.Second
	uploadPatience = 30 * time.Second
)

func newUploader(a *Archive, o *objects, from dir, remove bool) *uploader {
	return &uploader{a: a, objects: o, dir: from, remove: remove, news: make(chan struct{}, 1)}
}

const markers = ".objects"

func markerOf(id string) string { return path.Join(markers, id) }

// inRoot calls do with the directory, unless a link is on the way to name.
func (u *uploader) inRoot(create bool, name string, do func(*os.Root) error) error {
	root, err := u.dir.open(create)
	if err != nil {
		return err
	}
	defer root.Close()
	if err := checkPath(root, name); err != nil {
		return err
	}
	return do(root)
}

// mark queues an event.
func (u *uploader) mark(id string) {
	if u == nil || !u.remove && !u.a.cfg.Load().ObjectStore {
		return
	}
	u.a.report("uploads", u.inRoot(true, markerOf(id), func(root *os.Root) error {
		if err := root.MkdirAll(markers, folderMode); err != nil {
			return err
		}
		return root.WriteFile(markerOf(id), nil, fileMode)
	}))
	signal(u.news)
}

// run uploads queued events until written is closed, and then makes a last pass, until rest is done. Events that it cannot
// upload wait for the next process.
func (u *uploader) run(rest context.Context, written <-chan struct{}) error {
	if u.remove { // the files in the folder have no other destination
		left, err := u.a.dir.list(rest)
		u.a.report("uploads", err)
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
	_ = u.pass(rest) // counts its own errors
	return nil
}

// pass uploads all queued events and applies the retention of the store. It counts every error and returns the first.
func (u *uploader) pass(ctx context.Context) (first error) {
	cfg := u.a.cfg.Load()
	if !cfg.ObjectStore {
		u.a.metrics.waiting.Set(0)
		return nil
	}
	waiting, err := u.waiting()
	if err != nil {
		u.a.report("uploads", err)
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
		u.a.report("objects", err)
		return err
	}
	for i, id := range waiting {
		if u.a.cfg.Load() != cfg { // the settings have changed
			signal(u.news)
			return first
		}
		err := u.send(ctx, b, id)
		if err != nil {
			u.objects.keep(nil) // look again: somebody may have replaced the bucket
			first = errors.Join(first, err)
		}
		u.a.report("objects", err)
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

// waiting returns the queued events, oldest first.
func (u *uploader) waiting() ([]string, error) {
	var entries []fs.DirEntry
	err := u.inRoot(false, markers, func(root *os.Root) (err error) {
		entries, err = fs.ReadDir(root.FS(), markers)
		return err
	})
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

// send uploads the files of an event that the store does not have. An event without files is lost, and so is one that is
// larger than the store.
func (u *uploader) send(ctx context.Context, b *bucket, id string) error {
	closed, err := u.claim(id)
	if err != nil {
		return err
	}
	in, err := folder(u.a.site, id)
	if err != nil {
		return err // never: waiting has checked the id
	}
	here := u.dir.event(in)
	if len(here.files) == 0 || b.limit > 0 && here.bytes > b.limit {
		if closed { // otherwise more files follow
			u.a.metrics.dropped.WithLabelValues("upload").Inc()
		}
		return u.done(id)
	}
	if b.limit > 0 && u.left+here.bytes > b.limit {
		if err := u.sweep(ctx, b, max(b.limit/20*19-here.bytes, 1)); err != nil { // a little more than needed, to sweep less often
			return err
		}
	}
	for _, file := range here.files {
		if !slices.Contains(Files(), file) { // half-written
			continue
		}
		if err := u.sendFile(ctx, b, path.Join(in, file)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if u.remove && closed {
		if err := u.a.dir.remove(ctx, here); err != nil {
			u.a.report("uploads", err) // retention tries again
		}
	}
	return u.done(id)
}

// claim unmarks an event, so that later writes mark it again, and reports whether the event is closed: nothing follows.
func (u *uploader) claim(id string) (closed bool, err error) {
	u.marking.Lock()
	defer u.marking.Unlock()
	if err := u.inRoot(false, markerOf(id), func(root *os.Root) error {
		return root.Rename(markerOf(id), markerOf(id)+sending)
	}); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	return !u.a.isOpen(id), nil
}

// done removes an event from the queue, unless something was written to it meanwhile.
func (u *uploader) done(id string) error {
	if err := u.inRoot(false, markerOf(id), func(root *os.Root) error {
		return root.Remove(markerOf(id) + sending)
	}); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (u *uploader) sendFile(ctx context.Context, b *bucket, name string) error {
	f, err := u.dir.read(name)
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
