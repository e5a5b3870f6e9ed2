package npy

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

const (
	maxSide   = 1 << 16 // largest side of an array, in pixels
	maxHeader = 1 << 16 // largest header in bytes; the header of a two-dimensional array takes 118
)

// ErrFormat is the error of a file that is not a NumPy file, or whose header is not of the form that numpy.save writes.
var ErrFormat = errors.New("not a NumPy file")

// header matches the dictionary of a header as numpy.save writes it (numpy.lib.format, versions 1 to 3).
var header = regexp.MustCompile(
	`^\{'descr': '([^']*)', 'fortran_order': (True|False), 'shape': \(([0-9, ]*)\),? ?\}\s*$`)

// array is what a header says.
type array struct {
	typ           string
	width, height int
	columns       bool // Fortran order: column after column
}

// ReadRows reads a two-dimensional array and calls row with the bytes of each row. Further dimensions of length 1 do not matter.
// sizes maps the accepted types, such as <f4, to their sizes in bytes; accept may refuse a shape. A file that is longer or
// shorter than its header says is an error. ReadRows allocates one row, after accept has seen the shape, or in Fortran order the
// array.
func ReadRows(
	r io.Reader, sizes map[string]int, accept func(width, height int) error, row func(typ string, b []byte) error,
) error {
	a, err := readHeader(r)
	if err != nil {
		return err
	}
	size, ok := sizes[a.typ]
	if !ok {
		return fmt.Errorf("an array of type %s is not accepted", a.typ)
	}
	if min(a.width, a.height) < 1 || max(a.width, a.height) > maxSide {
		return fmt.Errorf("shape (%d, %d) is not the size of a picture", a.height, a.width)
	}
	if err := accept(a.width, a.height); err != nil {
		return err
	}
	if a.columns {
		if r, err = a.transpose(r, size); err != nil {
			return err
		}
	}
	b := make([]byte, a.width*size)
	for range a.height {
		if _, err := io.ReadFull(r, b); err != nil {
			return a.shorter(err)
		}
		if err := row(a.typ, b); err != nil {
			return err
		}
	}
	if n, err := io.ReadFull(r, b[:1]); n > 0 || !errors.Is(err, io.EOF) {
		return a.longer()
	}
	return nil
}

func (a array) shorter(err error) error {
	return fmt.Errorf("shorter than its shape (%d, %d): %w", a.height, a.width, err)
}

func (a array) longer() error { return fmt.Errorf("longer than its shape (%d, %d)", a.height, a.width) }

// transpose reads an array in Fortran order and returns it in C order.
func (a array) transpose(r io.Reader, size int) (io.Reader, error) {
	n := int64(a.width) * int64(a.height) * int64(size)
	columns, err := io.ReadAll(io.LimitReader(r, n+1)) // no more memory than the file has
	switch {
	case err != nil:
		return nil, err
	case int64(len(columns)) < n:
		return nil, a.shorter(io.ErrUnexpectedEOF)
	case int64(len(columns)) > n:
		return nil, a.longer()
	}
	rows := make([]byte, 0, n)
	for y := range a.height {
		for x := range a.width {
			at := (x*a.height + y) * size
			rows = append(rows, columns[at:at+size]...)
		}
	}
	return bytes.NewReader(rows), nil
}

func readHeader(r io.Reader) (a array, err error) {
	typ, columns, all, err := readDict(r)
	if err != nil {
		return a, err
	}
	sides := slices.Clone(all)
	for i := 0; i < len(sides) && len(sides) > 2; {
		if sides[i] == 1 {
			sides = slices.Delete(sides, i, i+1)
		} else {
			i++
		}
	}
	if len(sides) != 2 {
		return a, fmt.Errorf("shape %v is not that of one map", all)
	}
	return array{typ: typ, height: sides[0], width: sides[1], columns: columns}, nil
}

// readDict reads the type, the order and the shape of an array.
func readDict(r io.Reader) (typ string, columns bool, sides []int, err error) {
	prefix := make([]byte, 12) // magic, version, and the length of the header in two or four bytes
	if _, err := io.ReadFull(r, prefix[:10]); err != nil || !bytes.HasPrefix(prefix, []byte(magic)) {
		return "", false, nil, ErrFormat
	}
	n := int(binary.LittleEndian.Uint16(prefix[8:]))
	if prefix[6] > 1 {
		if _, err := io.ReadFull(r, prefix[10:]); err != nil {
			return "", false, nil, ErrFormat
		}
		n = int(binary.LittleEndian.Uint32(prefix[8:]))
	}
	if prefix[6] < 1 || prefix[6] > 3 || n > maxHeader {
		return "", false, nil, ErrFormat
	}
	dict := make([]byte, n)
	if _, err := io.ReadFull(r, dict); err != nil {
		return "", false, nil, ErrFormat
	}
	m := header.FindSubmatch(dict)
	if m == nil {
		return "", false, nil, fmt.Errorf("%w: header %.100q", ErrFormat, dict)
	}
	for side := range strings.SplitSeq(strings.ReplaceAll(string(m[3]), " ", ""), ",") {
		if side == "" {
			continue
		}
		v, err := strconv.Atoi(side)
		if err != nil {
			return "", false, nil, fmt.Errorf("%w: %w", ErrFormat, err)
		}
		sides = append(sides, v)
	}
	return string(m[1]), string(m[2]) == "True", sides, nil
}
