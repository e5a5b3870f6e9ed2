package regular

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
)

var (
	errFolder  = errors.New("it is a folder")
	errSpecial = errors.New("it is not a regular file")
)

// Open opens a regular file and returns its size. Symbolic links are followed.
func Open(path string) (*os.File, int64, error) { return open(os.OpenFile, path) }

// OpenIn opens a regular file of a folder, from which links do not lead out.
func OpenIn(folder, name string) (*os.File, int64, error) {
	root, err := os.OpenRoot(folder)
	if err != nil {
		return nil, 0, err
	}
	defer root.Close()
	return open(root.OpenFile, name)
}

func open(with func(string, int, os.FileMode) (*os.File, error), name string) (*os.File, int64, error) {
	f, err := with(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, 0, err
	}
	size, err := sizeOf(f)
	if err != nil {
		_ = f.Close()
		return nil, 0, err
	}
	return f, size, nil
}

func sizeOf(f fs.File) (int64, error) {
	info, err := f.Stat()
	switch {
	case err != nil:
		return 0, err
	case info.IsDir():
		return 0, errFolder
	case !info.Mode().IsRegular():
		return 0, errSpecial
	}
	return info.Size(), nil
}

// ReadFile reads a regular file of at most limit bytes.
func ReadFile(path string, limit int64) ([]byte, error) {
	f, size, err := Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return read(f, size, limit)
}

// Read reads an open file of at most limit bytes.
func Read(f fs.File, limit int64) ([]byte, error) {
	size, err := sizeOf(f)
	if err != nil {
		return nil, err
	}
	return read(f, size, limit)
}

func read(r io.Reader, size, limit int64) ([]byte, error) {
	if size > limit {
		return nil, fmt.Errorf("it has %d bytes, at most %d are read", size, limit)
	}
	raw := make([]byte, size)
	if n, err := io.ReadFull(r, raw); err != nil {
		return nil, fmt.Errorf("it ended after %d of %d bytes while it was read", n, size)
	}
	return raw, nil
}
