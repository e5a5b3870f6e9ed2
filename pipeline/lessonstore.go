package pipeline

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/oodcast/oodcast/detector"
)

// lessonsDir is the folder in the state directory with the lessons, a file per camera.
const lessonsDir = "lessons"

// maxLessonFile bounds what is read: the largest lessons are smaller.
const maxLessonFile = 64 << 20

// lessonStore keeps the lessons of one camera in a file. The folder may be writable by others, so no link is followed out of
// it.
type lessonStore struct {
	dir, name string
	fault     error // why the file could not be read; it is not overwritten then
}

// read returns the lessons; none if there is no file.
func (s *lessonStore) read() (list []taught, err error) {
	root, err := os.OpenRoot(s.dir)
	if err != nil {
		return nil, s.absent(err)
	}
	defer root.Close()
	f, err := root.Open(s.path())
	if err != nil {
		return nil, s.absent(err)
	}
	defer f.Close()
	if st, err := f.Stat(); err != nil || !st.Mode().IsRegular() {
		return nil, fmt.Errorf("lessons %q: not a file", s.path())
	}
	if err := json.NewDecoder(io.LimitReader(f, maxLessonFile)).Decode(&list); err != nil {
		return nil, fmt.Errorf("lessons %q: %w", s.path(), err)
	}
	if len(list) > detector.MaxLessons {
		return nil, fmt.Errorf("lessons %q: got %d, want at most %d", s.path(), len(list), detector.MaxLessons)
	}
	for _, t := range list {
		if err := t.Shown.Validate(); err != nil {
			return nil, fmt.Errorf("lessons %q: %w", s.path(), err)
		}
	}
	return list, nil
}

func (s *lessonStore) path() string { return lessonsDir + "/" + s.name + ".json" }

func (s *lessonStore) absent(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return fmt.Errorf("lessons: %w", err)
}

// write replaces the file. A power failure leaves the old one or the new one.
func (s *lessonStore) write(list []taught) error {
	if s.fault != nil {
		return fmt.Errorf("the lesson cannot be kept, remove the file first: %w", s.fault)
	}
	raw, err := json.Marshal(list)
	if err != nil {
		return fmt.Errorf("lessons: %w", err)
	}
	if err := s.replace(raw); err != nil {
		return fmt.Errorf("the lesson cannot be kept: %w", err)
	}
	return nil
}

func (s *lessonStore) replace(raw []byte) error {
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return err
	}
	root, err := os.OpenRoot(s.dir)
	if err != nil {
		return err
	}
	defer root.Close()
	if err := root.Mkdir(lessonsDir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	temporary := s.path() + ".new"
	f, err := root.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(raw)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(err, root.Remove(temporary))
	}
	return root.Rename(temporary, s.path())
}
