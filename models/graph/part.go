package graph

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
)

// ErrPart means that a model lacks weights that no reference model has.
var ErrPart = errors.New("graph: weights are missing")

// takenPrefix begins the location of data that TakeOut has taken out; the SHA-256 of the data follows.
const takenPrefix = "sha256:"

// References is the data of initialisers of other models, by its SHA-256.
type References struct{ data map[string][]byte }

// NewReferences collects the initialisers of models. It keeps their memory.
func NewReferences(models ...*Model) References {
	r := References{data: map[string][]byte{}}
	for _, m := range models {
		for _, f := range m.graph {
			if !f.isBytes(graphInit) {
				continue
			}
			fs, _ := parseFields(f.val, "initialiser") // Parse has checked it
			for _, g := range fs {
				if g.isBytes(tensorRaw) {
					r.data[digestOf(g.val)] = g.val
				}
			}
		}
	}
	return r
}

func digestOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// TakeOut returns a model without the data of its initialisers of at least minBytes that the references have too, under
// whatever name, and how many bytes it has taken out. In the place of the data is its checksum, in the form of data in
// another file: no runtime takes the part for a whole model. [PutBack] restores the model byte for byte.
func TakeOut(model []byte, refs References, minBytes int) (part []byte, taken int, err error) {
	if files, err := External(model); err != nil || len(files) > 0 {
		return nil, 0, errors.Join(err, fmt.Errorf("%w: %q", ErrExternal, files))
	}
	m, err := Parse(model)
	if err != nil {
		return nil, 0, err
	}
	m.graph = slices.Clone(m.graph)
	for i, f := range m.graph {
		if !f.isBytes(graphInit) {
			continue
		}
		fs, err := parseFields(f.val, "initialiser")
		if err != nil {
			return nil, 0, err
		}
		out := 0
		for j, g := range fs {
			if !g.isBytes(tensorRaw) || len(g.val) < minBytes {
				continue
			}
			sum := digestOf(g.val)
			if refs.data[sum] == nil {
				continue
			}
			fs[j] = field{raw: appendTaken(nil, sum, len(g.val))}
			out += len(g.val)
		}
		if out > 0 {
			m.graph[i], m.changed = messageField(graphInit, fs), true
			taken += out
		}
	}
	part = m.Marshal()
	if back, err := PutBack(part, refs); err != nil || !bytes.Equal(back, model) {
		return nil, 0, errors.Join(err, fmt.Errorf("%w: it cannot be written again byte for byte", ErrModel))
	}
	return part, taken, nil
}

// appendTaken appends the fields that stand for data that was taken out.
func appendTaken(b []byte, sum string, size int) []byte {
	entry := func(key, value string) {
		b = appendBytes(b, tensorExternal, appendString(appendString(nil, 1, key), 2, value))
	}
	entry("location", takenPrefix+sum)
	entry("length", strconv.Itoa(size))
	return appendVarint(b, tensorLocation, locationExternal)
}

// PutBack is the inverse of [TakeOut]. It returns ErrPart if the references lack data.
func PutBack(part []byte, refs References) ([]byte, error) {
	m, err := Parse(part)
	if err != nil {
		return nil, err
	}
	filled := make([][]field, len(m.graph))
	size := int64(len(part))
	for i, f := range m.graph {
		if !f.isBytes(graphInit) {
			continue
		}
		var more int64
		if filled[i], more, err = refs.fill(f); err != nil {
			return nil, err
		}
		if size += more; size > math.MaxInt32 { // before the data is copied
			return nil, fmt.Errorf("%w: more than 2 GiB with its weights", ErrModel)
		}
	}
	m.graph = slices.Clone(m.graph)
	for i, fs := range filled {
		for j, f := range fs {
			if f.raw == nil {
				fs[j] = bytesField(f.num, f.val)
			}
		}
		if fs != nil {
			m.graph[i], m.changed = messageField(graphInit, fs), true
		}
	}
	return m.Marshal(), nil
}

// fill returns the fields of an initialiser and the size of the data that was taken out of it, or nil if none was. The fields
// with that data have no raw bytes yet.
func (r References) fill(f field) (out []field, size int64, err error) {
	fs, err := parseFields(f.val, "initialiser")
	if err != nil {
		return nil, 0, err
	}
	for len(fs) > 0 {
		sum, ok := taken(fs)
		if !ok {
			out, fs = append(out, fs[0]), fs[1:]
			continue
		}
		data := r.data[sum]
		if data == nil {
			w, _ := parseWeight(f.val)
			return nil, 0, fmt.Errorf("%w: %q %s%v, sha256 %s: these are not the weights that were taken out", ErrPart, w.Name, w.DType,
				w.Shape, sum)
		}
		out, fs = append(out, field{num: tensorRaw, typ: protowire.BytesType, val: data}), fs[3:]
		size += int64(len(data))
	}
	if size == 0 {
		return nil, 0, nil
	}
	return out, size, nil
}

// taken returns the checksum of the data that the first fields stand for, as [appendTaken] writes them.
func taken(fs []field) (sum string, ok bool) {
	if len(fs) < 3 || !fs[0].isBytes(tensorExternal) || !fs[1].isBytes(tensorExternal) {
		return "", false
	}
	if place, ok := fs[2].varint(tensorLocation); !ok || place != locationExternal {
		return "", false
	}
	entry, err := parseFields(fs[0].val, "entry")
	if err != nil || len(entry) != 2 || !entry[1].isBytes(2) {
		return "", false
	}
	sum, ok = strings.CutPrefix(string(entry[1].val), takenPrefix)
	return sum, ok
}
