package models

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"slices"
	"strings"

	"github.com/oodcast/oodcast/models/checkpoint"
	"github.com/oodcast/oodcast/models/regular"
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

// The names of the built-in bundles. All but Embedded are installed beside the program, because they contain weights that
// others have published.
const (
	// Default is used unless another bundle is named. Where it is not installed, Embedded serves in its place.
	Default = "roadscene"
	// Large is slower than Default and finds more.
	Large = "roadscene-l"
	// General has an encoder of no particular footage, and no denoiser: for fits.
	General = "anything"
	// Embedded is the small bundle inside the program.
	Embedded = "roadscene-s"
)

var (
	// ErrNotFound means that there is no bundle of that name or at that path.
	ErrNotFound = errors.New("models: no such bundle")
	// ErrCorrupt means that a file of the bundle is missing, damaged, or contradicts the manifest.
	ErrCorrupt = errors.New("models: bundle is corrupt")
	// ErrEncoderOnly means that the bundle has no denoiser yet. This is normal after `models import`; `oodcast fit` adds
	// the denoiser.
	ErrEncoderOnly = errors.New("models: the bundle has no denoiser: run oodcast fit first")
	// ErrUncalibrated means that the bundle has a denoiser but no calibration, because a fit failed after the training.
	ErrUncalibrated = errors.New("models: the bundle is not calibrated: run oodcast fit --calibrate-only first")
)

// Bundle is an opened bundle. It is safe for concurrent use.
type Bundle struct {
	Manifest
	// Dir is the folder that holds the bundle; empty for an embedded bundle.
	Dir string
	// Substitute says, if Open was asked for another bundle, why this one serves in its place; else it is empty.
	Substitute string

	files fs.FS
	where string // for messages
}

// folder is a folder as a file system. Unlike those of [os.DirFS], its links do not lead out of it.
type folder string

// Open opens a file of the folder.
func (f folder) Open(name string) (fs.File, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrInvalid}
	}
	file, _, err := regular.OpenIn(string(f), name)
	if err != nil {
		return nil, err
	}
	return file, nil
}

// OpenFS opens the bundle at the root of any file system; messages call it where.
func OpenFS(files fs.FS, where string) (*Bundle, error) {
	raw, err := readFile(files, ManifestFile, maxManifest)
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

// Verify compares every file with its checksum, and checks that the manifest lists every file that the bundle needs.
func (b *Bundle) Verify() error {
	want := []string{EncoderFile}
	if !b.EncoderOnly() {
		want = append(want, DenoiserFile)
		if b.Uncalibrated == "" {
			want = append(want, CalibrationFile)
		}
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
		if _, part := fs.Stat(b.files, PartFile); name == EncoderFile && part == nil {
			return fmt.Errorf("%w: the folder has %s, which make deps or oodcast models assemble completes", reason(err), PartFile)
		}
		return reason(err)
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Size() != b.Files[name].Bytes {
		return fmt.Errorf("%d bytes, want %d", info.Size(), b.Files[name].Bytes)
	}
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

// ReadFile returns a file that the manifest lists. It checks the file again, which may have changed since Open.
func (b *Bundle) ReadFile(name string) ([]byte, error) {
	want, ok := b.Files[name]
	if !ok {
		return nil, fmt.Errorf("bundle %q: it has no %s: %w", b.where, name, fs.ErrNotExist)
	}
	raw, err := readFile(b.files, name, min(want.Bytes, math.MaxInt32))
	if err == nil {
		sum := sha256.Sum256(raw)
		err = want.match(sum[:], int64(len(raw)))
	}
	if err != nil {
		return nil, fmt.Errorf("bundle %q: %w: %s: %w", b.where, ErrCorrupt, name, reason(err))
	}
	return raw, nil
}

// readFile reads a file of at most limit bytes.
func readFile(files fs.FS, name string, limit int64) ([]byte, error) {
	f, err := files.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return regular.Read(f, limit)
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

// Calibration returns calibration.json, ErrEncoderOnly or ErrUncalibrated.
func (b *Bundle) Calibration() ([]byte, error) {
	if b.EncoderOnly() {
		return nil, fmt.Errorf("bundle %q: %w", b.where, ErrEncoderOnly)
	}
	if b.Uncalibrated != "" {
		return nil, fmt.Errorf("bundle %q: %w (%s)", b.where, ErrUncalibrated, b.Uncalibrated)
	}
	return b.ReadFile(CalibrationFile)
}

// Path returns the folder that holds the bundle, or the name of an embedded bundle.
func (b *Bundle) Path() string { return b.where }

// reason strips the operation and the path from a *PathError: the message already has them.
func reason(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}

// oneLine joins the faults of a manifest with semicolons, because a message is one line.
func oneLine(err error) error { return errors.New(strings.ReplaceAll(err.Error(), "\n", "; ")) }
