package importer

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"

	"github.com/oodcast/oodcast/models/graph"
)

// leastHeavy is the size in bytes from which the weights of a model do not go through memory: a runtime that reads them from
// there makes copies of its own, six and a half times the weights in all.
const leastHeavy = 32 << 20

// weightsFile is the file of a weighted model.
const weightsFile = "weights"

// weighted is a model and where its weights are.
type weighted struct {
	model  []byte
	folder string // of the file with the weights; "": inside
}

// with returns m with another model, which has the same weights.
func (m weighted) with(model []byte) weighted { return weighted{model, m.folder} }

// write writes the model with its weights inside.
func (m weighted) write(w io.Writer) error {
	if m.folder == "" {
		_, err := w.Write(m.model)
		return err
	}
	return graph.InlineTo(w, m.model, os.DirFS(m.folder))
}

// source is a model from a user's file.
type source struct {
	weighted
	beside []string // names of the files with weights, relative to the folder of the model
	size   int64    // with its weights
}

// close removes the copy of the weights.
func (s *source) close() error {
	if s.folder == "" {
		return nil
	}
	return os.RemoveAll(s.folder)
}

// readONNX reads a model. The weights, which may be in files beside it, go into memory if they are few, else into a folder next
// to the bundle's, which the caller closes.
func (o Options) readONNX(path string) (s *source, err error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("import: %w", err)
	}
	s = &source{}
	if s.beside, err = graph.External(raw); err != nil {
		return nil, badInput(path, err)
	}
	dir, err := os.OpenRoot(filepath.Dir(path))
	if err != nil {
		return nil, fmt.Errorf("import: %w", err)
	}
	defer dir.Close()
	s.size = int64(len(raw)) + sizes(dir.FS(), s.beside)
	if s.size >= leastHeavy {
		return s, o.gather(s, path, raw, dir.FS())
	}
	if s.model, err = graph.Inline(raw, dir.FS()); err != nil {
		return nil, badInput(path, err)
	}
	s.size = int64(len(s.model))
	return s, nil
}

// build returns the model of a graph of about so many weights, which came from the file at path. Many go into a folder next to
// the bundle's as the graph is built, which the caller closes: they are never in memory beside those that they are made of.
func (o Options) build(path string, weights int, build func(...graph.Option) (*graph.Graph, error)) (s *source, err error) {
	s = &source{}
	var beside []graph.Option
	finish := func() error { return nil }
	if 4*weights >= leastHeavy {
		w, done, err := o.folder(s)
		if err != nil {
			return nil, err
		}
		beside, finish = []graph.Option{graph.Beside(w, weightsFile)}, done
	}
	g, err := build(beside...)
	if writing := finish(); writing != nil {
		return nil, errors.Join(fmt.Errorf("import: write the weights: %w", writing), s.close())
	}
	if err != nil {
		return nil, errors.Join(badInput(path, err), s.close())
	}
	if s.model, err = g.Marshal(); err != nil {
		return nil, errors.Join(fmt.Errorf("import %q: %w", path, err), s.close())
	}
	s.size = int64(len(s.model))
	if s.folder != "" {
		s.size += sizes(os.DirFS(s.folder), []string{weightsFile})
	}
	return s, nil
}

// frugal has the garbage collector run so often that what an import has finished with takes a tenth of the memory of what it
// still needs. restore ends that, and gives the memory back.
func frugal() (restore func()) {
	before := debug.SetGCPercent(10)
	return func() {
		debug.SetGCPercent(before)
		debug.FreeOSMemory()
	}
}

// sizes returns the size of files. One that is missing counts nothing here.
func sizes(dir fs.FS, names []string) (sum int64) {
	for _, name := range names {
		if info, err := fs.Stat(dir, filepath.Clean(name)); err == nil {
			sum += info.Size()
		}
	}
	return sum
}

// gather copies the weights of a model to a folder next to the bundle's, where there must be room for the bundle too.
func (o Options) gather(s *source, path string, raw []byte, dir fs.FS) error {
	w, finish, err := o.folder(s)
	if err != nil {
		return err
	}
	var size int64
	s.model, size, err = graph.Gather(raw, dir, w, weightsFile)
	if writing := finish(); err == nil {
		err = writing
	}
	if err != nil {
		if errors.Is(err, graph.ErrExternal) || errors.Is(err, graph.ErrModel) {
			err = badInput(path, err)
		} else {
			err = fmt.Errorf("import: copy the weights: %w", err)
		}
		return errors.Join(err, s.close())
	}
	s.size = size + int64(len(s.model))
	return nil
}

// folder makes a folder next to the bundle's and opens the file for the weights in it.
func (o Options) folder(s *source) (w *bufio.Writer, finish func() error, err error) {
	parent := filepath.Dir(filepath.Clean(o.Out))
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return nil, nil, fmt.Errorf("import: %w", err)
	}
	if s.folder, err = os.MkdirTemp(parent, "."+filepath.Base(filepath.Clean(o.Out))+"-weights-*"); err != nil {
		return nil, nil, fmt.Errorf("import: %w", err)
	}
	f, err := os.Create(filepath.Join(s.folder, weightsFile))
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("import: %w", err), s.close())
	}
	w = bufio.NewWriterSize(f, 1<<20)
	return w, func() error { return errors.Join(w.Flush(), f.Close()) }, nil
}
