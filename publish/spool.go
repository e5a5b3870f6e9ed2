package publish

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"github.com/oodcast/oodcast/publish/schema"
)

const (
	maxSpool = 64 << 20 // bytes of events that wait; some hundred thousand
	maxLine  = 64 << 10 // bytes of one event
)

// errSpoolFull means that events came for so long without NATS that there is no more room.
var errSpoolFull = errors.New("the spool of events is full")

// spool keeps events on disk until JetStream has acknowledged them: one JSON line each in events.jsonl, and in
// events.sent how many bytes of it are done. What was written survives the death of the process, though not that of the
// machine: nothing waits for the disk. It is safe for concurrent use.
type spool struct {
	limit int64
	more  chan struct{} // an event was added
	mu    struct {
		sync.Mutex
		lines, sent *os.File
		head, tail  int64 // done, and end of lines
	}
	lock *os.File
}

// openSpool opens the spool in stateDir, or one that ends with the process when that cannot be used.
func openSpool(stateDir string, limit int64, log *slog.Logger) (*spool, error) {
	s := &spool{limit: limit, more: make(chan struct{}, 1)}
	dir, err := filepath.Join(stateDir, "spool"), errors.New("publish.state_dir is empty")
	if stateDir != "" {
		s.lock, err = lockDir(dir)
	}
	if err == nil {
		err = s.open(dir)
	}
	if err == nil {
		return s, nil
	}
	log.Warn("events that wait for nats are lost when oodcast ends", "err", err)
	s.close()
	temp, err := os.MkdirTemp("", "oodcast")
	if err != nil {
		return nil, fmt.Errorf("spool of events: %w", err)
	}
	if err := s.open(temp); err != nil {
		return nil, errors.Join(err, os.RemoveAll(temp))
	}
	return s, os.RemoveAll(temp) // the open files go on without a name
}

func (s *spool) open(dir string) (err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	open := func(name string) (*os.File, error) {
		return os.OpenFile(filepath.Join(dir, name), os.O_CREATE|os.O_RDWR, 0o600)
	}
	if s.mu.lines, err = open("events.jsonl"); err != nil {
		return fmt.Errorf("spool of events: %w", err)
	}
	if s.mu.sent, err = open("events.sent"); err != nil {
		return fmt.Errorf("spool of events: %w", err)
	}
	if s.mu.tail, err = wholeLines(s.mu.lines); err != nil {
		return fmt.Errorf("spool of events: %w", err)
	}
	var b [8]byte
	if n, _ := s.mu.sent.ReadAt(b[:], 0); n == len(b) {
		s.mu.head = int64(binary.LittleEndian.Uint64(b[:]))
	}
	if s.mu.head < 0 || s.mu.head > s.mu.tail { // the process died while it started over, or this is not ours
		s.mu.head = 0
		if err := s.writeHead(); err != nil { // what is added from now on must not seem to be done
			return fmt.Errorf("spool of events: %w", err)
		}
	}
	s.poke()
	return nil
}

// wholeLines cuts off a last line that was being written when the process died, and returns the size that is left.
func wholeLines(f *os.File) (int64, error) {
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return 0, err
	}
	for end := size; end > 0; {
		b := make([]byte, min(end, maxLine))
		if _, err := f.ReadAt(b, end-int64(len(b))); err != nil {
			return 0, err
		}
		if i := bytes.LastIndexByte(b, '\n'); i >= 0 {
			size = end - int64(len(b)) + int64(i) + 1
			return size, f.Truncate(size)
		}
		end -= int64(len(b))
	}
	return 0, f.Truncate(0)
}

func (s *spool) poke() {
	select {
	case s.more <- struct{}{}:
	default:
	}
}

// add writes an event behind the others.
func (s *spool) add(e schema.Event) error {
	b, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("spool event: %w", err)
	}
	b = append(b, '\n')
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.lines == nil {
		return os.ErrClosed
	}
	if len(b) > maxLine || s.mu.tail+int64(len(b)) > s.limit {
		return errSpoolFull
	}
	if _, err := s.mu.lines.WriteAt(b, s.mu.tail); err != nil {
		return fmt.Errorf("spool event: %w", err)
	}
	s.mu.tail += int64(len(b))
	s.poke()
	return nil
}

// next returns the first event that is not done and its size, or size 0 when there is none. Lines that are no events
// are passed over.
func (s *spool) next() (e schema.Event, size int64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.lines == nil {
		return e, 0, os.ErrClosed
	}
	for s.mu.head+size < s.mu.tail {
		b := make([]byte, min(s.mu.tail-s.mu.head-size, maxLine))
		if _, err := s.mu.lines.ReadAt(b, s.mu.head+size); err != nil {
			return e, 0, fmt.Errorf("spool: %w", err)
		}
		line, _, found := bytes.Cut(b, []byte{'\n'})
		size += int64(len(line))
		if found {
			size++
		}
		e = schema.Event{}
		if found && json.Unmarshal(line, &e) == nil && e.ID != "" && schema.CheckName(e.Camera) == nil {
			return e, size, nil
		}
	}
	return schema.Event{}, 0, s.advance(size)
}

// done forgets the first size bytes that next returned.
func (s *spool) done(size int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.advance(size)
}

func (s *spool) advance(size int64) error {
	if s.mu.lines == nil || size == 0 {
		return nil
	}
	s.mu.head += size
	if s.mu.head >= s.mu.tail { // all done: start over
		s.mu.head, s.mu.tail = 0, 0
		if err := s.mu.lines.Truncate(0); err != nil {
			return err
		}
	}
	return s.writeHead()
}

func (s *spool) writeHead() error {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], uint64(s.mu.head))
	_, err := s.mu.sent.WriteAt(b[:], 0)
	return err
}

// pending returns how many bytes of events wait.
func (s *spool) pending() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.tail - s.mu.head
}

// close lets go of the files. Closing twice is harmless.
func (s *spool) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range []*os.File{s.mu.lines, s.mu.sent, s.lock} {
		if f != nil {
			_ = f.Close()
		}
	}
	s.mu.lines, s.mu.sent, s.lock = nil, nil, nil
}
