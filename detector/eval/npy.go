package eval

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
	maxSide   = 1 << 16 // bounds the sides of an array in pixels
	maxHeader = 1 << 16 // bounds a NumPy header: one of two dimensions takes 118 bytes
)

var errNotNumPy = errors.New("not a NumPy file")

// npyDict is the header's dictionary, of the form that numpy.save writes (numpy.lib.format, versions 1 to 3).
var npyDict = regexp.MustCompile(
	`^\{'descr': '([^']*)', 'fortran_order': (True|False), 'shape': \(([0-9]+), ([0-9]+),?\),? ?\}\s*$`)

// readArray reads the header of a two-dimensional NumPy array in C order and calls row with the bytes of each row. sizes
// are the accepted types, such as <f4, and their sizes in bytes; accept may refuse a shape. A file that is longer or
// shorter than its header says is an error, found before memory for its size is taken.
func readArray(
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
		return fmt.Errorf("shape (%d, %d): no picture's size", height, width)
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
	prefix := make([]byte, 12) // magic, version, and the header's length in two or four bytes
	if _, err := io.ReadFull(r, prefix[:10]); err != nil || !bytes.HasPrefix(prefix, []byte("\x93NUMPY")) {
		return "", 0, 0, errNotNumPy
	}
	n := int(binary.LittleEndian.Uint16(prefix[8:]))
	if prefix[6] > 1 {
		if _, err := io.ReadFull(r, prefix[10:]); err != nil {
			return "", 0, 0, errNotNumPy
		}
		n = int(binary.LittleEndian.Uint32(prefix[8:]))
	}
	if prefix[6] < 1 || prefix[6] > 3 || n > maxHeader {
		return "", 0, 0, errNotNumPy
	}
	dict := make([]byte, n)
	if _, err := io.ReadFull(r, dict); err != nil {
		return "", 0, 0, errNotNumPy
	}
	m := npyDict.FindSubmatch(dict)
	if m == nil {
		return "", 0, 0, fmt.Errorf("%w of two dimensions: header %.100q", errNotNumPy, dict)
	}
	if string(m[2]) == "True" {
		return "", 0, 0, errors.New("an array in Fortran order: save a C-ordered copy")
	}
	if height, err = strconv.Atoi(string(m[3])); err == nil {
		width, err = strconv.Atoi(string(m[4]))
	}
	return string(m[1]), width, height, err
}
