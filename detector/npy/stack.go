package npy

import (
	"errors"
	"fmt"
	"io"
)

// Stack is an array [frames] or [frames,H,W] that is read frame by frame. A list has frames of 1 × 1.
type Stack struct {
	Frames, Width, Height int
	Type                  string // such as |u1

	r    io.Reader
	read int
	b    []byte
}

// OpenStack reads the header of an array in C order whose type is one of sizes. It allocates the bytes of one frame.
func OpenStack(r io.Reader, sizes map[string]int) (*Stack, error) {
	typ, columns, sides, err := readDict(r)
	if err != nil {
		return nil, err
	}
	size, ok := sizes[typ]
	if !ok {
		return nil, fmt.Errorf("an array of type %s is not accepted", typ)
	}
	s := &Stack{Type: typ, Width: 1, Height: 1, r: r}
	switch {
	case len(sides) == 1:
	case len(sides) == 3 && !columns:
		s.Height, s.Width = sides[1], sides[2]
	default:
		return nil, fmt.Errorf("shape %v is not that of a list or of a stack of maps in C order", sides)
	}
	if s.Frames = sides[0]; min(s.Width, s.Height) < 1 || max(s.Width, s.Height) > maxSide || s.Width > maxStackPixels/s.Height {
		return nil, fmt.Errorf("shape %v is not that of pictures", sides)
	}
	s.b = make([]byte, s.Width*s.Height*size)
	return s, nil
}

// maxStackPixels bounds the memory that a header can claim.
const maxStackPixels = 1 << 26

// Next returns the bytes of the next frame, valid until the next call, or io.EOF after the last one.
func (s *Stack) Next() ([]byte, error) {
	if s.read == s.Frames {
		return nil, io.EOF
	}
	s.read++
	if _, err := io.ReadFull(s.r, s.b); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, fmt.Errorf("shorter than its %d frames: %w", s.Frames, err)
	}
	return s.b, nil
}
