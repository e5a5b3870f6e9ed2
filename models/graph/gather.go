package graph

import (
	"fmt"
	"io"
	"io/fs"
	"math"
	"strconv"
)

const (
	// leastGathered is the size in bytes from which weights are gathered. A runtime needs smaller tensors, such as shapes, before
	// it has opened a file.
	leastGathered = 1024
	// weightAlignment is where the data of each tensor begins, so that it can be used where it lies.
	weightAlignment = 64
)

// gathering is the file that weights are written to.
type gathering struct {
	w    io.Writer
	file string
	at   int64
}

// Gather writes the weights of a model to w, wherever they are: inside, or in files of dir. It returns the model that finds
// them in a file of the given name, and their size. Its memory is that of the model without them.
func Gather(model []byte, dir fs.FS, w io.Writer, file string) (small []byte, size int64, err error) {
	x := inliner{dir: dir, files: map[string]*weightFile{}, to: &gathering{w: w, file: file}}
	defer x.close()
	ps, err := x.model(model)
	if err != nil {
		return nil, 0, err
	}
	if !x.found {
		return model, 0, nil
	}
	small, err = ps.read()
	return small, x.to.at, err
}

// gather writes the data of an initialiser to the file and returns the reference to it. A tensor that is small, or has its data
// in a typed list, keeps it.
func (x *inliner) gather(b []byte) (parts, error) {
	fs, err := parseFields(b, "tensor")
	if err != nil {
		return nil, err
	}
	var t externalTensor
	var data part
	for _, f := range fs {
		t.read(f)
		if f.isBytes(tensorRaw) {
			data = part{bytes: f.val}
		}
	}
	if t.external {
		if data, err = x.data(t); err != nil {
			return nil, fmt.Errorf("%w: tensor %q: %w", ErrExternal, t.name, err)
		}
	}
	size := parts{data}.size()
	if size < leastGathered {
		return x.tensor(b)
	}
	x.found = true
	offset, err := x.to.write(data)
	if err != nil {
		return nil, err
	}
	var out parts
	for _, f := range fs {
		if f.num != tensorExternal && f.num != tensorLocation && f.num != tensorRaw {
			out = append(out, part{bytes: f.raw})
		}
	}
	return append(out, part{bytes: x.to.reference(offset, size)}), nil
}

// reference returns the fields of a TensorProto that stand for data in the file.
func (g *gathering) reference(offset, size int64) (b []byte) {
	for _, entry := range [][2]string{
		{"location", g.file}, {"offset", strconv.FormatInt(offset, 10)}, {"length", strconv.FormatInt(size, 10)},
	} {
		b = appendBytes(b, tensorExternal, appendString(appendString(nil, 1, entry[0]), 2, entry[1]))
	}
	return appendVarint(b, tensorLocation, locationExternal)
}

// write appends data to the file and returns where it begins.
func (g *gathering) write(data part) (offset int64, err error) {
	if n := g.at % weightAlignment; n > 0 {
		if _, err := g.w.Write(make([]byte, weightAlignment-n)); err != nil {
			return 0, err
		}
		g.at += weightAlignment - n
	}
	offset = g.at
	g.at += parts{data}.size()
	if g.at > math.MaxInt32 {
		return 0, fmt.Errorf("%w: %d bytes of them; ONNX files end at 2 GiB", ErrExternal, g.at)
	}
	return offset, data.writeTo(g.w)
}
