package fit

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"math"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"
)

// The files of a state folder.
const (
	featuresFile = "features.bin"
	trainingFile = "training.bin"
	stateMagic   = "oodcast fit 3\n"
)

// errState means that a state file is missing, damaged, or from another fit. Run ignores such files.
var errState = errors.New("fit: unusable state")

// stateDir returns the folder in which a fit of out keeps its state.
func stateDir(out string) string { return filepath.Clean(out) + ".fit" }

// checkState returns an error if no state can be written.
func checkState(out string) error {
	if err := os.MkdirAll(stateDir(out), 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(stateDir(out), ".probe-*")
	if err != nil {
		return err
	}
	err = errors.Join(f.Close(), os.Remove(f.Name()))
	_ = os.Remove(stateDir(out)) // it stays if it holds a state
	return err
}

// writeState writes a header and lists of numbers to a file in one step: the old state stays until the new one is complete
// and on the disk.
func writeState(path string, header any, lists ...[]float32) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("fit: write state: %w", err)
		}
	}()
	folder := filepath.Dir(path)
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	raw, err := json.Marshal(header)
	if err != nil {
		return err
	}
	f, err := renameio.NewPendingFile(path, renameio.WithTempDir(folder), renameio.WithPermissions(0o600))
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Cleanup())
		}
	}()
	buf := bufio.NewWriterSize(f, 1<<20)
	w := &summed{w: buf, sum: crc32.New(crc32.MakeTable(crc32.Castagnoli))}
	w.write([]byte(stateMagic))
	w.number(uint64(len(raw)))
	w.write(raw)
	w.number(uint64(len(lists)))
	for _, list := range lists {
		w.floats(list)
	}
	sum := w.sum.Sum32()
	w.number(uint64(sum))
	if err := errors.Join(w.err, buf.Flush()); err != nil {
		return err
	}
	return f.CloseAtomicallyReplace()
}

// summed writes bytes and computes their checksum. It keeps the first error.
type summed struct {
	w   io.Writer
	sum hash.Hash32
	err error
	buf []byte
}

func (s *summed) write(b []byte) {
	s.sum.Write(b)
	if s.err == nil {
		_, s.err = s.w.Write(b)
	}
}

func (s *summed) number(n uint64) { s.write(binary.LittleEndian.AppendUint64(nil, n)) }

func (s *summed) floats(list []float32) {
	s.number(uint64(len(list)))
	for len(list) > 0 {
		n := min(len(list), 1<<16)
		s.buf = s.buf[:0]
		for _, v := range list[:n] {
			s.buf = binary.LittleEndian.AppendUint32(s.buf, math.Float32bits(v))
		}
		s.write(s.buf)
		list = list[n:]
	}
}

// readState reads a file that writeState has written. It returns errState for a missing, damaged or foreign file.
func readState(path string, header any) ([][]float32, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errState, err)
	}
	if len(raw) < 8 {
		return nil, fmt.Errorf("%w: %s is cut off", errState, path)
	}
	body, tail := raw[:len(raw)-8], raw[len(raw)-8:]
	if uint64(crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli))) != binary.LittleEndian.Uint64(tail) {
		return nil, fmt.Errorf("%w: %s is damaged", errState, path)
	}
	lists, err := parseState(body, header)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", errState, path, err)
	}
	return lists, nil
}

func parseState(body []byte, header any) ([][]float32, error) {
	short := errors.New("cut off")
	take := func(n uint64) ([]byte, bool) {
		if n > uint64(len(body)) {
			return nil, false
		}
		b := body[:n]
		body = body[n:]
		return b, true
	}
	number := func() (uint64, bool) {
		b, ok := take(8)
		if !ok {
			return 0, false
		}
		return binary.LittleEndian.Uint64(b), true
	}
	if b, ok := take(uint64(len(stateMagic))); !ok || string(b) != stateMagic {
		return nil, errors.New("another version wrote it")
	}
	n, _ := number()
	raw, ok := take(n)
	if !ok {
		return nil, short
	}
	if err := json.Unmarshal(raw, header); err != nil {
		return nil, err
	}
	count, ok := number()
	if !ok || count > uint64(len(body)) {
		return nil, short
	}
	lists := make([][]float32, count)
	for i := range lists {
		n, ok := number()
		if !ok || n > uint64(len(body))/4 {
			return nil, short
		}
		b, _ := take(4 * n)
		lists[i] = make([]float32, n)
		for j := range lists[i] {
			lists[i][j] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*j:]))
		}
	}
	return lists, nil
}
