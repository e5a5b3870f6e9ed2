package ingest

import (
	"errors"
	"io/fs"
)

// notFoundError is the type of ErrNotFound, which also matches fs.ErrNotExist.
type notFoundError struct{}

func (notFoundError) Error() string { return "no such file or folder" }

func (notFoundError) Is(target error) bool { return target == fs.ErrNotExist }

// Permanent reports whether trying again is useless: the address is wrong or the file is not a video.
func Permanent(err error) bool {
	return errors.Is(err, ErrUnsupported) || errors.Is(err, ErrUnreadable) || errors.Is(err, fs.ErrNotExist)
}
