package models

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"go.yaml.in/yaml/v3"
)

// Content writes a file of a bundle, piece by piece.
type Content func(w io.Writer) error

// Bytes is the content of a file that is in memory.
func Bytes(raw []byte) Content {
	return func(w io.Writer) error {
		_, err := w.Write(raw)
		return err
	}
}

// Write writes a bundle in one step: the folder appears complete or not at all. It fills in m.Format and m.Files. An
// existing folder is replaced if it is empty or holds a bundle; any other folder is refused.
func Write(dir string, m Manifest, files map[string][]byte) error {
	contents := make(map[string]Content, len(files))
	for name, raw := range files {
		contents[name] = Bytes(raw)
	}
	return WriteContents(dir, m, contents)
}

// WriteContents is [Write] for files that need not be in memory.
func WriteContents(dir string, m Manifest, files map[string]Content) error {
	m.Format, m.Files = Format, map[string]File{}
	for name := range files {
		m.Files[name] = File{SHA256: hex.EncodeToString(make([]byte, sha256.Size))} // until they are written
	}
	if err := m.Validate(); err != nil {
		return fmt.Errorf("write bundle %q: %w", dir, err)
	}
	if err := replaceable(dir); err != nil {
		return fmt.Errorf("write bundle %q: %w", dir, err)
	}
	manifest := func(sums map[string]File) ([]byte, error) {
		m.Files = sums
		return m.Marshal()
	}
	if err := writeFolder(filepath.Clean(dir), manifest, files); err != nil {
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
// (renameio replaces single files only.) manifest returns bundle.yaml, given the files' sizes and checksums.
func writeFolder(dir string, manifest func(map[string]File) ([]byte, error), files map[string]Content) (err error) {
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
	sums := map[string]File{}
	for name, content := range files {
		if sums[name], err = writeFile(filepath.Join(tmp, name), content); err != nil {
			return err
		}
	}
	head, err := manifest(sums)
	if err != nil {
		return err
	}
	if _, err := writeFile(filepath.Join(tmp, ManifestFile), Bytes(head)); err != nil {
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
	raw, err := readFile(folder(old), ManifestFile, maxManifest)
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

// writeFile writes a new file, flushes it to the disk, and returns its size and checksum.
func writeFile(path string, content Content) (File, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return File{}, err
	}
	sum := sha256.New()
	err = content(io.MultiWriter(f, sum))
	info, statErr := f.Stat()
	if err = errors.Join(err, statErr, f.Sync(), f.Close()); err != nil {
		return File{}, err
	}
	return File{SHA256: hex.EncodeToString(sum.Sum(nil)), Bytes: info.Size()}, nil
}
