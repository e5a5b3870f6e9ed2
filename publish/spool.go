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

	"github.com/google/renameio/v2"

	"github.com/oodcast/oodcast/publish/schema"
)

const (
	maxSpool = 64 << 20 // bytes of unsent events; some hundred thousand
	maxLine  = 64 << 10 // bytes of one event

	// syncWait is how long an event may wait for the disk.
	syncWait = 100 * time.Millisecond
)

// openFile is the name of the file with the open events.
const openFile = "events.open"

// errSpoolFull means that NATS was away for so long that the spool has no room for another event.
var errSpoolFull = errors.New("the event spool is full")

// spool keeps events on disk until JetStream has acknowledged them. It consists of three files: events.jsonl has one JSON
// line per event, events.sent has the name of the last event that is done, and events.open has the events that were open
// before the first line of events.jsonl. An event that add has accepted survives the death of the process; once sync has
// written it to the disk, it survives the death of the machine. The spool is safe for concurrent use, except that next and
// done belong to one goroutine.
type spool struct {
	limit    int64
	added    chan struct{} // signals that an event was added
	unsynced chan struct{} // signals that there are events to sync
	mu       struct {
		sync.Mutex
		lines, sent *os.File      // nil before open and after close
		head, tail  int64         // end of the events that are done, and end of lines
		synced      chan struct{} // closed when all events since the last sync are on the disk; nil: there are none
		open        openEvents    // after the last line
		held        [][]byte      // lines that the disk has refused, in order; they follow those in the file
		heldBytes   int
		refused     error // why the lines are held; nil without any
	}
	lock *os.File
}

// newSpool returns a closed spool.
func newSpool(limit int64) *spool {
	return &spool{limit: limit, added: make(chan struct{}, 1), unsynced: make(chan struct{}, 1)}
}

// open uses the files in stateDir. If it cannot, it uses temporary files that vanish with the process.
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
	log.Warn("unsent events will be lost when oodcast ends", "err", err)
	s.close()
	temp, err := os.MkdirTemp("", "oodcast")
	if err != nil {
		return fmt.Errorf("event spool: %w", err)
	}
	err = errors.Join(s.openFiles(temp), os.RemoveAll(temp)) // open files stay usable without a name
	s.mu.open.file = ""
	return err
}

func (s *spool) openFiles(dir string) (err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer func() {
		if err != nil {
			err = fmt.Errorf("event spool: %w", err)
		}
	}()
	open := func(name string) (*os.File, error) {
		return openStateFile(filepath.Join(dir, name))
	}
	if s.mu.lines, err = open("events.jsonl"); err != nil {
		return err
	}
	if s.mu.sent, err = open("events.sent"); err != nil {
		return err
	}
	if s.mu.tail, err = truncatePartialLine(s.mu.lines); err != nil {
		return err
	}
	if s.mu.head, err = endOfEvent(s.mu.lines, s.mu.tail, firstLine(s.mu.sent)); err != nil {
		return err
	}
	if err := removeTemporary(dir); err != nil {
		return err
	}
	if s.mu.open, err = readOpenEvents(filepath.Join(dir, openFile), s.mu.lines, s.mu.tail); err != nil {
		return err
	}
	notify(s.added)
	return nil
}

// removeTemporary removes the temporary files of a process that died while it replaced openFile.
func removeTemporary(dir string) error {
	left, err := filepath.Glob(filepath.Join(dir, "."+openFile+"*"))
	for _, file := range left {
		err = errors.Join(err, os.Remove(file))
	}
	return err
}

// messageID names an event in the header Nats-Msg-Id and in events.sent.
func messageID(e schema.Event) string { return fmt.Sprintf("%s.%d", e.ID, e.Revision) }

// firstLine returns the first line of a small file, or "" if it has no complete line.
func firstLine(f *os.File) string {
	b := make([]byte, 1<<10)
	n, _ := f.ReadAt(b, 0)
	line, _, found := bytes.Cut(b[:n], []byte{'\n'})
	if !found {
		return ""
	}
	return string(line)
}

// endOfEvent returns the offset behind the line of the event with this name in the first size bytes of f. Without such a line
// it returns 0: the event that was done last was removed together with all others, so none of those in f is done.
func endOfEvent(f *os.File, size int64, name string) (int64, error) {
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

// truncatePartialLine removes a last line that was cut off when the process died, and returns the remaining size.
func truncatePartialLine(f *os.File) (int64, error) {
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

// notify sends a signal on a channel of capacity 1, unless one is pending.
func notify(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// add appends an event, which then survives the death of the process. The channel is closed when a sync has written the event
// to the disk.
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
	if len(b) > maxLine || s.mu.tail+int64(s.mu.heldBytes+len(b)) > s.limit {
		return nil, errSpoolFull
	}
	if s.write(); s.mu.refused != nil && s.mu.heldBytes+len(b) > maxHeld {
		return nil, fmt.Errorf("spool event: %w", s.mu.refused)
	}
	s.mu.held, s.mu.heldBytes = append(s.mu.held, b), s.mu.heldBytes+len(b)
	s.write()
	s.mu.open.apply(e)
	if s.mu.synced == nil {
		s.mu.synced = make(chan struct{})
		notify(s.unsynced)
	}
	return s.mu.synced, nil
}

// maxHeld bounds the events that are held in memory while the disk is full, in bytes: some thousand of them.
const maxHeld = 4 << 20

// write appends the held lines to the file, as far as the disk takes them. A line that was written in part is overwritten, or
// removed when the files are opened again. The caller holds the lock.
func (s *spool) write() {
	for len(s.mu.held) > 0 {
		line := s.mu.held[0]
		if _, s.mu.refused = s.mu.lines.WriteAt(line, s.mu.tail); s.mu.refused != nil {
			return
		}
		s.mu.tail += int64(len(line))
		s.mu.held, s.mu.heldBytes = s.mu.held[1:], s.mu.heldBytes-len(line)
		notify(s.added)
	}
	s.mu.held, s.mu.refused = nil, nil
}

// retry tries to write the held events, and returns why they are still held; nil if none are.
func (s *spool) retry() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.lines == nil || len(s.mu.held) == 0 {
		return nil
	}
	s.write()
	if s.mu.refused == nil && s.mu.synced == nil { // the callers of add have given up waiting
		s.mu.synced = make(chan struct{})
		notify(s.unsynced)
	}
	return s.mu.refused
}

// holding returns why events are held in memory; nil if none are.
func (s *spool) holding() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.refused
}

// sync writes all added events to the disk with one system call, however many callers of add wait for it.
func (s *spool) sync() error {
	s.mu.Lock()
	lines, synced := s.mu.lines, s.mu.synced
	s.mu.synced = nil
	s.mu.Unlock()
	if lines == nil || synced == nil {
		return nil
	}
	defer close(synced)
	return lines.Sync()
}

// next returns the first event that is not done and its size, or size 0 if there is none. It skips lines that are not events.
func (s *spool) next() (e schema.Event, size int64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.lines == nil {
		return e, 0, os.ErrClosed
	}
	for s.mu.head+size < s.mu.tail {
		b := make([]byte, min(s.mu.tail-s.mu.head-size, maxLine))
		if _, err := s.mu.lines.ReadAt(b, s.mu.head+size); err != nil {
			return e, 0, fmt.Errorf("event spool: %w", err)
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
	s.mu.head += size // there was nothing to send in these lines
	return schema.Event{}, 0, nil
}

// parseEvent reads a line of the spool and reports whether it is an event that can be sent.
func parseEvent(line []byte) (e schema.Event, ok bool) {
	ok = json.Unmarshal(line, &e) == nil && e.ID != "" && schema.CheckName(e.Camera) == nil
	return e, ok
}

// done marks the event that next returned, of this size, as done. After the last event it empties the file.
func (s *spool) done(e schema.Event, size int64) error {
	if err := s.advance(e, size); err != nil {
		return err
	}
	return s.truncateWhenDone()
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

// truncateWhenDone empties the file of events when all of them are done. It writes the open events to the disk without
// holding the lock, because cameras must not wait for that. If an event is added meanwhile, or the disk is full, the file
// is emptied later.
func (s *spool) truncateWhenDone() error {
	s.mu.Lock()
	tail, file := s.mu.tail, s.mu.open.file
	open, err := s.mu.open.marshal()
	all := s.mu.lines != nil && s.mu.head >= tail
	s.mu.Unlock()
	if !all || err != nil {
		return err
	}
	if file != "" && renameio.WriteFile(file, open, 0o600, renameio.WithTempDir(filepath.Dir(file))) != nil {
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

// endInterrupted adds an end for every event that the previous process left open, and returns those that were added.
func (s *spool) endInterrupted() ([]schema.Event, error) {
	s.mu.Lock()
	ends := s.mu.open.interrupted()
	s.mu.Unlock()
	for i, e := range ends {
		if _, err := s.add(e); err != nil {
			return ends[:i], err
		}
	}
	return ends, nil
}

// pending returns the size of the unsent events in bytes.
func (s *spool) pending() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.tail - s.mu.head + int64(s.mu.heldBytes)
}

// close closes the files. Closing twice is harmless.
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
