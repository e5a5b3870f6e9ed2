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
	rest     []byte
	storages map[string]storage
	elements map[string][]byte
	budget   int // elements that may still be read
}

// readLegacy reads a whole file. Its size bounds the memory.
func readLegacy(r io.ReaderAt, size int64) (Tensors, map[string]any, error) {
	if size > 4*maxElements {
		return nil, nil, fmt.Errorf("it has %d bytes, in the format before PyTorch 1.6 at most %d are read: save with a later version", size, 4*maxElements)
	}
	raw := make([]byte, size)
	if n, err := r.ReadAt(raw, 0); n < len(raw) {
		return nil, nil, fmt.Errorf("the file ended after %d of %d bytes while it was read: %w", n, len(raw), err)
	}
	l := &legacy{rest: raw, storages: map[string]storage{}, elements: map[string][]byte{}, budget: int(min(size*2, maxElements))}
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
	if len(l.rest) > maxPickle { // a pickle holds names and shapes only; the storages come after it
		n, err := scan(l.rest[:maxPickle])
		if err != nil {
			return nil, err
		}
		return l.take(n)
	}
	n, err := scan(l.rest)
	if err != nil {
		return nil, err
	}
	return l.take(n)
}

func (l *legacy) take(n int) (any, error) {
	v, err := runPickle(l.rest[:n], l.persistent)
	l.rest = l.rest[n:]
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
		if len(l.rest) < 8 {
			return errTruncated
		}
		n := binary.LittleEndian.Uint64(l.rest)
		l.rest = l.rest[8:]
		if n > uint64(len(l.rest)/s.elem.size) {
			return fmt.Errorf("storage %q of %d elements %w", key, n, errTruncated)
		}
		size := int(n) * s.elem.size
		l.elements[key], l.rest = l.rest[:size], l.rest[size:]
	}
	return nil
}

func (l *legacy) record(key string) ([]byte, error) {
	raw, ok := l.elements[key]
	if !ok {
		return nil, fmt.Errorf("the file has no storage %q", key)
	}
	return raw, nil
}

// isLegacy reports whether a file begins like one of torch.save before PyTorch 1.6.
func isLegacy(r io.ReaderAt) bool {
	head := make([]byte, len(legacyMagic))
	_, err := r.ReadAt(head, 0)
	return err == nil && bytes.Equal(head, []byte(legacyMagic))
}
