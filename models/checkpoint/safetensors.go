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
	"os"
	"slices"
)

// maxHeader bounds the JSON header of a safetensors file, in bytes.
const maxHeader = 16 << 20

// metaKey is the header's entry for free text; no tensor may have that name.
const metaKey = "__metadata__"

type entry struct {
	name    string
	DType   string `json:"dtype"`
	Shape   []int  `json:"shape"`
	Offsets []int  `json:"data_offsets"`
}

// ReadSafetensors reads a safetensors file and its free-text metadata. Its memory is that of the tensors.
func ReadSafetensors(path string) (Tensors, map[string]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, fmt.Errorf("open checkpoint %q: %w", path, reason(err))
	}
	defer f.Close()
	info, err := f.Stat()
	if err == nil && info.IsDir() {
		err = errors.New("it is a folder")
	}
	if err != nil {
		return nil, nil, fmt.Errorf("open checkpoint %q: %w", path, reason(err))
	}
	ts, meta, err := readSafetensors(f, info.Size())
	if err != nil {
		return nil, nil, fmt.Errorf("open checkpoint %q: %w", path, reason(err))
	}
	return ts, meta, nil
}

// ParseSafetensors is [ReadSafetensors] for the bytes of a file. The result does not refer to raw.
func ParseSafetensors(raw []byte) (Tensors, map[string]string, error) {
	return readSafetensors(bytes.NewReader(raw), int64(len(raw)))
}

// readSafetensors reads the header's length in 8 bytes, a JSON header, and the data. As the format demands, the tensors must
// cover the data without holes or overlaps.
func readSafetensors(r io.ReaderAt, size int64) (Tensors, map[string]string, error) {
	if size < 8 {
		return nil, nil, fmt.Errorf("%w: %d bytes are not a safetensors file", ErrFormat, size)
	}
	var first [8]byte
	if _, err := r.ReadAt(first[:], 0); err != nil {
		return nil, nil, err
	}
	n := binary.LittleEndian.Uint64(first[:])
	if n > maxHeader || n > uint64(size-8) {
		return nil, nil, fmt.Errorf("%w: safetensors header of %d bytes in a file of %d (truncated, or not safetensors)",
			ErrFormat, n, size)
	}
	head := make([]byte, n)
	if _, err := r.ReadAt(head, 8); n > 0 && err != nil {
		return nil, nil, err
	}
	entries, meta, err := parseHeader(head)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: safetensors header: %w", ErrFormat, err)
	}
	start := 8 + int64(n)
	ts, err := loadEntries(entries, io.NewSectionReader(r, start, size-start))
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
		e := entry{name: name}
		if err := dec.Decode(&e); err != nil {
			return nil, nil, fmt.Errorf("tensor %q: %w", name, err)
		}
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

// loadEntries reads each tensor after checking that the entries tile data exactly.
func loadEntries(entries []entry, data *io.SectionReader) (Tensors, error) {
	total := int(data.Size())
	for _, e := range entries {
		if len(e.Offsets) != 2 || e.Offsets[0] < 0 || e.Offsets[1] < e.Offsets[0] || e.Offsets[1] > total {
			return nil, fmt.Errorf("tensor %q: offsets %v outside the %d bytes of data (truncated?)",
				e.name, e.Offsets, total)
		}
	}
	slices.SortStableFunc(entries, func(a, b entry) int {
		return cmp.Or(cmp.Compare(a.Offsets[0], b.Offsets[0]), cmp.Compare(a.Offsets[1], b.Offsets[1]))
	})
	ts := make(Tensors, len(entries))
	at := 0
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
		n, err := numel(e.Shape, size/el.size)
		if err != nil {
			return nil, fmt.Errorf("tensor %q: %w", e.name, err)
		}
		if n*el.size != size {
			return nil, fmt.Errorf("tensor %q: shape %v of %s is %d bytes, the offsets say %d",
				e.name, e.Shape, e.DType, n*el.size, size)
		}
		t := &Tensor{Name: e.name, Shape: slices.Clone(e.Shape), Data: make([]float32, n)}
		if err := el.read(t.Data, data, int64(e.Offsets[0])); err != nil {
			return nil, fmt.Errorf("tensor %q: %w", e.name, err)
		}
		ts[e.name] = t
	}
	if at != total {
		return nil, fmt.Errorf("%d bytes after the last tensor", total-at)
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

// reason strips the operation and the path from a *PathError: the message already has them.
func reason(err error) error {
	var pe *os.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}
