package sets

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/google/renameio/v2"
)

// ErrNoBlock means that a document has no place for the tables.
var ErrNoBlock = errors.New("no marked block")

// WriteBlock replaces the lines between <!-- begin NAME --> and <!-- end NAME --> of the document at path by text, or creates
// the document. The other lines stay as they are.
func WriteBlock(path, name, text string) error {
	begin, end := fmt.Sprintf("<!-- begin %s -->", name), fmt.Sprintf("<!-- end %s -->", name)
	block := begin + "\n" + strings.Trim(text, "\n") + "\n" + end
	raw, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		raw = []byte(begin + "\n" + end + "\n")
	case err != nil:
		return err
	}
	head, rest, ok := strings.Cut(string(raw), begin)
	_, tail, closed := strings.Cut(rest, end)
	if !ok || !closed {
		return fmt.Errorf("%q: %w: add the lines %s and %s where the tables go", path, ErrNoBlock, begin, end)
	}
	return renameio.WriteFile(path, []byte(head+block+tail), 0o644)
}

// CheckBlock returns the error that WriteBlock would return for a document without the block, before the work whose result
// it is.
func CheckBlock(path, name string) error {
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	begin, end := fmt.Sprintf("<!-- begin %s -->", name), fmt.Sprintf("<!-- end %s -->", name)
	if _, rest, ok := strings.Cut(string(raw), begin); !ok || !strings.Contains(rest, end) {
		return fmt.Errorf("%q: %w: add the lines %s and %s where the tables go", path, ErrNoBlock, begin, end)
	}
	return nil
}
