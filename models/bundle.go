package models

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/oodcast/oodcast/models/checkpoint"
)

// The files of a bundle.
const (
	ManifestFile    = "bundle.yaml"
	EncoderFile     = "encoder.onnx"
	DenoiserFile    = "denoiser.safetensors"
	CalibrationFile = "calibration.json"
	GoldenFile      = "golden.json"
	CardFile        = "MODEL_CARD.md"
)

// Default is the name of the bundle that is used when none is named.
const Default = "roadscene"

var (
	// ErrNotFound: no bundle of that name or at that path.
	ErrNotFound = errors.New("models: no such bundle")
	// ErrCorrupt: a bundle is there but a file is missing, damaged or contradicts the manifest.
	ErrCorrupt = errors.New("models: bundle is corrupt")
	// ErrEncoderOnly: the bundle has no denoiser yet. Normal after `models import`; the way out is `oodcast fit`.
	ErrEncoderOnly = errors.New("models: the bundle has no denoiser: run oodcast fit first")
)

//go:embed bundles/*/*.yaml bundles/*/*.onnx bundles/*/*.safetensors bundles/*/*.json bundles/*/*.md
var embedded embed.FS

// Bundle is an opened bundle. It is safe for concurrent use.
type Bundle struct {
	Manifest
	// Dir is the folder it came from; empty for an embedded bundle.
	Dir string

	files fs.FS
	where string // for messages
}

// Names lists the embedded bundles.
func Names() []string {
	found, err := fs.Glob(embedded, "bundles/*/"+ManifestFile)
	if err != nil {
		return nil // only a malformed pattern
	}
	names := make([]string, len(found))
	for i, path := range found {
		names[i] = strings.Split(path, "/")[1]
	}
	slices.Sort(names)
	return names
}

// Open opens the embedded bundle of that name, or else the folder at that path, and checks the manifest and the
// checksum of every file.
func Open(nameOrPath string) (*Bundle, error) {
	if nameOrPath == "" {
		return nil, fmt.Errorf("open bundle %q: %w: name one of %s, or a folder", nameOrPath, ErrNotFound,
			strings.Join(Names(), ", "))
	}
	if slices.Contains(Names(), nameOrPath) {
		sub, err := fs.Sub(embedded, "bundles/"+nameOrPath)
		if err != nil {
			return nil, fmt.Errorf("open bundle %q: %w", nameOrPath, err)
		}
		return OpenFS(sub, nameOrPath)
	}
	info, err := os.Stat(nameOrPath)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("open bundle %q: %w: neither a folder nor one of %s", nameOrPath, ErrNotFound,
			strings.Join(Names(), ", "))
	case err != nil:
		return nil, fmt.Errorf("open bundle %q: %w", nameOrPath, reason(err))
	case !info.IsDir():
		return nil, fmt.Errorf("open bundle %q: %w: it is a file, name the folder that holds %s", nameOrPath,
			ErrNotFound, ManifestFile)
	}
	b, err := OpenFS(os.DirFS(nameOrPath), nameOrPath)
	if err != nil {
		return nil, err
	}
	b.Dir = nameOrPath
	return b, nil
}

// OpenFS opens the bundle at the root of any file system; where names it in messages.
func OpenFS(files fs.FS, where string) (*Bundle, error) {
	raw, err := fs.ReadFile(files, ManifestFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("open bundle %q: %w: the folder has no %s", where, ErrNotFound, ManifestFile)
	}
	if err != nil {
		return nil, fmt.Errorf("open bundle %q: %w", where, reason(err))
	}
	m, err := ParseManifest(raw)
	if err != nil {
		return nil, fmt.Errorf("open bundle %q: %w: %w", where, ErrCorrupt, oneLine(err))
	}
	b := &Bundle{Manifest: m, files: files, where: where}
	if err := b.Verify(); err != nil {
		return nil, err
	}
	return b, nil
}

// Verify compares every file with its checksum, and the set of files with what the manifest promises.
func (b *Bundle) Verify() error {
	want := []string{EncoderFile}
	if !b.EncoderOnly() {
		want = append(want, DenoiserFile, CalibrationFile)
	}
	for _, name := range want {
		if _, ok := b.Files[name]; !ok {
			return fmt.Errorf("open bundle %q: %w: %s does not list %s", b.where, ErrCorrupt, ManifestFile, name)
		}
	}
	for _, name := range b.FileNames() {
		if err := b.verifyFile(name); err != nil {
			return fmt.Errorf("open bundle %q: %w: %s: %w", b.where, ErrCorrupt, name, err)
		}
	}
	return nil
}

// FileNames lists the files of the manifest in ascending order.
func (b *Bundle) FileNames() []string {
	names := make([]string, 0, len(b.Files))
	for name := range b.Files {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func (b *Bundle) verifyFile(name string) error {
	f, err := b.files.Open(name)
	if err != nil {
		return reason(err)
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.Copy(h, f)
	if err != nil {
		return reason(err)
	}
	return b.Files[name].match(h.Sum(nil), n)
}

func (f File) match(sum []byte, n int64) error {
	if n != f.Bytes {
		return fmt.Errorf("%d bytes, want %d", n, f.Bytes)
	}
	if got := hex.EncodeToString(sum); !strings.EqualFold(got, f.SHA256) {
		return fmt.Errorf("sha256 %s…, want %s…", got[:12], f.SHA256[:12])
	}
	return nil
}

// ReadFile returns a file that the manifest lists, checked once more: it may have changed since Open.
func (b *Bundle) ReadFile(name string) ([]byte, error) {
	want, ok := b.Files[name]
	if !ok {
		return nil, fmt.Errorf("bundle %q: it has no %s: %w", b.where, name, fs.ErrNotExist)
	}
	raw, err := fs.ReadFile(b.files, name)
	if err == nil {
		sum := sha256.Sum256(raw)
		err = want.match(sum[:], int64(len(raw)))
	}
	if err != nil {
		return nil, fmt.Errorf("bundle %q: %w: %s: %w", b.where, ErrCorrupt, name, reason(err))
	}
	return raw, nil
}

// Encoder returns encoder.onnx.
func (b *Bundle) Encoder() ([]byte, error) { return b.ReadFile(EncoderFile) }

// Denoiser returns the tensors of denoiser.safetensors, or ErrEncoderOnly.
func (b *Bundle) Denoiser() (checkpoint.Tensors, error) {
	if b.EncoderOnly() {
		return nil, fmt.Errorf("bundle %q: %w", b.where, ErrEncoderOnly)
	}
	raw, err := b.ReadFile(DenoiserFile)
	if err != nil {
		return nil, err
	}
	ts, _, err := checkpoint.ParseSafetensors(raw)
	if err != nil {
		return nil, fmt.Errorf("bundle %q: %s: %w", b.where, DenoiserFile, err)
	}
	return ts, nil
}

// Calibration returns calibration.json, or ErrEncoderOnly.
func (b *Bundle) Calibration() ([]byte, error) {
	if b.EncoderOnly() {
		return nil, fmt.Errorf("bundle %q: %w", b.where, ErrEncoderOnly)
	}
	return b.ReadFile(CalibrationFile)
}

// Path is the name or folder that the bundle was opened by.
func (b *Bundle) Path() string { return b.where }

// Write writes the bundle in one step: the folder appears complete or not at all. It fills in m.Format and m.Files. A
// folder that is there already is replaced if it holds a bundle or nothing; anything else is refused.
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

// writeFolder fills a folder beside dir and then swaps names, keeping the old one until the new one is in place.
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
	return errors.Join(keepStrangers(old, dir), os.RemoveAll(old))
}

// keepStrangers moves what the old bundle's manifest does not list, such as a training's state, to the new folder.
func keepStrangers(old, dir string) error {
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

func writeFile(path string, raw []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(raw)
	return errors.Join(err, f.Sync(), f.Close())
}

// reason drops the operation and path that a *PathError repeats.
func reason(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}

// oneLine joins the faults of a manifest with semicolons: messages are one line.
func oneLine(err error) error { return errors.New(strings.ReplaceAll(err.Error(), "\n", "; ")) }
