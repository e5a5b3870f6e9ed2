package publish

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// errNotOurs means that another user of the machine can choose what is in the state directory: with a link to a file of ours we
// would overwrite it, with a password that it has written everybody could log in.
var errNotOurs = errors.New("it is not ours alone")

// makeStateDir makes a folder of the state directory, and refuses one that another user can change, or that is a link.
func makeStateDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	above, err := os.Stat(filepath.Dir(dir))
	if err != nil {
		return err
	}
	if above.Mode().Perm()&0o002 != 0 && above.Mode()&os.ModeSticky == 0 {
		return fmt.Errorf("%q: %w: every user of this machine may change it: chmod o-w, or set another publish.state_dir",
			filepath.Dir(dir), errNotOurs)
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	if !info.IsDir() || info.Mode().Perm()&0o002 != 0 || !ours(info) {
		return fmt.Errorf("%q: %w: it must be a folder, belong to the user that oodcast runs as, and not be open to all (chmod o-w)",
			dir, errNotOurs)
	}
	return nil
}

// openStateFile opens a file of the state directory for reading and writing, and makes it if needed.
func openStateFile(file string) (*os.File, error) {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_RDWR|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0o600)
	if errors.Is(err, syscall.ELOOP) {
		return nil, fmt.Errorf("%q: %w: remove the link", file, errNotOurs)
	}
	if err != nil {
		return nil, err
	}
	if err := checkStateFile(f, file); err != nil {
		return nil, err
	}
	return f, nil
}

// readStateFile reads a file of the state directory; fs.ErrNotExist if there is none.
func readStateFile(file string) ([]byte, error) {
	info, err := os.Lstat(file)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || !ours(info) {
		return nil, fmt.Errorf("%q: %w: remove it", file, errNotOurs)
	}
	return os.ReadFile(file)
}

// checkStateFile closes f and returns an error unless it is a regular file of ours.
func checkStateFile(f *os.File, file string) error {
	info, err := f.Stat()
	if err == nil && (!info.Mode().IsRegular() || !ours(info)) {
		err = fmt.Errorf("%q: %w: remove it", file, errNotOurs)
	}
	if err != nil {
		_ = f.Close()
	}
	return err
}

// ours reports whether a file belongs to the user that we run as, or to root.
func ours(info fs.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && (st.Uid == 0 || int(st.Uid) == os.Geteuid())
}
