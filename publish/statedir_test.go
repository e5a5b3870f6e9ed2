package publish_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/oodcast/oodcast/publish"
)

// Somebody prepares the state directory: links to a file that is precious, a password of theirs, a folder that is open to all. The
// file stays as it is, the password is not taken, and one line says what to do.
func TestPreparedStateDirectory(t *testing.T) {
	const text = "precious, without an end of line"
	for name, prepare := range map[string]func(dir, precious string) error{
		"spool/events.jsonl": func(dir, precious string) error {
			return os.Symlink(precious, filepath.Join(dir, "spool/events.jsonl"))
		},
		"spool/lock":      func(dir, precious string) error { return os.Symlink(precious, filepath.Join(dir, "spool/lock")) },
		"viewer.password": func(dir, precious string) error { return os.Symlink(precious, filepath.Join(dir, "viewer.password")) },
		"nats": func(dir, precious string) error {
			return os.Symlink(filepath.Dir(precious), filepath.Join(dir, "nats"))
		},
		"open to all":       func(dir, _ string) error { return os.Chmod(dir, 0o777) },
		"spool open to all": func(dir, _ string) error { return os.Chmod(filepath.Join(dir, "spool"), 0o777) },
	} {
		t.Run(name, func(t *testing.T) {
			cfg := embeddedConfig(t)
			precious := filepath.Join(t.TempDir(), "precious")
			if err := errors.Join(os.WriteFile(precious, []byte(text), 0o600), os.MkdirAll(filepath.Join(cfg.StateDir, "spool"), 0o700),
				prepare(cfg.StateDir, precious)); err != nil {
				t.Fatal(err)
			}
			var log syncBuffer
			p, err := publish.New(cfg, nil, log.option())
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			go func() {
				select {
				case <-p.Ready():
					cancel() // it goes on without the spool, and says so
				case <-ctx.Done():
				}
			}()
			told := log.String
			if err := p.Run(ctx); err != nil {
				told = err.Error
			}
			if !strings.Contains(told(), "not ours alone") {
				t.Errorf("told %q", told())
			}
			if raw, err := os.ReadFile(precious); err != nil || string(raw) != text {
				t.Errorf("the file is now %q, %v", raw, err)
			}
			if entries, err := os.ReadDir(filepath.Dir(precious)); err != nil || len(entries) != 1 {
				t.Errorf("beside it are now %v, %v", entries, err)
			}
		})
	}
}
