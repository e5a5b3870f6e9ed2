package publish

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"

	"github.com/oodcast/oodcast/detector/events"
	"github.com/oodcast/oodcast/publish/schema"
)

// unended are the events that have started and not ended, as they were told last, so that the next process can end them
// when this one cannot: who follows an event must see its end.
type unended struct {
	file   string // empty: nobody will ask
	events map[string]schema.Event
}

// readUnended reads the file of what was open where lines begins, and follows the first size bytes of lines from there.
// It does not matter when lines says again what the file knew already.
func readUnended(file string, lines io.ReaderAt, size int64) (unended, error) {
	u := unended{file: file, events: map[string]schema.Event{}}
	f, err := os.Open(file)
	if err == nil {
		err = errors.Join(u.followAll(f), f.Close())
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return u, err
	}
	return u, u.followAll(io.NewSectionReader(lines, 0, size))
}

// followAll follows one event a line. Lines that are no events are passed over.
func (u *unended) followAll(lines io.Reader) error {
	for r := bufio.NewReader(lines); ; {
		line, err := r.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if e, ok := parseEvent(line); ok {
			u.follow(e)
		}
	}
}

func (u *unended) follow(e schema.Event) {
	if e.Type == string(events.End) {
		delete(u.events, e.ID)
		return
	}
	u.events[e.ID] = e
}

// interrupted returns the ends of the events that are open, for a process that begins. What they say is what was known last.
func (u *unended) interrupted() []schema.Event {
	var ends []schema.Event
	for _, id := range slices.Sorted(maps.Keys(u.events)) {
		e := u.events[id]
		e.Revision++
		e.Type, e.Reason = string(events.End), string(events.EndInterrupted)
		ends = append(ends, e)
	}
	return ends
}

// lines returns what the file should say.
func (u *unended) lines() ([]byte, error) {
	var b []byte
	for _, id := range slices.Sorted(maps.Keys(u.events)) {
		line, err := json.Marshal(u.events[id])
		if err != nil {
			return nil, err
		}
		b = append(append(b, line...), '\n')
	}
	return b, nil
}

// replaceFile writes a file such that it has its old content or b, whenever the machine stops.
func replaceFile(name string, b []byte) error {
	f, err := os.OpenFile(name+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}
