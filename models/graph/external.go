package graph

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"path"
	"slices"
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"
)

// ErrExternal means that a model keeps weights in another file, or that those weights cannot be read.
var ErrExternal = errors.New("graph: weights outside of the model")

// The numbers of the fields that hold tensors, graphs or nodes.
const (
	modelTraining, modelFunction                                 = 20, 25
	functionNode, functionAttr                                   = 7, 11
	attrTensor, attrTensors, attrSparse, attrSparses             = 5, 10, 22, 23
	tensorDims, tensorType, tensorName, tensorRaw                = 1, 2, 8, 9
	tensorExternal, tensorLocation                               = 13, 14
	sparseValues, sparseIndices, trainingInit, trainingAlgorithm = 1, 2, 1, 2
)

// locationExternal is TensorProto.DataLocation.EXTERNAL.
const locationExternal = 1

// External returns the names of the files in which a model keeps weights, sorted, and "" for a tensor that names none. It
// looks at the initialisers and at the tensors in attributes, subgraphs and functions.
func External(model []byte) ([]string, error) {
	x := inliner{list: true}
	if _, err := x.model(model); err != nil {
		return nil, err
	}
	slices.Sort(x.names)
	return slices.Compact(x.names), nil
}

// Inline returns the model with the weights that it keeps in files of dir. It returns model itself if there are none. The
// files of dir must be [io.ReaderAt]. Memory is the size of the result: the weights are read straight into it.
func Inline(model []byte, dir fs.FS) ([]byte, error) {
	x := inliner{dir: dir, files: map[string]*weightFile{}}
	defer x.close()
	parts, err := x.model(model)
	if err != nil || !x.found {
		return model, err
	}
	size := parts.size()
	if size > math.MaxInt32 {
		return nil, fmt.Errorf("%w: %d bytes with them; ONNX files end at 2 GiB", ErrExternal, size)
	}
	out := make([]byte, 0, size)
	for _, p := range parts {
		if p.file == nil {
			out = append(out, p.bytes...)
			continue
		}
		at := len(out)
		out = out[:at+int(p.length)]
		if p.length == 0 {
			continue
		}
		if _, err := p.file.r.ReadAt(out[at:], p.offset); err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrExternal, p.file.name, pathReason(err))
		}
	}
	return out, nil
}

// part is a stretch of a message: bytes, or a range of a file.
type part struct {
	bytes          []byte
	file           *weightFile
	offset, length int64
}

type parts []part

func (ps parts) size() int64 {
	n := int64(0)
	for _, p := range ps {
		n += int64(len(p.bytes)) + p.length
	}
	return n
}

// weightFile is an open file with weights.
type weightFile struct {
	name string
	f    fs.File
	r    io.ReaderAt
	size int64
}

// inliner walks through a model and replaces the references to files.
type inliner struct {
	list  bool // collect names only
	names []string
	found bool
	dir   fs.FS
	files map[string]*weightFile
}

func (x *inliner) close() {
	for _, f := range x.files {
		_ = f.f.Close()
	}
}

// visit rewrites a field; it returns nil for one that stays.
type visit func(field) (parts, error)

// message rewrites a message. It returns nil if nothing changes.
func (x *inliner) message(b []byte, what string, v visit) (parts, error) {
	fs, err := parseFields(b, what)
	if err != nil {
		return nil, err
	}
	var out parts
	for i, f := range fs {
		var now parts
		if f.typ == protowire.BytesType {
			if now, err = v(f); err != nil {
				return nil, err
			}
		}
		switch {
		case now != nil && out == nil:
			out = parts{}
			for _, g := range fs[:i] {
				out = append(out, part{bytes: g.raw})
			}
			fallthrough
		case now != nil:
			head := protowire.AppendVarint(protowire.AppendTag(nil, f.num, f.typ), uint64(now.size()))
			out = append(append(out, part{bytes: head}), now...)
		case out != nil:
			out = append(out, part{bytes: f.raw})
		}
	}
	return out, nil
}

func (x *inliner) model(b []byte) (parts, error) {
	return x.message(b, "model", func(f field) (parts, error) {
		switch f.num {
		case modelGraph:
			return x.graph(f.val, 0)
		case modelTraining:
			return x.message(f.val, "training", func(f field) (parts, error) {
				if f.num == trainingInit || f.num == trainingAlgorithm {
					return x.graph(f.val, 0)
				}
				return nil, nil
			})
		case modelFunction:
			return x.message(f.val, "function", func(f field) (parts, error) {
				switch f.num {
				case functionNode:
					return x.node(f.val, 0)
				case functionAttr:
					return x.attribute(f.val, 0)
				}
				return nil, nil
			})
		}
		return nil, nil
	})
}

func (x *inliner) graph(b []byte, depth int) (parts, error) {
	if depth >= maxDepth {
		return nil, fmt.Errorf("%w: graphs nested deeper than %d", ErrModel, maxDepth)
	}
	return x.message(b, "graph", func(f field) (parts, error) {
		switch f.num {
		case graphNode:
			return x.node(f.val, depth)
		case graphInit:
			return x.tensor(f.val)
		case graphSparse:
			return x.sparse(f.val)
		}
		return nil, nil
	})
}

func (x *inliner) node(b []byte, depth int) (parts, error) {
	return x.message(b, "node", func(f field) (parts, error) {
		if f.num != nodeAttr {
			return nil, nil
		}
		return x.attribute(f.val, depth)
	})
}

func (x *inliner) attribute(b []byte, depth int) (parts, error) {
	return x.message(b, "attribute", func(f field) (parts, error) {
		switch f.num {
		case attrTensor, attrTensors:
			return x.tensor(f.val)
		case attrSparse, attrSparses:
			return x.sparse(f.val)
		case attrGraphField, attrGraphsField:
			return x.graph(f.val, depth+1)
		}
		return nil, nil
	})
}

func (x *inliner) sparse(b []byte) (parts, error) {
	return x.message(b, "sparse tensor", func(f field) (parts, error) {
		if f.num == sparseValues || f.num == sparseIndices {
			return x.tensor(f.val)
		}
		return nil, nil
	})
}

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
	if v, ok := f.varint(tensorLocation); ok && v == locationExternal {
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
		if d < 0 || d > 0 && n > math.MaxInt32/d {
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
	f, err := x.dir.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%q is missing: copy it into the model's folder, or export with the weights inside "+
			"(torch.onnx.export(..., external_data=False))", location)
	}
	if err != nil {
		return nil, fmt.Errorf("%q: %w: it must lie in the model's folder itself, not behind a link", location, pathReason(err))
	}
	info, err := f.Stat()
	r, ok := f.(io.ReaderAt)
	if err != nil || !ok || !info.Mode().IsRegular() {
		_ = f.Close()
		return nil, fmt.Errorf("%q is not a regular file", location)
	}
	w := &weightFile{name: name, f: f, r: r, size: info.Size()}
	x.files[name] = w
	return w, nil
}

// pathReason strips the operation and the path from a *PathError.
func pathReason(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}
