package npy

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/google/renameio/v2"
)

const magic = "\x93NUMPY"

// headerSize is the size of magic, version and header together: a multiple of 64 that has room for any shape.
const headerSize = 128

// newHeader returns the beginning of a NumPy file (format 1.0) of float32 in C order.
func newHeader(shape ...int) []byte {
	dims := make([]string, len(shape))
	for i, d := range shape {
		dims[i] = fmt.Sprintf("%d,", d)
	}
	dict := fmt.Sprintf("{'descr': '<f4', 'fortran_order': False, 'shape': (%s), }", strings.Join(dims, " "))
	const prefix = 10
	b := append([]byte(magic+"\x01\x00"), 0, 0)
	binary.LittleEndian.PutUint16(b[8:], headerSize-prefix)
	b = append(b, dict...)
	for len(b) < headerSize-1 {
		b = append(b, ' ')
	}
	return append(b, '\n')
}

// WriteFile writes one map as an array [height, width].
func WriteFile(path string, data []float32, height, width int) error {
	b := newHeader(height, width)
	for _, v := range data {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
	}
	if err := renameio.WriteFile(path, b, 0o644); err != nil {
		return fmt.Errorf("write %q: %w", path, err)
	}
	return nil
}

// Writer writes an array [n, height, width] whose n is known only at the end. The file appears with Close; Discard drops
// it. A Writer is not safe for concurrent use.
type Writer struct {
	f             *renameio.PendingFile
	w             *bufio.Writer
	path          string
	n             int
	height, width int
}

// Create starts an array of maps of height × width. The caller ends it with Close or Discard.
func Create(path string, height, width int) (*Writer, error) {
	f, err := renameio.NewPendingFile(path, renameio.WithPermissions(0o644))
	if err != nil {
		return nil, fmt.Errorf("write %q: %w", path, err)
	}
	w := &Writer{f: f, w: bufio.NewWriterSize(f, 1<<20), path: path, height: height, width: width}
	if _, err := w.w.Write(newHeader(0, height, width)); err != nil {
		return nil, errors.Join(fmt.Errorf("write %q: %w", path, err), f.Cleanup())
	}
	return w, nil
}

// Append adds one map.
func (w *Writer) Append(data []float32) error {
	if len(data) != w.height*w.width {
		return fmt.Errorf("write %q: the size of the video changed: got a map of %d values, want %dx%d",
			w.path, len(data), w.width, w.height)
	}
	w.n++
	var b [4]byte
	for _, v := range data {
		binary.LittleEndian.PutUint32(b[:], math.Float32bits(v))
		if _, err := w.w.Write(b[:]); err != nil {
			return fmt.Errorf("write %q: %w", w.path, err)
		}
	}
	return nil
}

// Close writes the number of maps into the header and puts the file in its place.
func (w *Writer) Close() error {
	err := w.w.Flush()
	if err == nil {
		_, err = w.f.WriteAt(newHeader(w.n, w.height, w.width), 0)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write %q: %w", w.path, err), w.f.Cleanup())
	}
	return w.f.CloseAtomicallyReplace()
}

// Discard drops what was written.
func (w *Writer) Discard() error { return w.f.Cleanup() }
