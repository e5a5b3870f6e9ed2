package models

import (
	"crypto/sha256"
	"fmt"
	"math"
	"os"
	"path/filepath"
)

// PartFile is the encoder without the weights that others have published, in a Part.
const PartFile = "encoder.part.onnx"

// Part is a bundle whose encoder is incomplete, because weights that others have published are not in it. Its manifest is
// that of the complete bundle.
type Part struct {
	Manifest
	manifest, encoder []byte
	files             map[string][]byte // all that the manifest lists, but the encoder
	where             string
}

// OpenPart reads the part in a folder, and checks the manifest and the checksum of every file but the encoder.
func OpenPart(dir string) (*Part, error) {
	files := folder(dir)
	raw, err := readFile(files, ManifestFile, maxManifest)
	if err != nil {
		return nil, fmt.Errorf("open part %q: %w: %s: %w", dir, ErrNotFound, ManifestFile, reason(err))
	}
	m, err := ParseManifest(raw)
	if err != nil {
		return nil, fmt.Errorf("open part %q: %w: %w", dir, ErrCorrupt, oneLine(err))
	}
	p := &Part{Manifest: m, manifest: raw, files: map[string][]byte{}, where: dir}
	if p.encoder, err = readFile(files, PartFile, math.MaxInt32); err != nil {
		return nil, fmt.Errorf("open part %q: %w: %s: %w", dir, ErrNotFound, PartFile, reason(err))
	}
	if _, ok := m.Files[EncoderFile]; !ok {
		return nil, fmt.Errorf("open part %q: %w: %s does not list %s", dir, ErrCorrupt, ManifestFile, EncoderFile)
	}
	b := Bundle{Manifest: m, files: files, where: dir}
	for _, name := range b.FileNames() {
		if name == EncoderFile {
			continue
		}
		if p.files[name], err = b.ReadFile(name); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// Encoder returns the incomplete encoder.
func (p *Part) Encoder() []byte { return p.encoder }

// Assemble writes the complete bundle. It returns ErrCorrupt unless the encoder is the one in the manifest.
func (p *Part) Assemble(dir string, encoder []byte) error {
	sum := sha256.Sum256(encoder)
	if err := p.Files[EncoderFile].match(sum[:], int64(len(encoder))); err != nil {
		return fmt.Errorf("assemble %q: %w: %s: %w", p.where, ErrCorrupt, EncoderFile, err)
	}
	return p.write(dir, EncoderFile, encoder)
}

// NewPart returns a complete bundle as a part with the given incomplete encoder.
func NewPart(b *Bundle, encoder []byte) (*Part, error) {
	raw, err := readFile(b.files, ManifestFile, maxManifest)
	if err != nil {
		return nil, fmt.Errorf("bundle %q: %s: %w", b.where, ManifestFile, reason(err))
	}
	p := &Part{Manifest: b.Manifest, manifest: raw, encoder: encoder, files: map[string][]byte{}, where: b.where}
	for _, name := range b.FileNames() {
		if name == EncoderFile {
			continue
		}
		if p.files[name], err = b.ReadFile(name); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// Write writes the part. Like [Write], it replaces a bundle in the folder.
func (p *Part) Write(dir string) error { return p.write(dir, PartFile, p.encoder) }

// write writes the folder with one file more, which is an encoder.
func (p *Part) write(dir, name string, encoder []byte) error {
	files := map[string]Content{name: Bytes(encoder)}
	for name, raw := range p.files {
		files[name] = Bytes(raw)
	}
	err := replaceable(dir)
	if err == nil {
		err = writeFolder(filepath.Clean(dir), func(map[string]File) ([]byte, error) { return p.manifest, nil }, files)
	}
	if err == nil && name == EncoderFile { // a part that was in the folder is not listed in its manifest, and was kept
		err = os.RemoveAll(filepath.Join(dir, PartFile))
	}
	if err != nil {
		return fmt.Errorf("write bundle %q: %w", dir, reason(err))
	}
	return nil
}
