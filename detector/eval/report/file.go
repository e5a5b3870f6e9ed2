package report

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"

	"github.com/oodcast/oodcast/detector/eval"
)

// WriteFile writes the page to a file and makes its folder if there is none. The file appears whole or not at all.
func WriteFile(path string, rows []*eval.Measured, o Options) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("report: make folder: %w", err)
	}
	f, err := renameio.NewPendingFile(path, renameio.WithPermissions(0o644))
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	w := bufio.NewWriter(f)
	if err = Write(w, rows, o); err == nil {
		err = w.Flush()
	}
	if err != nil {
		return errors.Join(err, f.Cleanup())
	}
	return f.CloseAtomicallyReplace()
}
