package graph

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"slices"

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
	tensorDoc, tensorExternal, tensorLocation                    = 12, 13, 14
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
	if err != nil {
		return nil, err
	}
	if !x.found {
		return model, nil
	}
	return parts.read()
}

// InlineTo writes what [Inline] returns. Its memory is that of the model without the weights.
func InlineTo(w io.Writer, model []byte, dir fs.FS) error {
	x := inliner{dir: dir, files: map[string]*weightFile{}}
	defer x.close()
	ps, err := x.model(model)
	if err != nil {
		return err
	}
	if !x.found {
		ps = parts{{bytes: model}}
	}
	return ps.writeTo(w)
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

// fits reports parts that are too much for an ONNX file.
func (ps parts) fits() (int64, error) {
	size := ps.size()
	if size > math.MaxInt32 {
		return size, fmt.Errorf("%w: %d bytes with them; ONNX files end at 2 GiB", ErrExternal, size)
	}
	return size, nil
}

func (ps parts) read() ([]byte, error) {
	size, err := ps.fits()
	if err != nil {
		return nil, err
	}
	out := make([]byte, 0, size)
	for _, p := range ps {
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

func (ps parts) writeTo(w io.Writer) error {
	if _, err := ps.fits(); err != nil {
		return err
	}
	for _, p := range ps {
		if err := p.writeTo(w); err != nil {
			return err
		}
	}
	return nil
}

func (p part) writeTo(w io.Writer) error {
	if p.file == nil {
		_, err := w.Write(p.bytes)
		return err
	}
	n, err := io.Copy(w, io.NewSectionReader(p.file.r, p.offset, p.length))
	if err == nil && n < p.length {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return fmt.Errorf("%w: %s: %w", ErrExternal, p.file.name, pathReason(err))
	}
	return nil
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
	to    *gathering // of the initialisers; nil: into the model
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
			if x.to != nil && depth == 0 {
				return x.gather(f.val)
			}
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
