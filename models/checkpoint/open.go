package checkpoint

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
)

// openRegular opens a regular file. Anything else is refused: a pipe would wait for a writer, a device never ends.
func openRegular(path string) (*os.File, int64, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	switch {
	case err == nil && info.IsDir():
		err = errors.New("it is a folder")
	case err == nil && !info.Mode().IsRegular():
		err = errors.New("it is not a regular file")
	}
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	return f, info.Size(), nil
}

// readRegular reads a regular file, as long as it was when it was opened.
func readRegular(path string) ([]byte, error) {
	f, size, err := openRegular(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	raw := make([]byte, size)
	if n, err := io.ReadFull(f, raw); err != nil {
		return nil, fmt.Errorf("the file ended after %d of %d bytes while it was read: %w", n, size, err)
	}
	return raw, nil
}

// reason strips the operation and the path from a *PathError: the message already has them.
func reason(err error) error {
	var pe *os.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}
