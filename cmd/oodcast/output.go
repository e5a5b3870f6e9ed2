package main

import (
	"encoding/json"
	"fmt"

	"github.com/google/renameio/v2"
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
