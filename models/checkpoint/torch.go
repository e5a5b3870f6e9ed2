package checkpoint

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/oodcast/oodcast/models/regular"
)

// maxPickle bounds the pickle of an archive, in bytes: it holds names and shapes only.
const maxPickle = 64 << 20

// OpenTorch reads a file written by torch.save, in the zip format of PyTorch 1.6 or in the format before it. The file may
// hold a dictionary of tensors, or one with such a dictionary anywhere inside; other entries are left out, whatever they
// are. A file that names a function that runs programs or code is refused, and the error says the name; nothing is ever
// executed.
//
// The map holds the plain values in addition to the tensors: the entries of the outermost dictionary that are numbers,
// text, booleans, or lists and dictionaries of these ([]any and map[string]any).
func OpenTorch(path string) (Tensors, map[string]any, error) {
	f, size, err := regular.Open(path)
	if err != nil {
		return nil, nil, fmt.Errorf("open checkpoint %q: %w", path, reason(err))
	}
	defer f.Close()
	ts, meta, err := ReadTorch(f, size)
	if err != nil {
		return nil, nil, fmt.Errorf("open checkpoint %q: %w", path, err)
	}
	return ts, meta, nil
}

// ReadTorch is [OpenTorch] for any random-access bytes.
func ReadTorch(r io.ReaderAt, size int64) (Tensors, map[string]any, error) {
	if isLegacy(r) {
		ts, meta, err := readLegacy(r, size)
		if err != nil {
			return nil, nil, fmt.Errorf("%w: %w", ErrFormat, err)
		}
		return ts, meta, nil
	}
	a, err := openArchive(r, size)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	ts, meta, err := a.tensors()
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	return ts, meta, nil
}

func (a *archive) tensors() (Tensors, map[string]any, error) {
	if a.files["byteorder"] != nil {
		order, err := a.record("byteorder", 64)
		if err != nil {
			return nil, nil, err
		}
		if string(order) != "little" {
			return nil, nil, fmt.Errorf("byte order %q is not supported", order)
		}
	}
	raw, err := a.record("data.pkl", maxPickle)
	if err != nil {
		return nil, nil, err
	}
	v, err := unpickle(raw)
	if err != nil {
		return nil, nil, err
	}
	return collectTensors(v, func(key string) ([]byte, error) { return a.record("data/"+key, 4*maxElements) }, &a.budget)
}

// collectTensors returns the tensors and the plain values of an unpickled object. record returns the bytes of a storage;
// budget is how many elements may still be read.
func collectTensors(v any, record func(key string) ([]byte, error), budget *int) (Tensors, map[string]any, error) {
	views := stateDict(v)
	if len(views) == 0 {
		return nil, nil, noTensors(v)
	}
	ts, err := load(views, record, budget)
	if err != nil {
		return nil, nil, err
	}
	return ts, plainItems(v), nil
}

// load copies the views out of their storages. A storage that several tensors share is read once.
func load(views []named, record func(key string) ([]byte, error), budget *int) (Tensors, error) {
	slices.SortStableFunc(views, func(x, y named) int { return strings.Compare(x.view.storage.key, y.view.storage.key) })
	ts := make(Tensors, len(views))
	var key string
	var raw []byte
	for i, n := range views {
		s := n.view.storage
		if i == 0 || s.key != key {
			var err error
			if raw, err = record(s.key); err != nil {
				return nil, fmt.Errorf("tensor %q: %w", n.name, err)
			}
			key = s.key
		}
		data, err := n.view.read(raw, *budget)
		if err != nil {
			return nil, fmt.Errorf("tensor %q: %w", n.name, err)
		}
		*budget -= len(data)
		ts[n.name] = &Tensor{Name: n.name, Shape: n.view.size, Data: data}
	}
	return ts, nil
}

// read copies the view out of its storage's bytes, row-major.
func (v *view) read(raw []byte, budget int) ([]float32, error) {
	have := len(raw) / v.storage.elem.size
	if v.storage.size > have {
		return nil, fmt.Errorf("storage %q has %d elements instead of %d: truncated", v.storage.key, have, v.storage.size)
	}
	n, err := numel(v.size, min(have, budget))
	if err != nil {
		return nil, err
	}
	if n == 0 {
		return []float32{}, nil
	}
	last := v.offset
	contiguous, step := true, 1
	for i := len(v.size) - 1; i >= 0; i-- {
		if v.stride[i] < 0 || v.stride[i] > have {
			return nil, fmt.Errorf("stride %v is outside the storage", v.stride)
		}
		last += (v.size[i] - 1) * v.stride[i]
		contiguous = contiguous && (v.size[i] == 1 || v.stride[i] == step)
		step *= v.size[i]
	}
	if v.offset < 0 || v.offset >= have || last >= have || last < 0 {
		return nil, fmt.Errorf("shape %v, stride %v, offset %d reach outside the %d elements of the storage",
			v.size, v.stride, v.offset, have)
	}
	e := v.storage.elem
	if contiguous {
		return e.floats(raw[v.offset*e.size:], n), nil
	}
	out := make([]float32, n)
	index := make([]int, len(v.size))
	at := v.offset
	for i := range out {
		out[i] = e.float32(raw[at*e.size:])
		for d := len(index) - 1; d >= 0; d-- {
			index[d]++
			at += v.stride[d]
			if index[d] < v.size[d] {
				break
			}
			at -= index[d] * v.stride[d]
			index[d] = 0
		}
	}
	return out, nil
}
