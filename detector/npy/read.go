package npy

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
)

const (
	maxSide   = 1 << 16 // largest side of an array, in pixels
	maxHeader = 1 << 16 // largest header in bytes; the header of a two-dimensional array takes 118
)

// ErrFormat is the error of a file that is not a NumPy file, or whose header is not of the form that numpy.save writes.
var ErrFormat = errors.New("not a NumPy file")

// header matches the dictionary of a header as numpy.save writes it (numpy.lib.format, versions 1 to 3).
var header = regexp.MustCompile(
	`^\{'descr': '([^']*)', 'fortran_order': (True|False), 'shape': \(([0-9]+), ([0-9]+),?\),? ?\}\s*$`)

// ReadRows reads a two-dimensional array in C order and calls row with the bytes of each row. sizes maps the accepted
// types, such as <f4, to their sizes in bytes; accept may refuse a shape. A file that is longer or shorter than its header
// says is an error. ReadRows allocates one row, after accept has seen the shape.
func ReadRows(
	r io.Reader, sizes map[string]int, accept func(width, height int) error, row func(typ string, b []byte) error,
) error {
	typ, width, height, err := readHeader(r)
	if err != nil {
		return err
	}
	size, ok := sizes[typ]
	if !ok {
		return fmt.Errorf("an array of type %s is not accepted", typ)
	}
	if min(width, height) < 1 || max(width, height) > maxSide {
		return fmt.Errorf("shape (%d, %d) is not the size of a picture", height, width)
	}
	if err := accept(width, height); err != nil {
		return err
	}
	b := make([]byte, width*size)
	for range height {
		if _, err := io.ReadFull(r, b); err != nil {
			return fmt.Errorf("shorter than its shape (%d, %d): %w", height, width, err)
		}
		if err := row(typ, b); err != nil {
			return err
		}
	}
	if n, err := io.ReadFull(r, b[:1]); n > 0 || !errors.Is(err, io.EOF) {
		return fmt.Errorf("longer than its shape (%d, %d)", height, width)
	}
	return nil
}

func readHeader(r io.Reader) (typ string, width, height int, err error) {
	prefix := make([]byte, 12) // magic, version, and the length of the header in two or four bytes
	if _, err := io.ReadFull(r, prefix[:10]); err != nil || !bytes.HasPrefix(prefix, []byte(magic)) {
		return "", 0, 0, ErrFormat
	}
	n := int(binary.LittleEndian.Uint16(prefix[8:]))
	if prefix[6] > 1 {
		if _, err := io.ReadFull(r, prefix[10:]); err != nil {
			return "", 0, 0, ErrFormat
		}
		n = int(binary.LittleEndian.Uint32(prefix[8:]))
	}
	if prefix[6] < 1 || prefix[6] > 3 || n > maxHeader {
		return "", 0, 0, ErrFormat
	}
	dict := make([]byte, n)
	if _, err := io.ReadFull(r, dict); err != nil {
		return "", 0, 0, ErrFormat
	}
	m := header.FindSubmatch(dict)
	if m == nil {
		return "", 0, 0, fmt.Errorf("%w of two dimensions: header %.100q", ErrFormat, dict)
	}
	if string(m[2]) == "True" {
		return "", 0, 0, errors.New("an array in Fortran order: save a C-ordered copy")
	}
	if height, err = strconv.Atoi(string(m[3])); err == nil {
		width, err = strconv.Atoi(string(m[4]))
	}
	return string(m[1]), width, height, err
}
