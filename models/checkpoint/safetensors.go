package checkpoint

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/oodcast/oodcast/models/regular"
)

// maxHeader bounds the JSON header of a safetensors file, in bytes.
const maxHeader = 16 << 20

// metaKey is the header's entry for free text; no tensor may have that name.
const metaKey = "__metadata__"

// blockElements is how many elements are written together.
const blockElements = 1 << 14

type entry struct {
	name    string
	DType   string `json:"dtype"`
	Shape   []int  `json:"shape"`
	Offsets []int  `json:"data_offsets"`
}

// ReadSafetensors reads a safetensors file and its free-text metadata.
func ReadSafetensors(path string) (Tensors, map[string]string, error) {
	f, size, err := regular.Open(path)
	if err != nil {
		return nil, nil, fmt.Errorf("open checkpoint %q: %w", path, reason(err))
	}
	defer f.Close()
	ts, meta, err := readSafetensors(f, size)
	if err != nil {
		return nil, nil, fmt.Errorf("open checkpoint %q: %w", path, err)
	}
	return ts, meta, nil
}

// ParseSafetensors reads the bytes of a safetensors file: the header's length in 8 bytes, a JSON header, the data. As
// the format demands, the tensors must cover the data without holes or overlaps. The result does not refer to raw.
func ParseSafetensors(raw []byte) (Tensors, map[string]string, error) {
	return readSafetensors(bytes.NewReader(raw), int64(len(raw)))
}

// readSafetensors reads one tensor after the other: besides the result, its memory is that of the largest one.
func readSafetensors(r io.ReaderAt, size int64) (Tensors, map[string]string, error) {
	if size < 8 {
		return nil, nil, fmt.Errorf("%w: %d bytes are not a safetensors file", ErrFormat, size)
	}
	length, err := readAt(r, 0, 8)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	n := binary.LittleEndian.Uint64(length)
	if n > maxHeader || int64(n) > size-8 {
		return nil, nil, fmt.Errorf("%w: safetensors header of %d bytes in a file of %d (truncated, or not safetensors)",
			ErrFormat, n, size)
	}
	header, err := readAt(r, 8, int(n))
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	entries, meta, err := parseHeader(header)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: safetensors header: %w", ErrFormat, err)
	}
	data := io.NewSectionReader(r, 8+int64(n), size-8-int64(n))
	ts, err := loadEntries(entries, data)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	return ts, meta, nil
}

// parseHeader reads the header token by token, because json.Unmarshal would silently take the last of two equal keys.
func parseHeader(raw []byte) ([]entry, map[string]string, error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	tok, err := dec.Token()
	if err != nil {
		return nil, nil, err
	}
	if tok != json.Delim('{') {
		return nil, nil, errors.New("not a JSON object")
	}
	var entries []entry
	var meta map[string]string
	seen := map[string]bool{}
	for dec.More() {
		tok, err := dec.Token()
		if err != nil {
			return nil, nil, err
		}
		name, ok := tok.(string)
		if !ok || seen[name] {
			return nil, nil, fmt.Errorf("key %v is not a name or occurs twice", tok)
		}
		seen[name] = true
		if name == metaKey {
			if err := dec.Decode(&meta); err != nil {
				return nil, nil, fmt.Errorf("%s: %w", metaKey, err)
			}
			continue
		}
		e, err := parseEntry(dec)
		if err != nil {
			return nil, nil, fmt.Errorf("tensor %q: %w", name, err)
		}
		e.name = name
		entries = append(entries, e)
	}
	if _, err := dec.Token(); err != nil {
		return nil, nil, err
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, nil, errors.New("bytes after the JSON object")
	}
	return entries, meta, nil
}

// parseEntry reads the description of a tensor, in which each key occurs once.
func parseEntry(dec *json.Decoder) (e entry, err error) {
	if tok, err := dec.Token(); err != nil || tok != json.Delim('{') {
		return e, errors.Join(err, errors.New("not a JSON object"))
	}
	left := map[string]any{"dtype": &e.DType, "shape": &e.Shape, "data_offsets": &e.Offsets}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return e, err
		}
		name, _ := key.(string)
		to := left[name]
		if to == nil {
			return e, fmt.Errorf("key %q is unknown or occurs twice", name)
		}
		delete(left, name)
		if err := dec.Decode(to); err != nil {
			return e, err
		}
	}
	_, err = dec.Token()
	return e, err
}

// readAt reads n bytes.
func readAt(r io.ReaderAt, at int64, n int) ([]byte, error) {
	raw := make([]byte, n)
	if got, err := r.ReadAt(raw, at); got < n {
		return nil, fmt.Errorf("the file ended %d bytes too early while it was read: %w", n-got, err)
	}
	return raw, nil
}

// loadEntries converts each tensor after checking that the entries tile data exactly.
func loadEntries(entries []entry, data *io.SectionReader) (Tensors, error) {
	have := int(data.Size())
	for _, e := range entries {
		if len(e.Offsets) != 2 || e.Offsets[0] < 0 || e.Offsets[1] < e.Offsets[0] || e.Offsets[1] > have {
			return nil, fmt.Errorf("tensor %q: offsets %v outside the %d bytes of data (truncated?)",
				e.name, e.Offsets, have)
		}
	}
	slices.SortStableFunc(entries, func(a, b entry) int {
		return cmp.Or(cmp.Compare(a.Offsets[0], b.Offsets[0]), cmp.Compare(a.Offsets[1], b.Offsets[1]))
	})
	ts := make(Tensors, len(entries))
	at, left := 0, maxElements
	for _, e := range entries {
		if e.Offsets[0] != at {
			return nil, fmt.Errorf("tensor %q starts at byte %d, want %d: overlap or hole", e.name, e.Offsets[0], at)
		}
		at = e.Offsets[1]
		el, err := safetensorsElem(e.DType)
		if err != nil {
			return nil, fmt.Errorf("tensor %q: %w", e.name, err)
		}
		size := e.Offsets[1] - e.Offsets[0]
		n, err := numel(e.Shape, min(size/el.size, left))
		if err != nil {
			return nil, fmt.Errorf("tensor %q: %w", e.name, err)
		}
		left -= n
		if n*el.size != size {
			return nil, fmt.Errorf("tensor %q: shape %v of %s is %d bytes, the offsets say %d",
				e.name, e.Shape, e.DType, n*el.size, size)
		}
		raw, err := readAt(data, int64(e.Offsets[0]), size)
		if err != nil {
			return nil, fmt.Errorf("tensor %q: %w", e.name, err)
		}
		ts[e.name] = &Tensor{Name: e.name, Shape: slices.Clone(e.Shape), Data: el.floats(raw, n)}
	}
	if at != have {
		return nil, fmt.Errorf("%d bytes after the last tensor", have-at)
	}
	return ts, nil
}

func safetensorsElem(dtype string) (elem, error) {
	switch dtype {
	case "F64":
		return elemF64, nil
	case "F32":
		return elemF32, nil
	case "F16":
		return elemF16, nil
	case "BF16":
		return elemBF16, nil
	case "I64":
		return elemI64, nil
	case "I32":
		return elemI32, nil
	case "I16":
		return elemI16, nil
	case "I8":
		return elemI8, nil
	case "U8", "BOOL":
		return elemU8, nil
	}
	return elem{}, fmt.Errorf("element type %q is not supported", dtype)
}

// MarshalSafetensors returns what [WriteSafetensors] writes.
func MarshalSafetensors(ts Tensors, meta map[string]string) ([]byte, error) {
	var b bytes.Buffer
	b.Grow(4 * ts.Params())
	err := WriteSafetensors(&b, ts, meta)
	return b.Bytes(), err
}

// WriteSafetensors encodes the tensors as float32 in ascending order of their names: equal weights give equal bytes.
// meta may be nil.
func WriteSafetensors(w io.Writer, ts Tensors, meta map[string]string) error {
	header := make(map[string]any, len(ts)+1)
	if len(meta) > 0 {
		header[metaKey] = meta
	}
	at := 0
	for _, name := range ts.Names() {
		t := ts[name]
		n, err := numel(t.Shape, math.MaxInt32*8)
		if err != nil || n != len(t.Data) {
			return fmt.Errorf("checkpoint: tensor %q has %d values for shape %v", name, len(t.Data), t.Shape)
		}
		if name == metaKey {
			return fmt.Errorf("checkpoint: a tensor must not be called %q", metaKey)
		}
		shape := t.Shape
		if shape == nil {
			shape = []int{}
		}
		header[name] = entry{DType: "F32", Shape: shape, Offsets: []int{at, at + 4*n}}
		at += 4 * n
	}
	h, err := json.Marshal(header) // sorts the keys
	if err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	for (len(h)+8)%8 != 0 { // aligns the data for readers that map the file
		h = append(h, ' ')
	}
	if _, err := w.Write(append(binary.LittleEndian.AppendUint64(nil, uint64(len(h))), h...)); err != nil {
		return err
	}
	var block []byte
	for _, name := range ts.Names() {
		for part := range slices.Chunk(ts[name].Data, blockElements) {
			block = block[:0]
			for _, v := range part {
				block = binary.LittleEndian.AppendUint32(block, math.Float32bits(v))
			}
			if _, err := w.Write(block); err != nil {
				return err
			}
		}
	}
	return nil
}
