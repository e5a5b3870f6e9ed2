package configs

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

// Editors write a file in several steps, so it is read when its folder has been quiet for quietTime. Where something else
// writes into the folder all the time, it is read busyTime after the change.
const (
	quietTime = 300 * time.Millisecond
	busyTime  = 2 * time.Second
)

// Follow calls changed whenever the content of the file at path has become another one, or reread receives, until ctx is
// done. Calls do not overlap. Where changes cannot be noticed it logs a warning, and reread is what is left.
func Follow(ctx context.Context, path string, reread <-chan os.Signal, log *slog.Logger, changed func()) {
	var (
		events <-chan fsnotify.Event
		faults <-chan error
	)
	w, err := fsnotify.NewWatcher()
	if err == nil {
		defer w.Close()
		err = w.Add(filepath.Dir(path)) // the folder, because editors and Kubernetes replace the file
		events, faults = w.Events, w.Errors
	}
	if err != nil {
		log.Warn("changes of the configuration are not noticed: send SIGHUP", "file", path, "err", err)
	}
	last := digest(path)
	timer := time.NewTimer(time.Hour)
	timer.Stop()
	var since time.Time // of the first event that has not been dealt with; zero: none
	for {
		select {
		case <-events:
			if since.IsZero() {
				since = time.Now()
			}
			timer.Reset(min(quietTime, busyTime-time.Since(since)))
			continue
		case err := <-faults:
			log.Warn("changes of the configuration may go unnoticed: send SIGHUP", "file", path, "err", err)
			continue
		case <-timer.C:
			since = time.Time{}
			if now := digest(path); now == last || now == "" { // another file in the folder; or the file is away
				continue
			}
		case <-reread:
		case <-ctx.Done():
			return
		}
		last = digest(path)
		changed()
	}
}

// digest identifies the content of a file; it is empty when there is none.
func digest(path string) string {
	raw, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return fmt.Sprintf("%x", sha256.Sum256(raw))
}
