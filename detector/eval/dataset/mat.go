package dataset

import (
	"compress/zlib"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// The parts of a MATLAB file, level 5 (MathWorks, MAT-File Format), that a cell array of masks needs.
const (
	matHeader     = 128
	matMatrix     = 14
	matCompressed = 15
	matCell       = 1 // class of an array
)

// matSizes are the sizes of the numbers of each data type.
var matSizes = map[uint32]int{1: 1, 2: 1, 3: 2, 4: 2, 5: 4, 6: 4, 7: 4, 9: 8, 12: 8, 13: 8}

var errMat = errors.New("not a MATLAB file of level 5 with a cell array of masks")

// matVolume reads the masks of a cell array, one after another: volLabel of CUHK Avenue. It keeps one mask in memory.
type matVolume struct {
	r    io.Reader // within the cell array
	left int       // masks
}

// newMatVolume finds the first cell array of a file.
func newMatVolume(r io.Reader) (*matVolume, error) {
	head := make([]byte, matHeader)
	if _, err := io.ReadFull(r, head); err != nil || string(head[126:]) != "IM" {
		return nil, errMat
	}
	for {
		var tag [8]byte
		if _, err := io.ReadFull(r, tag[:]); err != nil {
			return nil, errMat
		}
		kind, size := binary.LittleEndian.Uint32(tag[:]), binary.LittleEndian.Uint32(tag[4:])
		part := io.LimitReader(r, int64(size))
		inner := part
		if kind == matCompressed {
			z, err := zlib.NewReader(part)
			if err != nil {
				return nil, fmt.Errorf("%w: %w", errMat, err)
			}
			if _, err := io.ReadFull(z, tag[:]); err != nil {
				return nil, errMat
			}
			inner, kind = z, binary.LittleEndian.Uint32(tag[:])
		}
		if kind == matMatrix {
			class, sides, err := matArray(inner)
			if err != nil {
				return nil, err
			}
			if class == matCell {
				n := 1
				for _, s := range sides {
					if n *= s; n > maxClipFrames || n < 0 {
						return nil, errMat
					}
				}
				return &matVolume{r: inner, left: n}, nil
			}
		}
		if _, err := io.Copy(io.Discard, part); err != nil {
			return nil, err
		}
	}
}

// matArray reads the beginning of an array: its class and its sides.
func matArray(r io.Reader) (class byte, sides []int, err error) {
	const most = 1 << 10 // bytes of flags, sides and name
	_, flags, err := matElement(r, most)
	if err != nil || len(flags) < 4 {
		return 0, nil, errMat
	}
	_, dims, err := matElement(r, most)
	if err != nil {
		return 0, nil, err
	}
	for ; len(dims) >= 4; dims = dims[4:] {
		sides = append(sides, int(int32(binary.LittleEndian.Uint32(dims))))
	}
	if _, _, err := matElement(r, most); err != nil { // the name
		return 0, nil, err
	}
	return flags[0], sides, nil
}

// matElement reads a data element of at most so many bytes.
func matElement(r io.Reader, most int) (kind uint32, data []byte, err error) {
	var tag [8]byte
	if _, err := io.ReadFull(r, tag[:]); err != nil {
		return 0, nil, errMat
	}
	kind = binary.LittleEndian.Uint32(tag[:])
	if size := kind >> 16; size > 0 { // up to four bytes within the tag
		if size > 4 {
			return 0, nil, errMat
		}
		return kind & 0xffff, tag[4:][:size], nil
	}
	size := int64(binary.LittleEndian.Uint32(tag[4:]))
	if size > int64(most) {
		return 0, nil, errMat
	}
	data, err = io.ReadAll(io.LimitReader(r, size)) // no more memory than the file has
	if err != nil || int64(len(data)) < size {
		return 0, nil, errMat
	}
	_, err = io.CopyN(io.Discard, r, (8-size%8)%8)
	return kind, data, err
}

// Next reads the next mask. MATLAB stores it column after column.
func (m *matVolume) Next() (labels []uint8, w, h int, err error) {
	if m.left == 0 {
		return nil, 0, 0, io.EOF
	}
	m.left--
	var tag [8]byte
	if _, err := io.ReadFull(m.r, tag[:]); err != nil || binary.LittleEndian.Uint32(tag[:]) != matMatrix {
		return nil, 0, 0, errMat
	}
	_, sides, err := matArray(m.r)
	if err != nil {
		return nil, 0, 0, err
	}
	if len(sides) != 2 || min(sides[0], sides[1]) < 1 || max(sides[0], sides[1]) > 1<<14 {
		return nil, 0, 0, errMat
	}
	h, w = sides[0], sides[1]
	kind, data, err := matElement(m.r, 8*w*h)
	if err != nil {
		return nil, 0, 0, err
	}
	size := matSizes[kind]
	if size == 0 || len(data) != size*w*h {
		return nil, 0, 0, errMat
	}
	labels = make([]uint8, w*h)
	for i := range labels {
		x, y := i%w, i/w
		for _, b := range data[(x*h+y)*size:][:size] {
			if b != 0 {
				labels[i] = 1
			}
		}
	}
	return labels, w, h, nil
}
