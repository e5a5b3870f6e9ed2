package publish

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/oodcast/oodcast/publish/schema"
)

const (
	maxSpool = 64 << 20 // bytes of events that wait; some hundred thousand
	maxLine  = 64 << 10 // bytes of one event

	// syncWait is how long an event may wait for the disk.
	syncWait = 100 * time.Millisecond
)

// errSpoolFull means that events came for so long without NATS that there is no more room.
var errSpoolFull = errors.New("the spool of events is full")

// spool keeps events on disk until JetStream has acknowledged them: one JSON line each in events.jsonl, in events.sent the
// name of the last one that is done, and in events.open those that had not ended where events.jsonl begins. What add has
// taken survives the death of the process; what sync has brought to the disk survives that of the machine. It is safe for
// concurrent use, except that next and done belong to one goroutine.
type spool struct {
	limit int64
	more  chan struct{} // an event was added
	dirty chan struct{} // something is to be synced
	mu    struct {
		sync.Mutex
		lines, sent *os.File      // nil before open and after close
		head, tail  int64         // done, and end of lines
		batch       chan struct{} // closed when what was added since the last sync is on the disk; nil: nothing was
		unended     unended       // after the last line
	}
	lock *os.File
}

// newSpool returns a spool that is closed.
func newSpool(limit int64) *spool {
	return &spool{limit: limit, more: make(chan struct{}, 1), dirty: make(chan struct{}, 1)}
}

// open uses the files in stateDir, or some that end with the process when those cannot be used.
func (s *spool) open(stateDir string, log *slog.Logger) error {
	dir, err := filepath.Join(stateDir, "spool"), errors.New("publish.state_dir is empty")
	if stateDir != "" {
		s.lock, err = lockDir(dir)
	}
	if err == nil {
		err = s.openFiles(dir)
	}
	if err == nil {
		return nil
	}
	log.Warn("events that wait for nats are lost when oodcast ends", "err", err)
	s.close()
	temp, err := os.MkdirTemp("", "oodcast")
	if err != nil {
		return fmt.Errorf("spool of events: %w", err)
	}
	err = errors.Join(s.openFiles(temp), os.RemoveAll(temp)) // the open files go on without a name
	s.mu.unended.file = ""
	return err
}

func (s *spool) openFiles(dir string) (err error) {
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
	if s.mu.head, err = behind(s.mu.lines, s.mu.tail, firstLine(s.mu.sent)); err != nil {
		return fmt.Errorf("spool of events: %w", err)
	}
	if s.mu.unended, err = readUnended(filepath.Join(dir, "events.open"), s.mu.lines, s.mu.tail); err != nil {
		return fmt.Errorf("spool of events: %w", err)
	}
	poke(s.more)
	return nil
}

// messageID names an event: in the header Nats-Msg-Id and in events.sent.
func messageID(e schema.Event) string { return fmt.Sprintf("%s.%d", e.ID, e.Revision) }

// firstLine returns the first line of a small file, "" if it has none.
func firstLine(f *os.File) string {
	b := make([]byte, 1<<10)
	n, _ := f.ReadAt(b, 0)
	line, _, found := bytes.Cut(b[:n], []byte{'\n'})
	if !found {
		return ""
	}
	return string(line)
}

// behind returns where the line of the event of this name ends in the first size bytes of f. Without one nothing is done
// yet: the last event that was done left with all others.
func behind(f *os.File, size int64, name string) (int64, error) {
	if name == "" {
		return 0, nil
	}
	lines := bufio.NewReader(io.NewSectionReader(f, 0, size))
	for end := int64(0); ; {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return 0, nil
		}
		if err != nil {
			return 0, err
		}
		end += int64(len(line))
		var e schema.Event
		if json.Unmarshal(line, &e) == nil && messageID(e) == name {
			return end, nil
		}
	}
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

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// add writes an event behind the others: from now on it survives the process. The channel is closed when a sync has
// brought it to the disk.
func (s *spool) add(e schema.Event) (synced <-chan struct{}, err error) {
	b, err := json.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("spool event: %w", err)
	}
	b = append(b, '\n')
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.lines == nil {
		return nil, os.ErrClosed
	}
	if len(b) > maxLine || s.mu.tail+int64(len(b)) > s.limit {
		return nil, errSpoolFull
	}
	if _, err := s.mu.lines.WriteAt(b, s.mu.tail); err != nil {
		return nil, fmt.Errorf("spool event: %w", err)
	}
	s.mu.tail += int64(len(b))
	s.mu.unended.follow(e)
	if s.mu.batch == nil {
		s.mu.batch = make(chan struct{})
		poke(s.dirty)
	}
	poke(s.more)
	return s.mu.batch, nil
}

// sync brings what was added to the disk: all of it at once, however many wait for it.
func (s *spool) sync() error {
	s.mu.Lock()
	lines, batch := s.mu.lines, s.mu.batch
	s.mu.batch = nil
	s.mu.Unlock()
	if lines == nil || batch == nil {
		return nil
	}
	defer close(batch)
	return lines.Sync()
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
		if e, ok := parseEvent(line); ok && found {
			return e, size, nil
		}
	}
	s.mu.head += size // nothing to send: done already
	return schema.Event{}, 0, nil
}

// parseEvent reads a line of the spool, and tells whether it is an event that can be sent.
func parseEvent(line []byte) (e schema.Event, ok bool) {
	ok = json.Unmarshal(line, &e) == nil && e.ID != "" && schema.CheckName(e.Camera) == nil
	return e, ok
}

// done forgets the event that next returned, and its size bytes. Behind the last one the files start over.
func (s *spool) done(e schema.Event, size int64) error {
	if err := s.advance(e, size); err != nil {
		return err
	}
	return s.startOver()
}

func (s *spool) advance(e schema.Event, size int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.lines == nil {
		return nil
	}
	s.mu.head += size
	_, err := s.mu.sent.WriteAt([]byte(messageID(e)+"\n"), 0)
	return err
}

// startOver empties the file when all of it is done. The lock is not held while what is open goes to the disk: cameras must
// not wait for that. What they add meanwhile puts it off, as a full disk does.
func (s *spool) startOver() error {
	s.mu.Lock()
	tail, file := s.mu.tail, s.mu.unended.file
	open, err := s.mu.unended.lines()
	all := s.mu.lines != nil && s.mu.head >= tail
	s.mu.Unlock()
	if !all || err != nil {
		return err
	}
	if file != "" && replaceFile(file, open) != nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.lines == nil || s.mu.tail != tail {
		return nil
	}
	s.mu.head, s.mu.tail = 0, 0
	return s.mu.lines.Truncate(0)
}

// endInterrupted adds the ends of the events that the process before left open, and returns how many there were.
func (s *spool) endInterrupted() (int, error) {
	s.mu.Lock()
	ends := s.mu.unended.interrupted()
	s.mu.Unlock()
	for _, e := range ends {
		if _, err := s.add(e); err != nil {
			return 0, err
		}
	}
	return len(ends), nil
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
