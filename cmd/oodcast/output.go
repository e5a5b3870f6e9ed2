package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"
	"github.com/oodcast/oodcast/publish/visible"
	"golang.org/x/term"
)

// writeJSON writes v as one JSON document to path, or to stdout if path is "-". It does nothing if path is empty.
func writeJSON(e *env, path string, v any) error {
	if path == "" {
		return nil
	}
	raw, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	raw = append(raw, '\n')
	if path == "-" {
		_, err = e.Stdout.Write(raw)
		return err
	}
	if err := renameio.WriteFile(path, raw, 0o644); err != nil {
		return fmt.Errorf("write %q: %w", path, err)
	}
	return nil
}

// checkOutputs returns an error if a file cannot be written to one of paths, before the work whose result it is. "" and "-"
// are no files.
func checkOutputs(paths ...string) error {
	for _, path := range paths {
		if path == "" || path == "-" {
			continue
		}
		info, err := os.Stat(path)
		if err == nil && info.IsDir() {
			return usagef("write %q: it is a folder, want a file", path)
		}
		probe, err := os.CreateTemp(filepath.Dir(path), ".oodcast-*")
		if err == nil {
			err = errors.Join(probe.Close(), os.Remove(probe.Name()))
		}
		if err != nil {
			var at *fs.PathError
			if errors.As(err, &at) {
				err = at.Err
			}
			return fmt.Errorf("write %q: %w", path, err)
		}
	}
	return nil
}

// terminal returns the terminal that a writer writes to, for programs that draw.
func terminal(w io.Writer) (*os.File, bool) {
	f, ok := visible.Unwrap(w).(*os.File)
	return f, ok && term.IsTerminal(int(f.Fd()))
}
