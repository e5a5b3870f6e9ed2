package graph

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"path"
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"
)

// tensor returns the tensor with its data if the data is in a file, else nil.
func (x *inliner) tensor(b []byte) (parts, error) {
	fs, err := parseFields(b, "tensor")
	if err != nil {
		return nil, err
	}
	var t externalTensor
	for _, f := range fs {
		t.read(f)
	}
	if !t.external {
		return nil, nil
	}
	x.found = true
	if x.list {
		x.names = append(x.names, t.location)
		return nil, nil
	}
	data, err := x.data(t)
	if err != nil {
		return nil, fmt.Errorf("%w: tensor %q: %w", ErrExternal, t.name, err)
	}
	var out parts
	for _, f := range fs {
		if f.num != tensorExternal && f.num != tensorLocation && f.num != tensorRaw {
			out = append(out, part{bytes: f.raw})
		}
	}
	head := protowire.AppendVarint(protowire.AppendTag(nil, tensorRaw, protowire.BytesType), uint64(data.length))
	return append(out, part{bytes: head}, data), nil
}

// externalTensor is a TensorProto whose data may be in a file.
type externalTensor struct {
	name, location, offset, length string
	external                       bool
	dtype                          DType
	dims                           []int64
}

func (t *externalTensor) read(f field) {
	if v, ok := f.varint(tensorLocation); ok && int32(v) == locationExternal { // parsers keep 32 bits
		t.external = true
	}
	if v, ok := f.varint(tensorType); ok {
		t.dtype = DType(v)
	}
	switch {
	case f.num == tensorDims:
		t.dims = f.varints(tensorDims, t.dims)
	case f.isBytes(tensorName):
		t.name = string(f.val)
	case f.isBytes(tensorExternal):
		fs, _ := parseFields(f.val, "entry")
		var key, value string
		for _, e := range fs {
			switch {
			case e.isBytes(1):
				key = string(e.val)
			case e.isBytes(2):
				value = string(e.val)
			}
		}
		switch key {
		case "location":
			t.location = value
		case "offset":
			t.offset = value
		case "length":
			t.length = value
		}
	}
}

// bytes returns the size of the tensor's data, or -1 if its type has no size that this package knows.
func (t *externalTensor) bytes() (int64, error) {
	n := int64(1)
	for _, d := range t.dims {
		if d < 0 || d > 0 && n > math.MaxInt32/d || len(t.dims) > maxRank {
			return 0, fmt.Errorf("shape %v", t.dims)
		}
		n *= d
	}
	if size := int64(t.dtype.Size()); size > 0 {
		return n * size, nil
	}
	return -1, nil
}

// data finds the data of a tensor and checks that it is there.
func (x *inliner) data(t externalTensor) (part, error) {
	if t.location == "" {
		return part{}, errors.New("it names no file")
	}
	offset, err := number(t.offset, 0)
	if err != nil {
		return part{}, fmt.Errorf("offset %q", t.offset)
	}
	want, err := t.bytes()
	if err != nil {
		return part{}, err
	}
	length, err := number(t.length, want)
	if err != nil || length < 0 {
		return part{}, fmt.Errorf("length %q", t.length)
	}
	if want >= 0 && length != want {
		return part{}, fmt.Errorf("%d bytes, want %d for %s%v", length, want, t.dtype, t.dims)
	}
	f, err := x.open(t.location)
	if err != nil {
		return part{}, err
	}
	if offset > f.size || length > f.size-offset {
		return part{}, fmt.Errorf("%q has %d bytes, the tensor ends at %d: it is cut off, or belongs to another model",
			t.location, f.size, uint64(offset)+uint64(length))
	}
	return part{file: f, offset: offset, length: length}, nil
}

func number(s string, absent int64) (int64, error) {
	if s == "" {
		return absent, nil
	}
	v, err := strconv.ParseUint(s, 10, 63)
	return int64(v), err
}

// open opens a file with weights once.
func (x *inliner) open(location string) (*weightFile, error) {
	name := path.Clean(location)
	if f, ok := x.files[name]; ok {
		return f, nil
	}
	if !fs.ValidPath(name) {
		return nil, fmt.Errorf("%q is outside the model's folder", location)
	}
	info, err := fs.Stat(x.dir, name) // to open a pipe would wait for ever
	var f fs.File
	if err == nil && info.Mode().IsRegular() {
		f, err = x.dir.Open(name)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%q is missing: copy it into the model's folder, or export with the weights inside "+
			"(torch.onnx.export(..., external_data=False))", location)
	}
	if err != nil {
		return nil, fmt.Errorf("%q: %w: it must lie in the model's folder itself, not behind a link", location, pathReason(err))
	}
	r, ok := f.(io.ReaderAt)
	if !ok {
		return nil, errors.Join(fmt.Errorf("%q is not a regular file", location), closed(f))
	}
	w := &weightFile{name: name, f: f, r: r, size: info.Size()}
	x.files[name] = w
	return w, nil
}

// closed closes a file, if there is one.
func closed(f fs.File) error {
	if f == nil {
		return nil
	}
	return f.Close()
}

// pathReason strips the operation and the path from a *PathError.
func pathReason(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}
