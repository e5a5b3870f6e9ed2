package files

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/google/renameio/v2"
)

// npyHeaderSize is the size of magic, version and header: enough for any shape, and a multiple of 64.
const npyHeaderSize = 128

// npyHeader returns the beginning of a NumPy file (format 1.0) of float32 in C order.
func npyHeader(shape ...int) []byte {
	dims := make([]string, len(shape))
	for i, d := range shape {
		dims[i] = fmt.Sprintf("%d,", d)
	}
	dict := fmt.Sprintf("{'descr': '<f4', 'fortran_order': False, 'shape': (%s), }", strings.Join(dims, " "))
	const prefix = 10
	b := append([]byte("\x93NUMPY\x01\x00"), 0, 0)
	binary.LittleEndian.PutUint16(b[8:], npyHeaderSize-prefix)
	b = append(b, dict...)
	for len(b) < npyHeaderSize-1 {
		b = append(b, ' ')
	}
	return append(b, '\n')
}

// writeNPY writes the scores of a picture.
func writeNPY(path string, data []float32, height, width int) error {
	b := npyHeader(height, width)
	for _, v := range data {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
	}
	if err := renameio.WriteFile(path, b, 0o644); err != nil {
		return fmt.Errorf("write %q: %w", path, err)
	}
	return nil
}

// npyWriter writes an array [n, height, width]. Its n is known only at the end.
type npyWriter struct {
	f             *renameio.PendingFile
	w             *bufio.Writer
	path          string
	n             int
	height, width int
}

func createNPY(path string, height, width int) (*npyWriter, error) {
	f, err := renameio.NewPendingFile(path, renameio.WithPermissions(0o644))
	if err != nil {
		return nil, fmt.Errorf("write %q: %w", path, err)
	}
	w := &npyWriter{f: f, w: bufio.NewWriterSize(f, 1<<20), path: path, height: height, width: width}
	_, err = w.w.Write(npyHeader(0, height, width))
	return w, err
}

func (w *npyWriter) append(data []float32) error {
	if len(data) != w.height*w.width {
		return fmt.Errorf("write %q: the video has changed its size: a map has %d values, want %dx%d",
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

func (w *npyWriter) close() error {
	err := w.w.Flush()
	if err == nil {
		_, err = w.f.WriteAt(npyHeader(w.n, w.height, w.width), 0)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write %q: %w", w.path, err), w.f.Cleanup())
	}
	return w.f.CloseAtomicallyReplace()
}
