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

// Editors write a file in several steps, so the file is read once its folder has been quiet for quietTime. If another
// program writes to the folder all the time, the file is read busyTime after the change.
const (
	quietTime = 300 * time.Millisecond
	busyTime  = 2 * time.Second
)

// Follow calls changed whenever the content of the file at path has changed or reread receives, until ctx is done. Calls do
// not overlap. If the file cannot be watched, Follow logs a warning and reacts to reread only.
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
		log.Warn("cannot watch the configuration: send SIGHUP after a change", "file", path, "err", err)
	}
	last := digest(path)
	timer := time.NewTimer(time.Hour)
	timer.Stop()
	var since time.Time // time of the first unhandled event; zero: none
	for {
		select {
		case <-events:
			if since.IsZero() {
				since = time.Now()
			}
			timer.Reset(min(quietTime, busyTime-time.Since(since)))
			continue
		case err := <-faults:
			log.Warn("changes of the configuration may go unnoticed: send SIGHUP after a change", "file", path, "err", err)
			continue
		case <-timer.C:
			since = time.Time{}
			if now := digest(path); now == last || now == "" { // another file in the folder changed, or the file is missing
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

// digest returns a hash of the content of a file; it is empty if the file cannot be read.
func digest(path string) string {
	raw, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return fmt.Sprintf("%x", sha256.Sum256(raw))
}
