package models

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"go.yaml.in/yaml/v3"
)

// Write writes a bundle in one step: the folder appears complete or not at all. It fills in m.Format and m.Files. An
// existing folder is replaced if it is empty or holds a bundle; any other folder is refused.
func Write(dir string, m Manifest, files map[string][]byte) error {
	m.Format = Format
	m.Files = make(map[string]File, len(files))
	for name, raw := range files {
		sum := sha256.Sum256(raw)
		m.Files[name] = File{SHA256: hex.EncodeToString(sum[:]), Bytes: int64(len(raw))}
	}
	if err := m.Validate(); err != nil {
		return fmt.Errorf("write bundle %q: %w", dir, err)
	}
	head, err := m.Marshal()
	if err != nil {
		return fmt.Errorf("write bundle %q: %w", dir, err)
	}
	if err := replaceable(dir); err != nil {
		return fmt.Errorf("write bundle %q: %w", dir, err)
	}
	if err := writeFolder(filepath.Clean(dir), head, files); err != nil {
		return fmt.Errorf("write bundle %q: %w", dir, reason(err))
	}
	return nil
}

// CheckFolder returns an error if Write could not write a bundle to dir: for long work whose result is a bundle. It makes
// the folders above dir, as Write does.
func CheckFolder(dir string) error {
	err := replaceable(dir)
	if err == nil {
		parent := filepath.Dir(filepath.Clean(dir))
		if err = os.MkdirAll(parent, 0o755); err == nil {
			var probe string
			if probe, err = os.MkdirTemp(parent, ".oodcast-*"); err == nil {
				err = os.Remove(probe)
			}
		}
	}
	if err != nil {
		return fmt.Errorf("write bundle %q: %w", dir, reason(err))
	}
	return nil
}

// replaceable returns an error unless dir is missing, empty, or holds a bundle.
func replaceable(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return reason(err)
	}
	for _, e := range entries {
		if e.Name() == ManifestFile {
			return nil
		}
	}
	if len(entries) > 0 {
		return errors.New("the folder is not empty and holds no bundle: choose another one")
	}
	return nil
}

// writeFolder fills a folder next to dir and then swaps their names. The old folder stays until the new one is in place.
// (renameio replaces single files only.)
func writeFolder(dir string, head []byte, files map[string][]byte) (err error) {
	parent := filepath.Dir(dir)
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(parent, "."+filepath.Base(dir)+"-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	if err := os.Chmod(tmp, 0o755); err != nil {
		return err
	}
	for name, raw := range files {
		if err := writeFile(filepath.Join(tmp, name), raw); err != nil {
			return err
		}
	}
	if err := writeFile(filepath.Join(tmp, ManifestFile), head); err != nil {
		return err
	}
	old := tmp + ".old"
	if err := os.Rename(dir, old); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Rename(tmp, dir); err != nil {
		return errors.Join(err, os.Rename(old, dir))
	}
	return errors.Join(keepUnlisted(old, dir), os.RemoveAll(old))
}

// keepUnlisted moves the files that the old bundle's manifest does not list, such as notes, to the new folder.
func keepUnlisted(old, dir string) error {
	raw, err := os.ReadFile(filepath.Join(old, ManifestFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var m Manifest
	if err := yaml.Unmarshal(raw, &m); err != nil {
		return nil // a damaged bundle is replaced as a whole
	}
	entries, err := os.ReadDir(old)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if _, listed := m.Files[e.Name()]; listed || e.Name() == ManifestFile {
			continue
		}
		if _, err := os.Lstat(filepath.Join(dir, e.Name())); err == nil {
			continue // the new bundle has its own
		}
		if err := os.Rename(filepath.Join(old, e.Name()), filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// writeFile writes a new file and flushes it to the disk.
func writeFile(path string, raw []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(raw)
	return errors.Join(err, f.Sync(), f.Close())
}
