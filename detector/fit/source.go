package fit

import (
	"os"
	"path/filepath"

	"github.com/oodcast/oodcast/ingest"
)

// SourceName returns what a bundle remembers of the source at uri, for [Options.SourceNames]: no password, and of a file
// or a folder only its name and its parent's.
func SourceName(uri string) string {
	if _, err := os.Stat(uri); err == nil {
		return filepath.Join(filepath.Base(filepath.Dir(uri)), filepath.Base(uri))
	}
	return ingest.RedactURI(uri)
}
