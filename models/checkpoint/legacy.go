package checkpoint

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/nlpodyssey/gopickle/types"
)

// legacyMagic begins a file of torch.save before PyTorch 1.6: the number 0x1950a86a20f9469cfc6c, as a pickle of its own.
const legacyMagic = "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."

// legacy is a file of torch.save before PyTorch 1.6: the pickles of the magic number, the protocol's version, the
// machine's properties, the object, and the list of the storages' keys; then, in the order of the keys, every storage as
// its number of elements (8 bytes) and its elements.
type legacy struct {
	file     io.ReaderAt
	size     int64
	start    []byte // of the file, with all pickles, which hold names and shapes only
	at       int64  // where the next pickle or storage is
	storages map[string]storage
	elements map[string]extent
	budget   int // elements that may still be read
}

// extent is a part of a file.
type extent struct{ offset, size int64 }

// readLegacy reads a file storage by storage. Its size bounds the memory.
func readLegacy(r io.ReaderAt, size int64) (Tensors, map[string]any, error) {
	start := make([]byte, min(size, maxPickle))
	if _, err := r.ReadAt(start, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, nil, err
	}
	l := &legacy{file: r, size: size, start: start, storages: map[string]storage{}, elements: map[string]extent{}, budget: int(size) * 2}
	v, err := l.object()
	if err != nil {
		return nil, nil, err
	}
	if err := l.split(); err != nil {
		return nil, nil, err
	}
	return collectTensors(v, l.record, &l.budget)
}

// object reads the first four pickles and returns the value of the fourth.
func (l *legacy) object() (any, error) {
	var head [3]any
	for i := range head {
		v, err := l.next()
		if err != nil {
			return nil, err
		}
		head[i] = v
	}
	if head[1] != 1001 {
		return nil, fmt.Errorf("version %v of the format before PyTorch 1.6, want 1001", head[1])
	}
	for _, e := range items(head[2]) {
		if e.Key == "little_endian" && e.Value != true {
			return nil, errors.New("byte order big is not supported")
		}
	}
	return l.next()
}

// next reads one pickle.
func (l *legacy) next() (any, error) {
	rest := l.start[min(l.at, int64(len(l.start))):]
	n, err := scan(rest)
	if err != nil {
		return nil, err
	}
	v, err := runPickle(rest[:n], l.persistent)
	l.at += int64(n)
	return v, err
}

// persistent records the storages that a pickle names: only this reveals the sizes of their elements.
func (l *legacy) persistent(id any) (any, error) {
	v, err := persistent(id)
	if err != nil {
		return nil, err
	}
	if t, ok := id.(*types.Tuple); ok && t.Len() > 5 && t.Get(5) != nil {
		return nil, errors.New("a storage is a part of another one: save with PyTorch 1.6 or later")
	}
	if s, ok := v.(storage); ok {
		l.storages[s.key] = s
	}
	return v, nil
}

// split finds the elements of every storage.
func (l *legacy) split() error {
	v, err := l.next()
	if err != nil {
		return err
	}
	keys, ok := v.(*types.List)
	if !ok {
		return errors.New("the file has no list of storages")
	}
	for _, k := range *keys {
		key, _ := k.(string)
		s, ok := l.storages[key]
		if !ok {
			return fmt.Errorf("the file lists a storage %q that nothing uses", key)
		}
		var count [8]byte
		if l.size-l.at < int64(len(count)) {
			return errTruncated
		}
		if _, err := l.file.ReadAt(count[:], l.at); err != nil {
			return err
		}
		l.at += int64(len(count))
		n := binary.LittleEndian.Uint64(count[:])
		if n > uint64(l.size-l.at)/uint64(s.elem.size) {
			return fmt.Errorf("storage %q of %d elements %w", key, n, errTruncated)
		}
		part := extent{l.at, int64(n) * int64(s.elem.size)}
		l.elements[key], l.at = part, l.at+part.size
	}
	return nil
}

func (l *legacy) record(key string) ([]byte, error) {
	part, ok := l.elements[key]
	if !ok {
		return nil, fmt.Errorf("the file has no storage %q", key)
	}
	raw := make([]byte, part.size)
	_, err := io.ReadFull(io.NewSectionReader(l.file, part.offset, part.size), raw)
	return raw, err
}

// isLegacy reports whether a file begins like one of torch.save before PyTorch 1.6.
func isLegacy(r io.ReaderAt) bool {
	head := make([]byte, len(legacyMagic))
	_, err := r.ReadAt(head, 0)
	return err == nil && bytes.Equal(head, []byte(legacyMagic))
}
