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

// Block is a place in a document: the lines between <!-- begin NAME --> and <!-- end NAME -->.
type Block struct {
	Path string
	Name string
}

// ParseBlock reads PATH#NAME. Without a name the block is called evaluation.
func ParseBlock(text string) Block {
	path, name, ok := strings.Cut(text, "#")
	if !ok {
		name = "evaluation"
	}
	return Block{path, name}
}

func (b Block) marks() (begin, end string) {
	return fmt.Sprintf("<!-- begin %s -->", b.Name), fmt.Sprintf("<!-- end %s -->", b.Name)
}

func (b Block) missing() error {
	begin, end := b.marks()
	return fmt.Errorf("%q: %w: add the lines %s and %s where the tables go", b.Path, ErrNoBlock, begin, end)
}

// Write replaces the lines of the block by text, or creates the document. The other lines stay as they are. A block without a
// path is not written.
func (b Block) Write(text string) error {
	if b.Path == "" {
		return nil
	}
	begin, end := b.marks()
	block := begin + "\n" + strings.Trim(text, "\n") + "\n" + end
	raw, err := os.ReadFile(b.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		raw = []byte(begin + "\n" + end + "\n")
	case err != nil:
		return err
	}
	head, rest, ok := strings.Cut(string(raw), begin)
	_, tail, closed := strings.Cut(rest, end)
	if !ok || !closed {
		return b.missing()
	}
	return renameio.WriteFile(b.Path, []byte(head+block+tail), 0o644)
}

// Check returns the error that Write would return for a document without the block, before the work whose result it is.
func (b Block) Check() error {
	raw, err := os.ReadFile(b.Path)
	if b.Path == "" || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	begin, end := b.marks()
	if _, rest, ok := strings.Cut(string(raw), begin); !ok || !strings.Contains(rest, end) {
		return b.missing()
	}
	return nil
}
